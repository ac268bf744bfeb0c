//! Sums and similar reductions, in the order of the elements.

use alloc::vec;
use alloc::vec::Vec;

use super::super::MAX_GROWN;
use super::super::call::{Operand, Problem, floats_of, integers_of};
use super::super::operation::Operation;
use super::super::types::{bounded_elements, broadcast_shapes, matrix_product, reduced};
use super::integer_numbers;
use crate::graph::{ElementType, Numbers, Tensor};
use crate::kernels::tensor::{Reduction, TensorLayer, View};
use crate::math;
use crate::simd::{Instructions, fused_multiply_add, square_root};

/// The elements of a tensor with the given axes last, and how many of them belong together.
fn grouped<T: Copy + Default>(values: &[T], shape: &[usize], axes: &[usize]) -> (Vec<T>, usize) {
    let mut order: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
    order.extend_from_slice(axes);
    let mut computed = vec![T::default(); values.len()];
    if !computed.is_empty() {
        View::new(shape).transposed(&order).merged().copy(values, &mut computed);
    }
    (computed, axes.iter().map(|&axis| shape[axis]).product())
}

pub(super) fn reduce(tensor: &Tensor, reduction: Reduction, axes: &[usize], keep: bool) -> Result<Tensor, Problem> {
    let shape = reduced(&tensor.shape, axes, keep);
    let count: usize = shape.iter().product();
    let numbers = if let Numbers::Floats(values) = &tensor.numbers {
        let (values, len) = grouped(values, &tensor.shape, axes);
        Numbers::Floats((0..count).map(|group| floats(&values[group * len..][..len], reduction)).collect())
    } else {
        let values = integers_of(tensor).ok_or("has no elements")?;
        let (values, len) = grouped(&values, &tensor.shape, axes);
        let computed = (0..count).map(|group| integers(&values[group * len..][..len], reduction)).collect::<Result<Vec<_>, _>>()?;
        integer_numbers(tensor.element, computed)?
    };
    Ok(Tensor { element: tensor.element, shape, numbers })
}

#[expect(clippy::cast_precision_loss, reason = "the number of elements, rounded once")]
fn floats(values: &[f32], reduction: Reduction) -> f32 {
    let sum = |of: fn(f32) -> f32| values.iter().fold(0.0, |sum, &value| sum + of(value));
    let most = || values.iter().fold(f32::NEG_INFINITY, |most, &value| if value > most || value.is_nan() { value } else { most });
    match reduction {
        Reduction::Sum => sum(|value| value),
        Reduction::Mean => sum(|value| value) / values.len() as f32,
        Reduction::Max => most(),
        Reduction::Min => values.iter().fold(f32::INFINITY, |least, &value| if value < least || value.is_nan() { value } else { least }),
        Reduction::Prod => values.iter().product(),
        Reduction::L1 => sum(f32::abs),
        Reduction::L2 => square_root(sum(|value| value * value)),
        Reduction::SumSquare => sum(|value| value * value),
        Reduction::LogSum => math::ln(sum(|value| value)),
        Reduction::LogSumExp => {
            let most = most();
            if !most.is_finite() {
                return most;
            }
            most + math::ln(values.iter().fold(0.0, |sum, &value| sum + math::exp(value - most)))
        }
    }
}

fn integers(values: &[i64], reduction: Reduction) -> Result<i64, Problem> {
    let add = |sum: i64, value: i64| sum.checked_add(value);
    let computed = match reduction {
        Reduction::Sum => values.iter().copied().try_fold(0, add),
        Reduction::Mean => values.iter().copied().try_fold(0, add).and_then(|sum| sum.checked_div(i64::try_from(values.len()).ok()?)),
        Reduction::Max => values.iter().copied().max(),
        Reduction::Min => values.iter().copied().min(),
        Reduction::Prod => values.iter().try_fold(1i64, |product, &value| product.checked_mul(value)),
        Reduction::L1 => values.iter().try_fold(0i64, |sum, &value| sum.checked_add(value.checked_abs()?)),
        Reduction::SumSquare => values.iter().try_fold(0i64, |sum, &value| sum.checked_add(value.checked_mul(value)?)),
        _ => return Err("works on integers, which is not supported".into()),
    };
    computed.ok_or_else(|| "overflows".into())
}

pub(super) fn cumulate(tensor: &Tensor, axis: usize, exclusive: bool, reverse: bool) -> Result<Tensor, Problem> {
    fn run<T: Copy + Default>(
        values: &mut [T],
        [side, inner]: [usize; 2],
        exclusive: bool,
        reverse: bool,
        add: impl Fn(T, T) -> Option<T>,
    ) -> Option<()> {
        for block in values.chunks_exact_mut((side * inner).max(1)) {
            for column in 0..inner {
                let mut sum = T::default();
                for step in 0..side {
                    let value = &mut block[(if reverse { side - 1 - step } else { step }) * inner + column];
                    let next = add(sum, *value)?;
                    *value = if exclusive { sum } else { next };
                    sum = next;
                }
            }
        }
        Some(())
    }
    let sides = [tensor.shape[axis], tensor.shape[axis + 1..].iter().product()];
    let mut computed = tensor.clone();
    let done = match &mut computed.numbers {
        Numbers::Floats(values) => run(values, sides, exclusive, reverse, |a, b| Some(a + b)),
        Numbers::Bytes(_) => None,
        Numbers::Integers(values) => run(values, sides, exclusive, reverse, i64::checked_add),
    };
    done.ok_or("overflows")?;
    Ok(computed)
}

/// The index of the largest or smallest element along an axis: the first one of equal elements, or the last one.
pub(super) fn largest(tensor: &Tensor, axis: usize, keep: bool, smallest: bool, last: bool) -> Result<Tensor, Problem> {
    fn index<T: PartialOrd + Copy>(values: &[T], smallest: bool, last: bool) -> i64 {
        let mut best = 0;
        for (at, value) in values.iter().enumerate().skip(1) {
            let better = if smallest { *value < values[best] } else { *value > values[best] };
            if better || last && *value == values[best] {
                best = at;
            }
        }
        best as i64
    }
    if tensor.shape[axis] == 0 {
        return Err("has no elements along its axis".into());
    }
    let shape = reduced(&tensor.shape, &[axis], keep);
    let found = if let Numbers::Floats(values) = &tensor.numbers {
        let (values, len) = grouped(values, &tensor.shape, &[axis]);
        values.chunks_exact(len).map(|group| index(group, smallest, last)).collect()
    } else {
        let values = integers_of(tensor).ok_or("has no elements")?;
        let (values, len) = grouped(&values, &tensor.shape, &[axis]);
        values.chunks_exact(len).map(|group| index(group, smallest, last)).collect()
    };
    Ok(Tensor { element: ElementType::I64, shape, numbers: Numbers::Integers(found) })
}

/// The largest or smallest elements along an axis, and their indices, by the layer that also computes them where they depend on the picture.
pub(super) fn top(operation: &Operation, tensor: &Tensor) -> Result<Vec<Tensor>, Problem> {
    let floats = Tensor { element: ElementType::F32, shape: tensor.shape.clone(), numbers: Numbers::Floats(floats_of(tensor)) };
    let operands = [Some(Operand::of(&floats))];
    let types = operation.types(&operands)?;
    let layer = TensorLayer::new(operation, &operands, &types)?;
    let shape = &types[0].shape;
    let run = |result: usize| {
        let mut output = vec![0.0; bounded_elements(shape, MAX_GROWN)?];
        layer.run(Instructions::widest(), &[], result, &mut output, &mut vec![0.0; layer.scratch()]);
        Ok::<_, Problem>(output)
    };
    #[expect(clippy::cast_possible_truncation, reason = "positions are whole numbers")]
    let positions: Vec<i64> = run(1)?.into_iter().map(|position| position as i64).collect();
    let numbers = match integers_of(tensor) {
        None => Numbers::Floats(run(0)?),
        Some(values) if values.iter().any(|value| value.unsigned_abs() >= 1 << 24) => {
            return Err("sorts integers that are too large".into());
        }
        #[expect(clippy::cast_possible_truncation, reason = "they were integers")]
        Some(_) => integer_numbers(tensor.element, run(0)?.into_iter().map(|value| value as i64).collect())?,
    };
    let positions = Tensor { element: ElementType::I64, shape: shape.clone(), numbers: Numbers::Integers(positions) };
    Ok(vec![Tensor { element: tensor.element, shape: shape.clone(), numbers }, positions])
}

/// The product of matrices, added in the same order as where the operands depend on the picture.
pub(super) fn product(a: &Tensor, b: &Tensor) -> Result<Tensor, Problem> {
    let shape = matrix_product(&Operation::MatMul, &[Some(Operand::of(a)), Some(Operand::of(b))])?;
    let ([rows, inner], [_, columns]) = (matrix(&a.shape, true), matrix(&b.shape, false));
    let count = bounded_elements(&shape, MAX_GROWN)?;
    let batch = |shape: &[usize], matrix: [usize; 2]| [&shape[..shape.len().saturating_sub(2)], &matrix[..]].concat();
    let outer = broadcast_shapes(&a.shape[..a.shape.len().saturating_sub(2)], &b.shape[..b.shape.len().saturating_sub(2)])?;
    let spread = |tensor: &Tensor, matrix: [usize; 2]| -> Result<Vec<f32>, Problem> {
        let to = [&outer[..], &matrix[..]].concat();
        let mut computed = vec![0.0; bounded_elements(&to, MAX_GROWN)?];
        if !computed.is_empty() {
            View::new(&batch(&tensor.shape, matrix)).expanded(&to).copy(&floats_of(tensor), &mut computed);
        }
        Ok(computed)
    };
    let (from, other) = (spread(a, [rows, inner])?, spread(b, [inner, columns])?);
    let mut computed = vec![0.0; count];
    for (at, sum) in computed.iter_mut().enumerate() {
        let (row, column) = (at / columns, at % columns);
        let matrix = row / rows * inner * columns;
        for k in 0..inner {
            *sum = fused_multiply_add(from[row * inner + k], other[matrix + k * columns + column], *sum);
        }
    }
    Ok(Tensor { element: a.element, shape, numbers: Numbers::Floats(computed) })
}

/// Rows and columns of the last two axes; a vector is a row or a column.
fn matrix(shape: &[usize], row: bool) -> [usize; 2] {
    match *shape {
        [.., rows, columns] => [rows, columns],
        [len] => {
            if row {
                [1, len]
            } else {
                [len, 1]
            }
        }
        [] => [1, 1],
    }
}
