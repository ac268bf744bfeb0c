//! Resizes pictures.

use alloc::vec::Vec;

/// How a picture is resized.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resize {
    /// The value between pixels.
    pub(crate) interpolation: Interpolation,
    /// The position in the operand that a pixel of the result corresponds to.
    pub(crate) coordinates: Coordinates,
    /// Which pixel is the nearest.
    pub(crate) nearest: Nearest,
    /// For each axis, the size of the result divided by that of the operand.
    pub(crate) scales: Vec<f32>,
    /// The parameter of [`Interpolation::Cubic`].
    pub(crate) cubic: f32,
    /// Weights of pixels outside are 0, and the others are scaled to a sum of 1.
    pub(crate) exclude_outside: bool,
    /// Shrinking averages over all pixels.
    pub(crate) antialias: bool,
}

/// The value between pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Interpolation {
    /// The nearest pixel.
    Nearest,
    /// The two nearest pixels of each axis.
    Linear,
    /// The four nearest pixels of each axis.
    Cubic,
}

/// The position x in the operand of pixel i of the result, for a scale s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Coordinates {
    /// (i + 0.5) / s - 0.5
    HalfPixel,
    /// The same, with the rounding of the size shared between both ends.
    HalfPixelSymmetric,
    /// The same as the first, but 0 if the result has one pixel.
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
    /// The nearest; ties to the lower one.
    RoundPreferFloor,
    /// The nearest; ties to the upper one.
    RoundPreferCeil,
    /// The lower.
    Floor,
    /// The upper.
    Ceil,
}

impl Resize {
    /// Whether a result with the operand's shape equals the operand.
    #[must_use]
    pub(crate) fn is_plain(&self) -> bool {
        let whole = matches!(
            self.coordinates,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel | Coordinates::AlignCorners | Coordinates::Asymmetric
        );
        whole && self.scales.iter().all(|&scale| scale.to_bits() == 1.0f32.to_bits())
    }
}
