//! Matrix products.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::super::call::{Call, Operand, Problem};
use super::super::operation::Operation;
use super::pointwise::broadcast_shapes;

pub(super) fn resolve(operator: &str, call: &Call<'_>) -> Result<Option<Operation>, Problem> {
    match operator {
        "Gemm" => {
            let operation = Operation::Gemm {
                transpose_a: call.flag("transA", false)?,
                transpose_b: call.flag("transB", false)?,
                alpha: call.float_or("alpha", 1.0)?,
                beta: call.float_or("beta", 1.0)?,
            };
            call.operand(1)?;
            let shape = result(&operation, &call.operands)?;
            if let Some(c) = call.optional(2)
                && broadcast_shapes(c.shape, &shape)? != shape
            {
                return Err(format!("adds {:?} to {shape:?}", c.shape));
            }
            Ok(Some(operation))
        }
        "MatMul" => {
            call.operand(1)?;
            Ok(Some(Operation::MatMul))
        }
        _ => Ok(None),
    }
}

/// The shape of the result of an operation of this family.
pub(crate) fn result(operation: &Operation, operands: &[Option<Operand<'_>>]) -> Result<Vec<usize>, Problem> {
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
    product(a.shape, b.shape).ok_or_else(unfit)
}

/// The shape of a product: a vector is a matrix with one row if it comes first and one column if it comes last, and that axis is removed
/// again.
fn product(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
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
