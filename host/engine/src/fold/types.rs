//! The types of an operation's results: their elements and shapes.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::call::{Operand, Problem, TensorType, elements};
use super::operation::Operation;
use crate::graph::ElementType;

impl Operation {
    /// The types of the results.
    pub(crate) fn types(&self, operands: &[Option<Operand<'_>>]) -> Result<Vec<TensorType>, Problem> {
        let first = operands.first().copied().flatten();
        let element = first.map_or(ElementType::F32, |operand| operand.element);
        let shape = first.map_or(&[][..], |operand| operand.shape);
        let one = |shape: Vec<usize>| Ok(vec![TensorType::new(element, shape)]);
        match self {
            Self::Constant(tensor) => Ok(vec![TensorType::new(tensor.element, &tensor.shape[..])]),
            Self::Cast { to } | Self::Quantize { to, .. } => Ok(vec![TensorType::new(*to, shape)]),
            Self::Reshape { shape } | Self::Expand { shape } | Self::Resize { shape, .. } => one(shape.clone()),
            Self::Transpose { order } => one(order.iter().map(|&axis| shape[axis]).collect()),
            Self::Slice { sizes, .. } => one(sizes.clone()),
            Self::Split { axis, sizes } => Ok(sizes.iter().map(|&size| TensorType::new(element, with_side(shape, *axis, size))).collect()),
            Self::ArgMax { axis, keep, .. } => Ok(vec![TensorType::new(ElementType::I64, reduced(shape, &[*axis], *keep))]),
            Self::TopK { axis, count, .. } => {
                let shape = with_side(shape, *axis, *count);
                Ok(vec![TensorType::new(element, &shape[..]), TensorType::new(ElementType::I64, shape)])
            }
            Self::Reduce { axes, keep, .. } => one(reduced(shape, axes, *keep)),
            Self::Dequantize { .. } => {
                let scale = operands.get(1).copied().flatten().map_or(ElementType::F32, |operand| operand.element);
                Ok(vec![TensorType::new(scale, shape)])
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
            | Self::SpaceToDepth { .. } => one(moved(self, operands)?),
            Self::Unary(unary) => {
                let element = if unary.is_test() { ElementType::Bool } else { element };
                Ok(vec![TensorType::new(element, shape)])
            }
            Self::Binary(binary) => {
                let element = if binary.is_test() { ElementType::Bool } else { element };
                Ok(vec![TensorType::new(element, broadcast(operands)?)])
            }
            Self::Where => {
                let element = operands.get(1).copied().flatten().map_or(element, |operand| operand.element);
                Ok(vec![TensorType::new(element, broadcast(operands)?)])
            }
            Self::Convolution(convolution) => one(convolution.result(operands)?),
            Self::Pool(pooling) => one(pooling.result(shape)?),
            Self::Gemm { .. } | Self::MatMul => one(matrix_product(self, operands)?),
            Self::BatchNormalizationTraining { .. } => {
                let statistics = TensorType::new(element, &shape[1..2]);
                Ok(vec![TensorType::new(element, shape), statistics.clone(), statistics])
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
}

/// The shape of the result of an operation that moves elements.
pub(crate) fn moved(operation: &Operation, operands: &[Option<Operand<'_>>]) -> Result<Vec<usize>, Problem> {
    let at = |index: usize| operands.get(index).copied().flatten().ok_or("an operand is missing");
    let shape = at(0)?.shape;
    let too_large = || Problem::from("makes a tensor that is too large");
    match operation {
        Operation::Tile { repeats } => {
            shape.iter().zip(repeats).map(|(&side, &repeat)| side.checked_mul(repeat)).collect::<Option<_>>().ok_or_else(too_large)
        }
        Operation::Concat { axis } => {
            let sum = operands.iter().flatten().try_fold(0usize, |sum, operand| sum.checked_add(operand.shape[*axis]));
            Ok(with_side(shape, *axis, sum.ok_or_else(too_large)?))
        }
        Operation::Gather { axis } => Ok([&shape[..*axis], at(1)?.shape, &shape[axis + 1..]].concat()),
        Operation::GatherElements { .. } => {
            let indices = at(1)?.shape;
            if indices.len() != shape.len() {
                return Err(format!("has indices of {indices:?} for {shape:?}"));
            }
            Ok(indices.into())
        }
        Operation::GatherNd => {
            let (tuple, rows) = at(1)?.shape.split_last().ok_or("has indices without dimensions")?;
            let slice = shape.get(*tuple..).ok_or("has indices for more axes than its operand has")?;
            Ok([rows, slice].concat())
        }
        Operation::Pad { before, after, .. } => shape
            .iter()
            .zip(before.iter().zip(after))
            .map(|(&side, (&before, &after))| {
                let padded = i64::try_from(side).ok()?.checked_add(before)?.checked_add(after)?;
                usize::try_from(padded).ok()
            })
            .collect::<Option<_>>()
            .ok_or_else(|| format!("cannot pad {shape:?} by {before:?} and {after:?}")),
        Operation::GridSample(_) => {
            let grid = at(1)?.shape;
            Ok(vec![shape[0], shape[1], grid[1], grid[2]])
        }
        Operation::DepthToSpace { block, .. } => {
            let grown = |side: usize| side.checked_mul(*block).ok_or_else(too_large);
            Ok(vec![shape[0], shape[1] / (block * block), grown(shape[2])?, grown(shape[3])?])
        }
        Operation::SpaceToDepth { block } => {
            let channels = block.checked_mul(*block).and_then(|area| shape[1].checked_mul(area)).ok_or_else(too_large)?;
            Ok(vec![shape[0], channels, shape[2] / block, shape[3] / block])
        }
        _ => Ok(shape.into()),
    }
}

/// The shape of a product of matrices.
pub(crate) fn matrix_product(operation: &Operation, operands: &[Option<Operand<'_>>]) -> Result<Vec<usize>, Problem> {
    let (Some(a), Some(b)) = (operands.first().copied().flatten(), operands.get(1).copied().flatten()) else {
        return Err("an operand is missing".into());
    };
    let unfit = || format!("cannot multiply {:?} by {:?}", a.shape, b.shape);
    if let Operation::Gemm { transpose_a, transpose_b, .. } = *operation {
        let (&[a_rows, a_columns], &[b_rows, b_columns]) = (a.shape, b.shape) else { return Err(unfit()) };
        let (rows, inner) = if transpose_a { (a_columns, a_rows) } else { (a_rows, a_columns) };
        let (other, columns) = if transpose_b { (b_columns, b_rows) } else { (b_rows, b_columns) };
        return if inner == other { Ok(vec![rows, columns]) } else { Err(unfit()) };
    }
    matmul(a.shape, b.shape).ok_or_else(unfit)
}

/// The shape of a `MatMul`: a vector is a matrix with one row if it comes first and one column if it comes last, and that axis is removed
/// again.
fn matmul(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let (a_batch, rows, inner) = match a {
        [] => return None,
        [inner] => (&[][..], None, *inner),
        [batch @ .., rows, inner] => (batch, Some(*rows), *inner),
    };
    let (b_batch, other, columns) = match b {
        [] => return None,
        [inner] => (&[][..], *inner, None),
        [batch @ .., inner, columns] => (batch, *inner, Some(*columns)),
    };
    if inner != other {
        return None;
    }
    let mut shape = broadcast_shapes(a_batch, b_batch).ok()?;
    shape.extend(rows);
    shape.extend(columns);
    Some(shape)
}

/// The shape to which all operands are broadcast.
pub(crate) fn broadcast(operands: &[Option<Operand<'_>>]) -> Result<Vec<usize>, Problem> {
    operands.iter().flatten().try_fold(Vec::new(), |shape, operand| broadcast_shapes(&shape, operand.shape))
}

/// The shape to which two tensors are broadcast.
pub(crate) fn broadcast_shapes(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Problem> {
    let rank = a.len().max(b.len());
    let mut shape = vec![1; rank];
    for (axis, side) in shape.iter_mut().enumerate() {
        let of = |shape: &[usize]| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
        *side = match (of(a), of(b)) {
            (1, side) => side,
            (side, other) if other == 1 || other == side => side,
            _ => return Err(format!("the dimensions {a:?} and {b:?} cannot be broadcast")),
        };
    }
    Ok(shape)
}

/// The shape after axes have been reduced.
pub(crate) fn reduced(shape: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    let sides = shape.iter().enumerate().filter(|(axis, _)| keep || !axes.contains(axis));
    sides.map(|(axis, &side)| if axes.contains(&axis) { 1 } else { side }).collect()
}

/// A shape with the size of one axis replaced.
pub(crate) fn with_side(shape: &[usize], axis: usize, size: usize) -> Vec<usize> {
    let mut shape = Vec::from(shape);
    shape[axis] = size;
    shape
}

/// The number of elements in a result, if it is within a limit.
pub(crate) fn bounded_elements(shape: &[usize], most: usize) -> Result<usize, Problem> {
    elements(shape)
        .filter(|&count| count <= most)
        .ok_or_else(|| format!("makes a tensor of the dimensions {shape:?}; at most {most} elements are supported"))
}
