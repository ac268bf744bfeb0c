//! Selecting and replacing elements at indices that depend on the picture.
//!
//! The indices become numbers of rows, and rows are selected by `Gather` or replaced by `ScatterND`. Numbers of rows are floats, exact up
//! to 2^24. An index that does not exist becomes NaN, and so do the elements that it selects.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Call, Parts, Problem, input};
use crate::fold::types::bounded_elements;
use crate::graph::{Attribute, Tensor};

/// The largest number of rows: every smaller integer is a float.
const MAX_ROWS: usize = 1 << 24;

pub(super) fn expand(call: &Call<'_>, parts: &mut Parts) -> Result<bool, Problem> {
    let constant = |at: usize| call.optional(at).is_none_or(|operand| operand.constant.is_some());
    // On constants folding selects elements itself, but not in batches.
    let folded = (0..call.operands.len()).all(constant) && (call.node.operator != "GatherND" || call.int_or("batch_dims", 0)? == 0);
    if folded || call.optional(1).is_none() {
        return Ok(false);
    }
    let result = match call.node.operator.as_str() {
        "GatherElements" if !constant(1) => gather_elements(call, parts)?,
        "GatherND" => gather_slices(call, parts)?,
        "ScatterElements" | "Scatter" if !constant(1) => scatter_elements(call, parts)?,
        // Rows with an index each stay as they are: the layer replaces them.
        "ScatterND" if !constant(1) && !has_rows(call) => scatter_slices(call, parts)?,
        _ => return Ok(false),
    };
    parts.give(call, 0, &result);
    Ok(true)
}

fn has_rows(call: &Call<'_>) -> bool {
    call.optional(1).is_some_and(|indices| matches!(indices.shape, [_, 1])) && call.optional(0).is_some_and(|data| data.rank() == 2)
}

fn product(sides: &[usize]) -> Result<usize, Problem> {
    bounded_elements(sides, MAX_ROWS)
}

/// A constant of whole numbers.
fn numbers(parts: &mut Parts, shape: &[usize], numbers: impl Iterator<Item = usize>) -> String {
    #[expect(clippy::cast_precision_loss, reason = "at most MAX_ROWS")]
    let numbers = numbers.map(|number| number as f32).collect();
    parts.constant(Tensor::of_floats(shape, numbers))
}

/// Indices from the front; NaN for those that do not exist. `sides`: the name of the lengths of their axes.
fn from_front(parts: &mut Parts, indices: &str, sides: &str) -> String {
    let indices = parts.float(indices);
    let (zero, nowhere) = (parts.number(0.0), parts.number(f32::NAN));
    let negative = parts.op("Less", &[&indices, &zero], &[]);
    let wrapped = parts.op("Add", &[&indices, sides], &[]);
    let indices = parts.op("Where", &[&negative, &wrapped, &indices], &[]);
    let (low, high) = (parts.op("GreaterOrEqual", &[&indices, &zero], &[]), parts.op("Less", &[&indices, sides], &[]));
    let exists = parts.op("And", &[&low, &high], &[]);
    parts.op("Where", &[&exists, &indices, &nowhere], &[])
}

/// For each index the number of the element that it selects, in one axis.
fn element_rows(call: &Call<'_>, parts: &mut Parts) -> Result<String, Problem> {
    let (shape, indices) = (call.operand(0)?.shape, call.operand(1)?.shape);
    let axis = call.axis(0, shape.len())?;
    let fits = indices.len() == shape.len() && (0..shape.len()).all(|other| other == axis || indices[other] <= shape[other]);
    if !fits || product(shape)? == 0 {
        return Err("has indices that do not fit its operand".into());
    }
    let stride = |axis: usize| shape[axis + 1..].iter().product::<usize>();
    let base = |at: usize| {
        let mut rest = at;
        let mut sum = 0;
        for other in (0..shape.len()).rev() {
            sum += if other == axis { 0 } else { rest % indices[other] * stride(other) };
            rest /= indices[other];
        }
        sum
    };
    let base = numbers(parts, indices, (0..product(indices)?).map(base));
    let side = numbers(parts, &[], [shape[axis]].into_iter());
    let steps = numbers(parts, &[], [stride(axis)].into_iter());
    let indices_here = from_front(parts, input(call, 1), &side);
    let rows = parts.op("Mul", &[&indices_here, &steps], &[]);
    let rows = parts.op("Add", &[&rows, &base], &[]);
    parts.reshape(&rows, &[product(indices)?])
}

/// For each tuple of indices the number of the slice that it selects, in one axis; how many slices there are, and their length.
fn slice_rows(call: &Call<'_>, parts: &mut Parts, batch: usize) -> Result<(String, [usize; 2]), Problem> {
    let (shape, indices) = (call.operand(0)?.shape, call.operand(1)?.shape);
    let (&depth, tuples) = indices.split_last().ok_or("has indices without dimensions")?;
    let end = batch.saturating_add(depth);
    if depth == 0 || end > shape.len() || batch > tuples.len() || shape[..batch] != tuples[..batch] || product(shape)? == 0 {
        return Err("has indices that do not fit its operand".into());
    }
    let sides = &shape[batch..end];
    let count = product(tuples)?;
    let each = product(sides)?;
    let block = (count / product(&shape[..batch])?.max(1)).max(1);
    let names = numbers(parts, &[depth], sides.iter().copied());
    let strides = numbers(parts, &[depth], (0..depth).map(|at| sides[at + 1..].iter().product()));
    let here = from_front(parts, input(call, 1), &names);
    let steps = parts.op("Mul", &[&here, &strides], &[]);
    let last = parts.constant(Tensor::of_integers([-1].into()));
    let rows = parts.op("ReduceSum", &[&steps, &last], &[("keepdims", Attribute::Int(0))]);
    let mut rows = parts.reshape(&rows, &[count])?;
    if batch > 0 {
        let base = numbers(parts, &[count], (0..count).map(|at| at / block * each));
        rows = parts.op("Add", &[&rows, &base], &[]);
    }
    Ok((rows, [product(&shape[..end])?, product(&shape[end..])?]))
}

fn gather_elements(call: &Call<'_>, parts: &mut Parts) -> Result<String, Problem> {
    let rows = element_rows(call, parts)?;
    let flat = parts.reshape(input(call, 0), &[product(call.operand(0)?.shape)?])?;
    let picked = parts.op("Gather", &[&flat, &rows], &[("axis", Attribute::Int(0))]);
    parts.reshape(&picked, call.operand(1)?.shape)
}

fn gather_slices(call: &Call<'_>, parts: &mut Parts) -> Result<String, Problem> {
    let batch = usize::try_from(call.int_or("batch_dims", 0)?).map_err(|_| "has a negative number of batches")?;
    let (rows, [count, len]) = slice_rows(call, parts, batch)?;
    let (shape, indices) = (call.operand(0)?.shape, call.operand(1)?.shape);
    let (depth, tuples) = indices.split_last().ok_or("has no indices")?;
    let apart = parts.reshape(input(call, 0), &[count, len])?;
    // Constant indices are folded to floats; `Gather` wants integers.
    let rows = parts.op("Cast", &[&rows], &[("to", Attribute::Int(7))]);
    let picked = parts.op("Gather", &[&apart, &rows], &[("axis", Attribute::Int(0))]);
    let result: Vec<usize> = [tuples, &shape[batch + depth..]].concat();
    parts.reshape(&picked, &result)
}

fn check_reduction(call: &Call<'_>) -> Result<(), Problem> {
    if call.text_or("reduction", "none")? == "none" { Ok(()) } else { Err("with a reduction is not supported".into()) }
}

fn scatter_elements(call: &Call<'_>, parts: &mut Parts) -> Result<String, Problem> {
    check_reduction(call)?;
    let (shape, indices) = (call.operand(0)?.shape, call.operand(1)?.shape);
    if call.operand(2)?.shape != indices {
        return Err("has updates that do not fit its indices".into());
    }
    let rows = element_rows(call, parts)?;
    placed(parts, [input(call, 0), &rows, input(call, 2)], [product(shape)?, product(indices)?, 1], shape)
}

fn scatter_slices(call: &Call<'_>, parts: &mut Parts) -> Result<String, Problem> {
    check_reduction(call)?;
    let (shape, indices) = (call.operand(0)?.shape, call.operand(1)?.shape);
    let (depth, tuples) = indices.split_last().ok_or("has no indices")?;
    if call.operand(2)?.shape != [tuples, shape.get(*depth..).unwrap_or(&[])].concat() {
        return Err("has updates that do not fit its indices".into());
    }
    let (rows, [count, len]) = slice_rows(call, parts, 0)?;
    placed(parts, [input(call, 0), &rows, input(call, 2)], [count, product(tuples)?, len], shape)
}

/// A value with rows replaced: the value, the numbers of the rows, and the new rows.
fn placed(parts: &mut Parts, [data, rows, new]: [&str; 3], [count, given, len]: [usize; 3], shape: &[usize]) -> Result<String, Problem> {
    let data = parts.reshape(data, &[count, len])?;
    let rows = parts.reshape(rows, &[given, 1])?;
    let new = parts.reshape(new, &[given, len])?;
    let placed = parts.op("ScatterND", &[&data, &rows, &new], &[]);
    parts.reshape(&placed, shape)
}
