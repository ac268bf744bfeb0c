//! Operators that combine many elements of an axis.

use alloc::format;

use super::super::call::{Call, Problem, axes_of, axis_of};
use super::super::operation::Operation;
use crate::kernels::tensor::Reduction;

pub(super) fn resolve(operator: &str, call: &Call<'_>) -> Result<Option<Operation>, Problem> {
    if let Some(reduction) = reduction(operator) {
        return reduce(reduction, call).map(Some);
    }
    match operator {
        "ArgMax" | "ArgMin" => Ok(Some(Operation::ArgMax {
            axis: call.axis(0, call.operand(0)?.rank())?,
            keep: call.flag("keepdims", true)?,
            smallest: operator == "ArgMin",
            last: call.flag("select_last_index", false)?,
        })),
        "TopK" => top(call).map(Some),
        "Softmax" | "LogSoftmax" => softmax(operator == "LogSoftmax", call).map(Some),
        "CumSum" => {
            let axis = call.integers(1, "axis")?.ok_or("has no axis")?;
            let [axis] = axis[..] else { return Err("does not have one axis".into()) };
            let axis = axis_of(axis, call.operand(0)?.rank())?;
            Ok(Some(Operation::CumSum { axis, exclusive: call.flag("exclusive", false)?, reverse: call.flag("reverse", false)? }))
        }
        _ => Ok(None),
    }
}

fn reduction(operator: &str) -> Option<Reduction> {
    Some(match operator {
        "ReduceSum" => Reduction::Sum,
        "ReduceMean" => Reduction::Mean,
        "ReduceMax" => Reduction::Max,
        "ReduceMin" => Reduction::Min,
        "ReduceProd" => Reduction::Prod,
        "ReduceL1" => Reduction::L1,
        "ReduceL2" => Reduction::L2,
        "ReduceSumSquare" => Reduction::SumSquare,
        "ReduceLogSum" => Reduction::LogSum,
        "ReduceLogSumExp" => Reduction::LogSumExp,
        _ => return None,
    })
}

fn reduce(reduction: Reduction, call: &Call<'_>) -> Result<Operation, Problem> {
    let shape = call.operand(0)?.shape;
    let axes = call.list("axes", 1)?.unwrap_or_default();
    if axes.is_empty() && call.flag("noop_with_empty_axes", false)? {
        return Ok(Operation::Keep);
    }
    let axes = if axes.is_empty() { (0..shape.len()).collect() } else { axes_of(&axes, shape.len())? };
    if axes.iter().any(|&axis| shape[axis] == 0) && reduction != Reduction::Sum && reduction != Reduction::Prod {
        return Err(format!("reduces no elements of {shape:?}"));
    }
    Ok(Operation::Reduce { reduction, axes, keep: call.flag("keepdims", true)? })
}

fn top(call: &Call<'_>) -> Result<Operation, Problem> {
    let shape = call.operand(0)?.shape;
    let axis = call.axis(-1, shape.len())?;
    // Up to opset 9 the number is an attribute.
    let count = match (call.int("k")?, call.integers(1, "number of elements")?.as_deref()) {
        (Some(count), _) | (None, Some(&[count])) => usize::try_from(count).ok(),
        _ => None,
    };
    let count = count.filter(|&count| count <= shape[axis]).ok_or("does not have a number of elements that fits its axis")?;
    Ok(Operation::TopK { axis, count, smallest: !call.flag("largest", true)? })
}

fn softmax(log: bool, call: &Call<'_>) -> Result<Operation, Problem> {
    let rank = call.operand(0)?.rank();
    // Up to opset 12 all axes from the given one on are treated as one.
    if call.opset >= 13 {
        return Ok(Operation::Softmax { axis: call.axis(-1, rank)?, axes: 1, log });
    }
    let axis = call.axis(1, rank)?;
    Ok(Operation::Softmax { axis, axes: rank - axis, log })
}
