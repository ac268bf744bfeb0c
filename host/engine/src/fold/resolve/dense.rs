//! Matrix products.

use alloc::format;

use super::super::call::{Call, Problem};
use super::super::operation::Operation;
use super::super::types::{broadcast_shapes, matrix_product};

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
            let shape = matrix_product(&operation, &call.operands)?;
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
