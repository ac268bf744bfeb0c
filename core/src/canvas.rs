//! Where pixels go: a row at a time, so that a target without room for a picture can still show one.

use core::ops::Range;

/// The channels of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channels {
    /// One byte a pixel: 0 black, 255 white.
    Grey,
    /// Three bytes a pixel.
    Colour,
}

impl Channels {
    /// Bytes a pixel: 1 or 3.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Colour => 3,
        }
    }
}

/// A receiver of rows of pixels.
pub trait Canvas {
    /// Takes row `y` (from 0 at the top, in order); `pixels` holds side * channels bytes, pixels from left to right, the channels of a
    /// pixel side by side.
    fn row(&mut self, y: usize, pixels: &[u8]);

    /// The rows and columns that it looks at, of a picture of that side: all, unless it says otherwise. Other rows are not drawn, and in
    /// the rows that are, pixels of other columns may have any colour.
    fn seen(&self, side: usize) -> Range<usize> {
        0..side
    }
}

/// A picture in memory, row after row.
impl Canvas for &mut [u8] {
    /// # Panics
    ///
    /// If the slice is shorter than the picture.
    fn row(&mut self, y: usize, pixels: &[u8]) {
        let start = y * pixels.len();
        self[start..start + pixels.len()].copy_from_slice(pixels);
    }
}

/// A canvas from a function of (y, pixels).
#[derive(Debug)]
pub struct Rows<F>(pub F);

impl<F: FnMut(usize, &[u8])> Canvas for Rows<F> {
    fn row(&mut self, y: usize, pixels: &[u8]) {
        self.0(y, pixels);
    }
}
