//! Pictures in other sizes.

use alloc::vec::Vec;

/// How a picture is resized.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resize {
    /// What is taken between pixels.
    pub(crate) interpolation: Interpolation,
    /// Which place of the operand a pixel of the result is at.
    pub(crate) coordinates: Coordinates,
    /// Which pixel is the nearest.
    pub(crate) nearest: Nearest,
    /// For each axis how many times as large the result is.
    pub(crate) scales: Vec<f32>,
    /// The parameter of [`Interpolation::Cubic`].
    pub(crate) cubic: f32,
    /// Weights of pixels outside are 0, and the others are scaled to sum to 1.
    pub(crate) exclude_outside: bool,
    /// Shrinking takes a mean over all pixels.
    pub(crate) antialias: bool,
}

/// What is taken between pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Interpolation {
    /// The nearest pixel.
    Nearest,
    /// The two next pixels of each axis.
    Linear,
    /// The four next pixels of each axis.
    Cubic,
}

/// Which place x of an operand the pixel i of the result is at, for a scale s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Coordinates {
    /// (i + 0.5) / s - 0.5
    HalfPixel,
    /// The same, with what rounding the size has cut off shared between both ends.
    HalfPixelSymmetric,
    /// The same as the first, but 0 where the result has one pixel.
    PytorchHalfPixel,
    /// i (length - 1) / (length of the result - 1)
    AlignCorners,
    /// i / s
    Asymmetric,
    /// (i + 0.5) / s
    TfHalfPixel,
}

/// Which of two pixels is the nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Nearest {
    /// The nearest; halfway the lower.
    RoundPreferFloor,
    /// The nearest; halfway the upper.
    RoundPreferCeil,
    /// The lower.
    Floor,
    /// The upper.
    Ceil,
}

impl Resize {
    /// Whether a result of the operand's shape is the operand.
    #[must_use]
    pub(crate) fn is_plain(&self) -> bool {
        let whole = matches!(
            self.coordinates,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel | Coordinates::AlignCorners | Coordinates::Asymmetric
        );
        whole && self.scales.iter().all(|&scale| scale.to_bits() == 1.0f32.to_bits())
    }
}
