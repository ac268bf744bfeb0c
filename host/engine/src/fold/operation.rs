//! What a node does, with every attribute and default of its opset resolved and every axis counted from the front.

use alloc::vec::Vec;

use super::call::{Operand, Problem, TensorType, elements};
use super::resolve::window::{Convolution, Pooling};
use crate::graph::{ElementType, Tensor};
use crate::kernels::tensor::{Binary, Reduction, Resize, Unary};

/// What a node does.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub(crate) enum Operation {
    /// The result is the operand.
    Keep,
    /// The result is known.
    Constant(Tensor),
    /// The same elements in another shape.
    Reshape { shape: Vec<usize> },
    /// Axis `i` of the result is axis `order[i]` of the operand.
    Transpose { order: Vec<usize> },
    /// For each axis where it begins, the step (which may be negative) and how many elements are taken.
    Slice { starts: Vec<usize>, steps: Vec<isize>, sizes: Vec<usize> },
    /// Broadcast to a shape.
    Expand { shape: Vec<usize> },
    /// Repeated along each axis.
    Tile { repeats: Vec<usize> },
    /// Joined along an axis.
    Concat { axis: usize },
    /// Cut along an axis into parts of these sizes.
    Split { axis: usize, sizes: Vec<usize> },
    /// Slices along an axis, chosen by the second operand.
    Gather { axis: usize },
    /// Elements along an axis, chosen by the second operand, which has the result's shape.
    GatherElements { axis: usize },
    /// Slices chosen by the last axis of the second operand.
    GatherNd,
    /// The first operand with slices replaced by the third operand's, where the second says.
    ScatterNd,
    /// Elements before and after each axis; where negative, so many are cut off.
    Pad { before: Vec<i64>, after: Vec<i64>, mode: PadMode, value: f64 },
    /// Resized along each axis.
    Resize { resize: Resize, shape: Vec<usize> },
    /// Channels become pixels, or the reverse.
    DepthToSpace { block: usize, columns_first: bool },
    /// Pixels become channels.
    SpaceToDepth { block: usize },
    /// Each element by itself.
    Unary(Unary),
    /// Two operands, broadcast.
    Binary(Binary),
    /// The second operand where the first is true, else the third; broadcast.
    Where,
    /// Elements of another type.
    Cast { to: ElementType },
    /// Over axes, which stay with size 1 if `keep`.
    Reduce { reduction: Reduction, axes: Vec<usize>, keep: bool },
    /// The index of the largest or smallest element along an axis.
    ArgMax { axis: usize, keep: bool, smallest: bool, last: bool },
    /// Over the axes from `axis` on, `axes` of them, taken as one; logarithms of it if `log`.
    Softmax { axis: usize, axes: usize, log: bool },
    /// Sums along an axis, up to each element.
    CumSum { axis: usize, exclusive: bool, reverse: bool },
    /// The triangle of each matrix above or below a diagonal, the rest 0.
    Trilu { upper: bool, diagonal: i64 },
    /// Picture, weights, bias.
    Convolution(Convolution),
    /// Windows of a picture.
    Pool(Pooling),
    /// Over all of a picture but its batch and channels.
    GlobalPool { reduction: Reduction },
    /// `alpha * a * b + beta * c`.
    Gemm { transpose_a: bool, transpose_b: bool, alpha: f32, beta: f32 },
    /// Of matrices in the last two axes, the others broadcast.
    MatMul,
    /// Operand, scale, offset, mean, variance: each a number a channel.
    BatchNormalization { epsilon: f32 },
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
    /// Over the root of the sum of squares (or the sum of magnitudes) along an axis.
    LpNormalization { axis: usize, power: u8 },
    /// Operand, scale, zero point: to integers.
    Quantize { axis: usize, to: ElementType },
    /// Operand, scale, zero point: to floats.
    Dequantize { axis: usize },
}

/// What is beyond the edges of a padded tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PadMode {
    /// One number.
    Constant,
    /// The elements mirrored at the outermost one, which is not repeated.
    Reflect,
    /// The outermost element.
    Edge,
    /// The elements from the other end.
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

    /// Whether the result is the operand, element by element, whatever the shapes say.
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
            Self::Concat { .. } => false,
            Self::Split { sizes, .. } => sizes.len() == 1,
            // A float holds every small integer, and those of a picture are bytes.
            Self::Cast { to } => is_float(*to) && operand.element != ElementType::Bool || *to == operand.element,
            Self::Resize { resize, shape } => shape == operand.shape && resize.is_plain(),
            _ => false,
        }
    }
}

pub(crate) fn is_float(element: ElementType) -> bool {
    matches!(element, ElementType::F32 | ElementType::F16 | ElementType::F64)
}

/// A shape with another size of one axis.
pub(crate) fn with(shape: &[usize], axis: usize, size: usize) -> Vec<usize> {
    let mut shape = Vec::from(shape);
    shape[axis] = size;
    shape
}

/// How many elements a result has, if a bound admits them.
pub(crate) fn bounded_elements(shape: &[usize], most: usize) -> Result<usize, Problem> {
    elements(shape)
        .filter(|&count| count <= most)
        .ok_or_else(|| alloc::format!("makes a tensor of the dimensions {shape:?}; at most {most} numbers are taken"))
}
