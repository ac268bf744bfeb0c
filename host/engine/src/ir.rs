//! A network as layers: the output of lowering, and the input of planning.
//!
//! Layers read and write pictures only. A tensor in row-major order is a picture of a single pixel whose channels are its elements: in
//! memory that is the same (see [`Layout`](crate::layout::Layout)).

use alloc::vec::Vec;
use core::fmt;

use crate::kernels::function::{Activation, Binary, Unary};
use crate::kernels::pool::{PoolWindow, Pooling};
use crate::kernels::tensor::TensorLayer;

/// The number of a value among all values of a network.
pub(crate) type Value = usize;

/// The shape of a layer's output for one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl Shape {
    /// A tensor in row-major order, or channels of a single pixel.
    pub(crate) fn flat(len: usize) -> Self {
        Self { channels: len, height: 1, width: 1 }
    }

    pub(crate) fn pixels(self) -> usize {
        self.height.saturating_mul(self.width)
    }

    /// The number of elements; saturates at the largest `usize`.
    pub(crate) fn len(self) -> usize {
        self.channels.saturating_mul(self.pixels())
    }

    pub(crate) fn is_flat(self) -> bool {
        self.height == 1 && self.width == 1
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
    pub(crate) activation: Activation,
}

impl fmt::Display for Convolution {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([rows, columns], [down, right]) = (self.kernel, self.stride);
        write!(to, "convolution {rows} x {columns}")?;
        if self.stride != [1; 2] {
            write!(to, ", stride {down} x {right}")?;
        }
        match self.groups {
            1 => write!(to, ", of {} channels", self.weights.len() / (self.bias.len() * rows * columns).max(1)),
            groups if groups == self.bias.len() => write!(to, ", depthwise"),
            groups => write!(to, ", {groups} groups"),
        }
    }
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

/// Each pixel's channels minus their mean, divided by their deviation, times a scale, plus an offset.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LayerNorm {
    pub(crate) scale: Vec<f32>,
    pub(crate) offset: Vec<f32>,
    pub(crate) epsilon: f32,
}

/// Pixels of a picture or beyond its edges: pixel (y, x) is the one at `start + step * (y, x)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Extract {
    pub(crate) start: [isize; 2],
    pub(crate) step: [usize; 2],
    /// The value beyond the edges.
    pub(crate) fill: f32,
}

/// How the second operand is broadcast to the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broadcast {
    /// One number for each element.
    Full,
    /// One number for each channel: a picture of one pixel.
    Channels,
    /// One number for each pixel: a picture of one channel.
    Pixels,
}

/// A function of two numbers: one from the first input, one from the second input or a constant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Combination {
    pub(crate) function: Binary,
    /// The second operand is the function's first argument.
    pub(crate) swapped: bool,
    pub(crate) broadcast: Broadcast,
    /// Its numbers, if they are constant: channels x rows x columns, one pixel or one channel.
    pub(crate) constant: Option<Vec<f32>>,
    pub(crate) activation: Activation,
}

/// A channel of one of several pictures: the number of the picture, and that of its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channel {
    pub(crate) picture: u32,
    pub(crate) channel: u32,
}

/// What a layer does.
#[derive(Debug)]
pub(crate) enum LayerKind {
    /// A convolution of the network's input, which is stored in planes.
    FirstConvolution(Convolution),
    Convolution(Convolution),
    /// A convolution of each channel separately.
    Depthwise(Convolution),
    Pool(Pooling, PoolWindow),
    /// The mean or the maximum over a picture, for each channel.
    GlobalPool(Pooling),
    Lrn(Lrn),
    LayerNorm(LayerNorm),
    /// The channels of one value after those of the other.
    Concat,
    /// Channels of the inputs, in any order.
    Channels(Vec<Channel>),
    /// The channels from the start of this block on, without copying.
    View(usize),
    Extract(Extract),
    /// The same pixels, one after another, in rows of another length.
    Reflow,
    Combination(Combination),
    Map(Activation),
    /// Each number times its channel's scale plus its channel's offset, rounded once.
    Affine {
        scale: Vec<f32>,
        offset: Vec<f32>,
        activation: Activation,
    },
    /// A picture as a tensor: for each run of `inner` pixels the numbers of the first channel, then those of the second, and so on.
    ToTensor {
        inner: usize,
    },
    /// The reverse.
    ToPicture {
        inner: usize,
    },
    /// Tensors, each divided into this many chunks: the first chunks of all, then the second chunks, and so on.
    Join {
        chunks: usize,
    },
    /// Numbers that do not depend on the input.
    Constant(Vec<f32>),
    /// A layer over tensors, and which of its results is needed.
    Tensor(TensorLayer, usize),
}

impl LayerKind {
    /// Whether the layer computes exponentials, or functions that are made of them.
    fn uses_exponentials(&self) -> bool {
        let activation = match self {
            Self::FirstConvolution(convolution) | Self::Convolution(convolution) | Self::Depthwise(convolution) => &convolution.activation,
            Self::Combination(combination) => &combination.activation,
            Self::Map(activation) | Self::Affine { activation, .. } => activation,
            Self::Tensor(layer, _) => return layer.uses_exponentials(),
            _ => return false,
        };
        activation.function.is_some_and(Unary::uses_exponentials)
    }
}

/// An operation on values.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) kind: LayerKind,
    pub(crate) inputs: Vec<Value>,
    pub(crate) output: Value,
}

/// A network as layers, each after those that it reads. Value 0 is the input, as a tensor.
#[derive(Debug)]
pub(crate) struct Lowered {
    /// The input of the first convolutions.
    pub(crate) input: Shape,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) output: Value,
    /// The output's ONNX shape.
    pub(crate) output_dims: Vec<usize>,
    /// Whether constants were computed by exponentials.
    pub(crate) folded_exponentials: bool,
}

impl Lowered {
    /// Whether scores depend on exponentials, or functions that are made of them.
    pub(crate) fn uses_exponentials(&self) -> bool {
        self.folded_exponentials || self.layers.iter().any(|layer| layer.kind.uses_exponentials())
    }
}
