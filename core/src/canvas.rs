//! Where pixels go: one row at a time, so a target without memory for a whole picture can still show one.

use core::convert::Infallible;
use core::ops::Range;

/// The channels of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channels {
    /// One byte per pixel: 0 black, 255 white.
    Grey,
    /// Three bytes per pixel.
    Colour,
}

impl Channels {
    /// Bytes per pixel: 1 or 3.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Colour => 3,
        }
    }

    /// The channels of a picture with `count` bytes per pixel; none unless that is 1 or 3.
    #[must_use]
    pub const fn from_count(count: usize) -> Option<Self> {
        match count {
            1 => Some(Self::Grey),
            3 => Some(Self::Colour),
            _ => None,
        }
    }
}

/// One row of a square picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'p> {
    /// The number of the row, from 0 at the top.
    pub y: usize,
    /// Width and height of the picture.
    pub side: usize,
    /// The channels of a pixel.
    pub channels: Channels,
    /// `side * channels.count()` bytes: pixels from left to right, with the channels of a pixel side by side.
    pub bytes: &'p [u8],
}

/// The part of a picture that a canvas needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// The rows.
    pub rows: Range<usize>,
    /// The columns.
    pub columns: Range<usize>,
}

impl Region {
    /// The whole of a picture of this side.
    #[must_use]
    pub const fn whole(side: usize) -> Self {
        Self { rows: 0..side, columns: 0..side }
    }

    /// Whether it contains no pixels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() || self.columns.is_empty()
    }

    /// The part of it that lies inside a picture of this side.
    pub(crate) fn within(&self, side: usize) -> Self {
        let clamp = |range: &Range<usize>| range.start.min(side)..range.end.min(side);
        Self { rows: clamp(&self.rows), columns: clamp(&self.columns) }
    }
}

/// A receiver of rows of pixels.
///
/// ```
/// use fooling_core::{Canvas, Row};
///
/// /// Prints a picture.
/// struct Terminal<W>(W);
///
/// impl<W: std::io::Write> Canvas for Terminal<W> {
///     type Error = std::io::Error;
///
///     fn row(&mut self, row: Row<'_>) -> std::io::Result<()> {
///         let shades = row.bytes.iter().map(|byte| b" .:-=+*#"[usize::from(byte / 32)]);
///         writeln!(self.0, "{}", String::from_utf8_lossy(&shades.collect::<Vec<u8>>()))
///     }
/// }
/// ```
pub trait Canvas {
    /// Why a row cannot be taken. [`Infallible`] if every row can.
    type Error;

    /// Takes a row. Rows come from top to bottom.
    ///
    /// # Errors
    ///
    /// If the row cannot be taken. Rendering stops there and returns the error.
    fn row(&mut self, row: Row<'_>) -> Result<(), Self::Error>;

    /// The rows and columns that the canvas needs of a picture of this side; by default all. Other rows are not drawn. In the rows that are
    /// drawn, the pixels of other columns are unspecified.
    fn region(&self, side: usize) -> Region {
        Region::whole(side)
    }
}

/// A slice is shorter than the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceTooShort;

impl core::fmt::Display for SliceTooShort {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the slice is shorter than the picture")
    }
}

impl core::error::Error for SliceTooShort {}

/// A picture in memory, row after row.
impl Canvas for &mut [u8] {
    type Error = SliceTooShort;

    fn row(&mut self, row: Row<'_>) -> Result<(), SliceTooShort> {
        let start = row.y * row.bytes.len();
        self.get_mut(start..start + row.bytes.len()).ok_or(SliceTooShort)?.copy_from_slice(row.bytes);
        Ok(())
    }
}

/// A canvas made from a function that takes every row.
#[derive(Debug)]
pub struct Rows<F>(F);

impl<F: FnMut(Row<'_>)> Rows<F> {
    /// Passes each row to `function`.
    pub const fn new(function: F) -> Self {
        Self(function)
    }
}

impl<F: FnMut(Row<'_>)> Canvas for Rows<F> {
    type Error = Infallible;

    fn row(&mut self, row: Row<'_>) -> Result<(), Infallible> {
        (self.0)(row);
        Ok(())
    }
}
