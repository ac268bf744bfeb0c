//! The meaning of a node, with every attribute and default of its opset resolved and every axis counted from the front.

use alloc::vec::Vec;

use super::call::{Operand, Problem, TensorType, elements};
use super::resolve::window::{Convolution, Pooling};
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

impl Operation {
    /// The types of the results.
    pub(crate) fn types(&self, operands: &[Option<Operand<'_>>]) -> Result<Vec<TensorType>, Problem> {
        let first = operands.first().copied().flatten();
        let element = first.map_or(ElementType::F32, |operand| operand.element);
        let shape = first.map_or(&[][..], |operand| operand.shape);
        let one = |shape: Vec<usize>| Ok(alloc::vec![TensorType::new(element, shape)]);
        match self {
            Self::Constant(tensor) => Ok(alloc::vec![TensorType::new(tensor.element, &tensor.shape[..])]),
            Self::Cast { to } | Self::Quantize { to, .. } => Ok(alloc::vec![TensorType::new(*to, shape)]),
            Self::Reshape { shape } | Self::Expand { shape } | Self::Resize { shape, .. } => one(shape.clone()),
            Self::Transpose { order } => one(order.iter().map(|&axis| shape[axis]).collect()),
            Self::Slice { sizes, .. } => one(sizes.clone()),
            Self::Split { axis, sizes } => Ok(sizes.iter().map(|&size| TensorType::new(element, with(shape, *axis, size))).collect()),
            Self::ArgMax { axis, keep, .. } => {
                Ok(alloc::vec![TensorType::new(ElementType::I64, super::resolve::reduce::reduced(shape, &[*axis], *keep))])
            }
            Self::TopK { axis, count, .. } => {
                let shape = with(shape, *axis, *count);
                Ok(alloc::vec![TensorType::new(element, &shape[..]), TensorType::new(ElementType::I64, shape)])
            }
            Self::Reduce { axes, keep, .. } => one(super::resolve::reduce::reduced(shape, axes, *keep)),
            Self::Dequantize { .. } => {
                let scale = operands.get(1).copied().flatten().map_or(ElementType::F32, |operand| operand.element);
                Ok(alloc::vec![TensorType::new(scale, shape)])
            }
            Self::GlobalPool { .. } => one(shape.iter().enumerate().map(|(axis, &side)| if axis < 2 { side } else { 1 }).collect()),
            Self::Tile { .. }
            | Self::Concat { .. }
            | Self::Gather { .. }
            | Self::GatherElements { .. }
            | Self::GatherNd
            | Self::Pad { .. }
            | Self::GridSample(_)
            | Self::DepthToSpace { .. }
            | Self::SpaceToDepth { .. } => one(super::resolve::shape::result(self, operands)?),
            Self::Unary(unary) => {
                let element = if unary.is_test() { ElementType::Bool } else { element };
                Ok(alloc::vec![TensorType::new(element, shape)])
            }
            Self::Binary(binary) => {
                let element = if binary.is_test() { ElementType::Bool } else { element };
                Ok(alloc::vec![TensorType::new(element, super::resolve::pointwise::broadcast(operands)?)])
            }
            Self::Where => {
                let element = operands.get(1).copied().flatten().map_or(element, |operand| operand.element);
                Ok(alloc::vec![TensorType::new(element, super::resolve::pointwise::broadcast(operands)?)])
            }
            Self::Convolution(convolution) => one(convolution.result(operands)?),
            Self::Pool(pooling) => one(pooling.result(shape)?),
            Self::Gemm { .. } | Self::MatMul => one(super::resolve::dense::result(self, operands)?),
            Self::BatchNormalizationTraining { .. } => {
                let statistics = TensorType::new(element, &shape[1..2]);
                Ok(alloc::vec![TensorType::new(element, shape), statistics.clone(), statistics])
            }
            Self::Keep
            | Self::ScatterNd
            | Self::Softmax { .. }
            | Self::CumSum { .. }
            | Self::Trilu { .. }
            | Self::BatchNormalization { .. }
            | Self::LayerNormalization { .. }
            | Self::RmsNormalization { .. }
            | Self::InstanceNormalization { .. }
            | Self::GroupNormalization { .. }
            | Self::Lrn { .. }
            | Self::LpNormalization { .. } => one(shape.into()),
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

/// A shape with the size of one axis replaced.
pub(crate) fn with(shape: &[usize], axis: usize, size: usize) -> Vec<usize> {
    let mut shape = Vec::from(shape);
    shape[axis] = size;
    shape
}

/// The number of elements in a result, if it is within a limit.
pub(crate) fn bounded_elements(shape: &[usize], most: usize) -> Result<usize, Problem> {
    elements(shape)
        .filter(|&count| count <= most)
        .ok_or_else(|| alloc::format!("makes a tensor of the dimensions {shape:?}; at most {most} elements are supported"))
}
