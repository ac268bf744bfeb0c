//! The meaning of a node, with every attribute and default of its opset resolved and every axis counted from the front.

use alloc::vec::Vec;

use super::call::Operand;
use super::window::{Convolution, Pooling};
use crate::graph::{ElementType, Tensor};
use crate::kernels::function::{Binary, Unary};
use crate::kernels::tensor::{GridSample, Reduction, Resize};

/// What a node does.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub(crate) enum Operation {
    /// The result is the operand.
    Keep,
    /// The result is a known constant.
    Constant(Tensor),
    /// The same elements in another shape.
    Reshape { shape: Vec<usize> },
    /// Axis `i` of the result is axis `order[i]` of the operand.
    Transpose { order: Vec<usize> },
    /// For each axis: where it starts, the step (which may be negative) and the number of elements.
    Slice { starts: Vec<usize>, steps: Vec<isize>, sizes: Vec<usize> },
    /// Broadcast to a shape.
    Expand { shape: Vec<usize> },
    /// Repeated along each axis.
    Tile { repeats: Vec<usize> },
    /// Concatenated along an axis.
    Concat { axis: usize },
    /// Split along an axis into parts of these sizes.
    Split { axis: usize, sizes: Vec<usize> },
    /// Slices along an axis, selected by the second operand.
    Gather { axis: usize },
    /// Elements along an axis, selected by the second operand, which has the result's shape.
    GatherElements { axis: usize },
    /// Slices selected by the last axis of the second operand.
    GatherNd,
    /// The first operand with slices replaced by those of the third operand, at the positions in the second.
    ScatterNd,
    /// Elements before and after each axis; negative numbers remove elements.
    Pad { before: Vec<i64>, after: Vec<i64>, mode: PadMode, value: f64 },
    /// Pictures read at the positions in the second operand.
    GridSample(GridSample),
    /// Resized along each axis.
    Resize { resize: Resize, shape: Vec<usize> },
    /// Channels become pixels, or the reverse.
    DepthToSpace { block: usize, columns_first: bool },
    /// Pixels become channels.
    SpaceToDepth { block: usize },
    /// Elementwise, with one operand.
    Unary(Unary),
    /// Two operands, broadcast.
    Binary(Binary),
    /// The second operand where the first is true, the third elsewhere; broadcast.
    Where,
    /// Elements converted to another type.
    Cast { to: ElementType },
    /// A reduction over axes, which remain with size 1 if `keep`.
    Reduce { reduction: Reduction, axes: Vec<usize>, keep: bool },
    /// The index of the largest or smallest element along an axis.
    ArgMax { axis: usize, keep: bool, smallest: bool, last: bool },
    /// The largest or smallest elements along an axis, in that order, and their indices.
    TopK { axis: usize, count: usize, smallest: bool },
    /// Softmax over `axes` axes from `axis` on, treated as one; its logarithm if `log`.
    Softmax { axis: usize, axes: usize, log: bool },
    /// Cumulative sums along an axis.
    CumSum { axis: usize, exclusive: bool, reverse: bool },
    /// The triangle of each matrix above or below a diagonal; the rest is 0.
    Trilu { upper: bool, diagonal: i64 },
    /// Picture, weights, bias.
    Convolution(Convolution),
    /// Windows of a picture.
    Pool(Pooling),
    /// A reduction over the whole picture, separately for each batch element and channel.
    GlobalPool { reduction: Reduction },
    /// `alpha * a * b + beta * c`.
    Gemm { transpose_a: bool, transpose_b: bool, alpha: f32, beta: f32 },
    /// The product of matrices in the last two axes; the other axes are broadcast.
    MatMul,
    /// Operand, scale, offset, mean, variance: one number for each channel.
    BatchNormalization { epsilon: f32 },
    /// The same with the mean and variance of the operand itself. The other results are the running mean and variance. Constants only.
    BatchNormalizationTraining { epsilon: f32, momentum: f32 },
    /// Mean and variance over the axes from `axis` on; operand, scale, offset.
    LayerNormalization { axis: usize, epsilon: f32 },
    /// Mean of squares over the axes from `axis` on; operand, scale.
    RmsNormalization { axis: usize, epsilon: f32 },
    /// Mean and variance of each channel of each picture; operand, scale, offset.
    InstanceNormalization { epsilon: f32 },
    /// Mean and variance of each group of channels; scale and offset are per channel, or per group.
    GroupNormalization { groups: usize, epsilon: f32, per_group: bool },
    /// Local response normalisation over `size` channels.
    Lrn { size: usize, alpha: f32, beta: f32, bias: f32 },
    /// Divided by the root of the sum of squares (or by the sum of magnitudes) along an axis.
    LpNormalization { axis: usize, power: u8 },
    /// Operand, scale, zero point: to integers.
    Quantize { axis: usize, to: ElementType },
    /// Operand, scale, zero point: to floats.
    Dequantize { axis: usize },
}

/// The values beyond the edges of a padded tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PadMode {
    /// One number.
    Constant,
    /// The elements mirrored at the outermost one, which is not repeated.
    Reflect,
    /// The outermost element.
    Edge,
    /// The elements from the opposite end.
    Wrap,
}

impl PadMode {
    /// The element of an axis that fills a position, which is relative to the first element; none for the padding number. The axis must not be
    /// empty, and a mirrored or wrapped position must be at most as far outside as there are elements, which [`Operation::Pad`] guarantees.
    pub(crate) fn element(self, at: i64, side: i64) -> Option<usize> {
        let element = match self {
            _ if (0..side).contains(&at) => at,
            Self::Constant => return None,
            Self::Edge => at.clamp(0, side - 1),
            Self::Reflect if at < 0 => -at,
            Self::Reflect => 2 * (side - 1) - at,
            Self::Wrap => at.rem_euclid(side),
        };
        usize::try_from(element).ok()
    }
}

impl Operation {
    /// Whether it computes exponentials, or functions that are made of them.
    pub(crate) fn uses_exponentials(&self) -> bool {
        match self {
            Self::Unary(function) => function.uses_exponentials(),
            Self::Reduce { reduction, .. } => *reduction == Reduction::LogSumExp,
            Self::Softmax { .. } => true,
            _ => false,
        }
    }

    /// Whether the result equals the operand, element by element, if shapes are ignored.
    pub(crate) fn keeps(&self, operand: Operand<'_>) -> bool {
        let plain = |order: &[usize]| order.windows(2).all(|pair| pair[0] < pair[1]);
        match self {
            Self::Keep => true,
            Self::Reshape { shape } | Self::Expand { shape } => shape == operand.shape,
            Self::Transpose { order } => plain(order),
            Self::Slice { sizes, steps, .. } => {
                sizes == operand.shape && steps.iter().zip(sizes).all(|(&step, &size)| step == 1 || size < 2)
            }
            Self::Tile { repeats } => repeats.iter().all(|&repeat| repeat == 1),
            Self::Pad { before, after, .. } => before.iter().chain(after).all(|&count| count == 0),
            Self::Split { sizes, .. } => sizes.len() == 1,
            // A cast of integers to floats gives the same numbers, but the new type counts: quotients of integers are rounded.
            Self::Cast { to } => is_float(*to) && is_float(operand.element) || *to == operand.element,
            Self::Resize { resize, shape } => shape == operand.shape && resize.is_plain(),
            _ => false,
        }
    }
}

pub(crate) fn is_float(element: ElementType) -> bool {
    matches!(element, ElementType::F32 | ElementType::F16 | ElementType::F64)
}
