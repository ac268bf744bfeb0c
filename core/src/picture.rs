//! What a picture is, whatever its encoding, and why one was not drawn.

use core::convert::Infallible;

use crate::color::ColourSpace;

/// The x and y that a CPPN sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coordinates {
    /// x and y from 0 to side - 1: fine, repeated texture. The default of both variants.
    Pixel,
    /// x and y from -1 to 1: smooth pictures
    Unit,
}

/// The kind of picture that a program draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PictureSpec {
    /// Its width and height in pixels.
    pub side: u16,
    /// The x and y that a CPPN sees.
    pub coordinates: Coordinates,
    /// How three outputs are read as a colour. If absent, and for one output, channel bytes are passed on unchanged.
    pub colour: Option<ColourSpace>,
}

/// Why a picture was not rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RenderError<E = Infallible> {
    /// The scratch needs at least this many floats.
    FloatsNeeded(usize),
    /// The scratch needs at least this many bytes.
    BytesNeeded(usize),
    /// The direct genome of this picture needs this many genes.
    GenesNeeded(usize),
    /// The canvas failed; it has received the rows before that.
    Canvas(E),
}

impl<E: core::fmt::Display> core::fmt::Display for RenderError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::FloatsNeeded(n) => write!(f, "rendering needs {n} floats of scratch"),
            Self::BytesNeeded(n) => write!(f, "rendering needs {n} bytes of scratch"),
            Self::GenesNeeded(n) => write!(f, "the direct genome of this picture needs {n} genes"),
            Self::Canvas(error) => write!(f, "{error}"),
        }
    }
}

impl<E: core::error::Error> core::error::Error for RenderError<E> {}
