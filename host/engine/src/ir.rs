//! A network as layers: the output of lowering, and the input of planning.

use alloc::vec::Vec;

use crate::simd::Vector;

/// The number of a value among all values of a network.
pub(crate) type Value = usize;

/// The shape of a layer's output for one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Picture { channels: usize, height: usize, width: usize },
    Vector(usize),
}

impl Shape {
    /// The number of elements; saturates at the largest `usize`.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Picture { channels, height, width } => channels.saturating_mul(height).saturating_mul(width),
            Self::Vector(len) => len,
        }
    }
}

/// Clamps to a range. NaN is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) low: f32,
    pub(crate) high: f32,
}

impl Bounds {
    pub(crate) const NONE: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };

    #[inline(always)]
    pub(crate) fn clamp<V: Vector>(self, value: V) -> V {
        V::splat(self.high).min(V::splat(self.low).max(value))
    }
}

/// A convolution, whatever the layout of its input.
#[derive(Debug, Clone)]
pub(crate) struct Convolution {
    /// Output channels x input channels of a group x rows x columns.
    pub(crate) weights: Vec<f32>,
    /// One for each output channel.
    pub(crate) bias: Vec<f32>,
    pub(crate) groups: usize,
    /// Rows and columns.
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Rows above and columns to the left of the input that count as 0.
    pub(crate) before: [usize; 2],
    pub(crate) bounds: Bounds,
}

/// A window that moves over a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolWindow {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// Rows above and columns to the left of the picture.
    pub(crate) before: [usize; 2],
    pub(crate) output: [usize; 2],
}

/// What a pooling layer computes for a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// The maximum; with NaN, the result depends on its position in the window and on nothing else.
    Max,
    /// The sum over the visible part of the window, divided by its number of pixels.
    Mean,
    /// The same sum divided by all pixels of the window.
    MeanWithPadding,
}

/// Local response normalisation: `x / (bias + alpha / size * sum of squares over the window) ^ (quarters / 4)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lrn {
    pub(crate) size: usize,
    pub(crate) alpha: f32,
    pub(crate) bias: f32,
    /// 2, 3 or 4: square roots are exact, other powers are not.
    pub(crate) quarters: u8,
}

/// What a layer does.
#[derive(Debug)]
pub(crate) enum LayerKind {
    Convolution(Convolution),
    /// A convolution of each channel separately.
    Depthwise(Convolution),
    /// A convolution of vectors: a matrix product.
    Dense(Convolution),
    Pool(Pooling, PoolWindow),
    /// The average over a picture, for each channel; gives a vector.
    GlobalAverage,
    Lrn(Lrn),
    /// The channels of one value after those of the other.
    Concat,
    Add(Bounds),
    Clamp(Bounds),
    /// A picture as a vector: channels x rows x columns.
    Flatten,
}

/// An operation on values.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) kind: LayerKind,
    pub(crate) inputs: Vec<Value>,
    pub(crate) output: Value,
}
