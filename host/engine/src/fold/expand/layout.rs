//! Operators that rearrange, select or sum elements of a value that depends on the picture.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{Call, Parts, Problem, given, input, integers};
use crate::fold::MAX_GROWN;
use crate::fold::call::{axis_of, integers_of};
use crate::fold::operation::is_float;
use crate::fold::types::bounded_elements;
use crate::graph::{Attribute, ElementType, Numbers, Tensor};

pub(super) fn expand(call: &Call<'_>, parts: &mut Parts) -> Result<bool, Problem> {
    let constant = call.operands.iter().flatten().all(|operand| operand.constant.is_some());
    let result = match call.node.operator.as_str() {
        "Concat" => match without_empty(call, parts)? {
            Some(rest) => rest,
            None => return Ok(false),
        },
        "OneHot" => one_hot(call, parts)?,
        "ScatterElements" | "Scatter" if constant => scatter(call, parts)?,
        _ if constant => return Ok(false),
        "Clip" if [1, 2].iter().any(|&at| call.optional(at).is_some_and(|bound| bound.constant.is_none())) => clip(call, parts),
        "CumSum" if is_float(call.operand(0)?.element) => cumulate(call, parts)?,
        "Trilu" => triangle(call, parts)?,
        "GatherElements" if call.operand(1)?.constant.is_some() => gather(call, parts)?,
        "GatherND" if call.operand(1)?.constant.is_some() && call.int_or("batch_dims", 0)? == 0 => gather_slices(call, parts)?,
        "ScatterND" | "ScatterElements" | "Scatter" if call.operand(1)?.constant.is_some() => scatter(call, parts)?,
        _ => return Ok(false),
    };
    parts.give(call, 0, &result);
    Ok(true)
}

/// A concatenation without operands that have no elements.
fn without_empty(call: &Call<'_>, parts: &mut Parts) -> Result<Option<String>, Problem> {
    let operands = call.all()?;
    let full: Vec<&str> = (0..operands.len()).filter(|&at| !operands[at].shape.contains(&0)).map(|at| input(call, at)).collect();
    if full.is_empty() || full.len() == operands.len() {
        return Ok(None);
    }
    let axis = Attribute::Int(call.int("axis")?.ok_or("has no axis")?);
    Ok(Some(parts.op("Concat", &full, &[("axis", axis)])))
}

/// The smaller of the upper bound and the larger of the lower bound and x.
fn clip(call: &Call<'_>, parts: &mut Parts) -> String {
    let mut value = String::from(input(call, 0));
    for (at, operator) in [(1, "Max"), (2, "Min")] {
        if given(call, at) {
            value = parts.op(operator, &[&value, input(call, at)], &[]);
        }
    }
    value
}

/// `CumSum`: a product with a triangle of ones.
fn cumulate(call: &Call<'_>, parts: &mut Parts) -> Result<String, Problem> {
    let shape = call.operand(0)?.shape;
    let Some(&[axis]) = call.integers(1, "axis")?.as_deref() else { return Err("does not have one axis".into()) };
    let axis = axis_of(axis, shape.len())?;
    let side = shape[axis];
    let (exclusive, reverse) = (call.flag("exclusive", false)?, call.flag("reverse", false)?);
    let counts = |at: usize| {
        let (from, to) = if reverse { (at % side, at / side) } else { (at / side, at % side) };
        if from < to || from == to && !exclusive { 1.0 } else { 0.0 }
    };
    let numbers = (0..bounded_elements(&[side, side], MAX_GROWN)?).map(counts).collect();
    let ones = parts.constant(Tensor { element: ElementType::F32, shape: vec![side, side], numbers: Numbers::Floats(numbers) });
    let mut order: Vec<usize> = (0..shape.len()).collect();
    order.swap(axis, shape.len() - 1);
    let turned = parts.transpose(input(call, 0), &order)?;
    let sums = parts.op("MatMul", &[&turned, &ones], &[]);
    parts.transpose(&sums, &order)
}

/// `Trilu`: elements outside a triangle become 0.
fn triangle(call: &Call<'_>, parts: &mut Parts) -> Result<String, Problem> {
    let &[.., rows, columns] = call.operand(0)?.shape else { return Err("has no matrices".into()) };
    let one = parts.number(1.0);
    let sides = integers(&[rows, columns])?;
    let shape = parts.constant(Tensor { element: ElementType::I64, shape: vec![2], numbers: Numbers::Integers(sides) });
    let ones = parts.op("Expand", &[&one, &shape], &[]);
    let mut inputs = vec![ones.as_str()];
    inputs.extend(call.node.inputs.get(1).map(String::as_str));
    let seen = parts.op("Trilu", &inputs, &[("upper", Attribute::Int(call.int_or("upper", 1)?))]);
    let seen = parts.op("Cast", &[&seen], &[("to", Attribute::Int(9))]);
    let zero = parts.number(0.0);
    Ok(parts.op("Where", &[&seen, input(call, 0), &zero], &[]))
}

/// Elements by their number in row-major order.
fn gather(call: &Call<'_>, parts: &mut Parts) -> Result<String, Problem> {
    let shape = call.operand(0)?.shape;
    let flat = parts.reshape(input(call, 0), &[shape.iter().product()])?;
    let places = integers(&element_places(call)?)?;
    let places = Tensor { element: ElementType::I64, shape: call.operand(1)?.shape.into(), numbers: Numbers::Integers(places) };
    let places = parts.constant(places);
    Ok(parts.op("Gather", &[&flat, &places], &[("axis", Attribute::Int(0))]))
}

/// The elements of slices by their number in row-major order.
fn gather_slices(call: &Call<'_>, parts: &mut Parts) -> Result<String, Problem> {
    let (shape, indices) = (call.operand(0)?.shape, call.operand(1)?.shape);
    let places = integers(&slice_places(call)?)?;
    let (depth, rows) = indices.split_last().ok_or("has no indices")?;
    let result = [rows, shape.get(*depth..).unwrap_or(&[])].concat();
    let flat = parts.reshape(input(call, 0), &[shape.iter().product()])?;
    let places = parts.constant(Tensor { element: ElementType::I64, shape: result, numbers: Numbers::Integers(places) });
    Ok(parts.op("Gather", &[&flat, &places], &[("axis", Attribute::Int(0))]))
}

/// For each index of `GatherElements` or `ScatterElements` the number of the element that it selects.
fn element_places(call: &Call<'_>) -> Result<Vec<usize>, Problem> {
    let (shape, indices) = (call.operand(0)?.shape, call.operand(1)?);
    let axis = call.axis(0, shape.len())?;
    let fits = indices.rank() == shape.len() && (0..shape.len()).all(|other| other == axis || indices.shape[other] <= shape[other]);
    let numbers = indices.constant.and_then(integers_of).filter(|_| fits).ok_or("has indices that do not fit its operand")?;
    let place = |(at, &index): (usize, &i64)| {
        let (mut rest, mut place, mut stride) = (at, 0, 1);
        for other in (0..shape.len()).rev() {
            let own = rest % indices.shape[other];
            rest /= indices.shape[other];
            place += stride
                * if other == axis {
                    axis_of(index, shape[axis]).map_err(|_| Problem::from("has an index that does not exist"))?
                } else {
                    own
                };
            stride *= shape[other];
        }
        Ok(place)
    };
    numbers.iter().enumerate().map(place).collect()
}

/// For each element of what `GatherND` gives, or of the updates of `ScatterND`, the number of the element that it selects.
fn slice_places(call: &Call<'_>) -> Result<Vec<usize>, Problem> {
    let (shape, indices) = (call.operand(0)?.shape, call.operand(1)?);
    let depth = indices.shape.last().copied().filter(|&depth| 0 < depth && depth <= shape.len()).ok_or("has indices that do not fit")?;
    let numbers = indices.constant.and_then(integers_of).ok_or("has indices that are no integers")?;
    let inner: usize = shape[depth..].iter().product();
    let mut places = Vec::new();
    for index in numbers.chunks_exact(depth) {
        let mut start = 0;
        for (&index, &side) in index.iter().zip(shape) {
            start = start * side + axis_of(index, side).map_err(|_| "has an index that does not exist")?;
        }
        if places.len().saturating_add(inner) > MAX_GROWN {
            return Err("replaces more elements than supported".into());
        }
        places.extend(start * inner..(start + 1) * inner);
    }
    Ok(places)
}

/// Selects elements from the operand followed by the updates, by their number.
fn scatter(call: &Call<'_>, parts: &mut Parts) -> Result<String, Problem> {
    if call.text_or("reduction", "none")? != "none" {
        return Err("with a reduction is not supported".into());
    }
    let (shape, updates) = (call.operand(0)?.shape, call.operand(2)?.shape);
    let count = bounded_elements(shape, MAX_GROWN)?;
    let places = if call.node.operator == "ScatterND" { slice_places(call)? } else { element_places(call)? };
    if bounded_elements(updates, MAX_GROWN)? != places.len() {
        return Err("has updates that do not fit its indices".into());
    }
    let mut sources: Vec<usize> = (0..count).collect();
    for (at, &place) in places.iter().enumerate() {
        sources[place] = count + at;
    }
    let (old, new) = (parts.reshape(input(call, 0), &[count])?, parts.reshape(input(call, 2), &[places.len()])?);
    let all = parts.op("Concat", &[&old, &new], &[("axis", Attribute::Int(0))]);
    let sources = Tensor { element: ElementType::I64, shape: shape.into(), numbers: Numbers::Integers(integers(&sources)?) };
    let sources = parts.constant(sources);
    Ok(parts.op("Gather", &[&all, &sources], &[("axis", Attribute::Int(0))]))
}

/// `OneHot`: the second of two values where the class equals the index, else the first. Negative indices count from the end.
fn one_hot(call: &Call<'_>, parts: &mut Parts) -> Result<String, Problem> {
    let rank = call.operand(0)?.rank();
    let Some(&[depth]) = call.reals(1, "depth")?.as_deref() else { return Err("does not have one depth".into()) };
    if !(1.0..=1_048_576.0).contains(&depth) || libm::truncf(depth) != depth {
        return Err("has a depth that is not supported".into());
    }
    let axis = axis_of(call.int_or("axis", -1)?, rank + 1)?;
    let mut shape = vec![1; rank + 1];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let classes = depth as usize;
    shape[axis] = classes;
    let numbers = (0..classes).map(|class| class as f32).collect();
    let classes = parts.constant(Tensor { element: ElementType::F32, shape, numbers: Numbers::Floats(numbers) });
    let indices = parts.float(input(call, 0));
    let indices = parts.op("Unsqueeze", &[&indices], &[("axes", Attribute::Ints(integers(&[axis])?))]);
    let (zero, depth) = (parts.number(0.0), parts.number(depth));
    let (negative, wrapped) = (parts.op("Less", &[&indices, &zero], &[]), parts.op("Add", &[&indices, &depth], &[]));
    let indices = parts.op("Where", &[&negative, &wrapped, &indices], &[]);
    let same = parts.op("Equal", &[&indices, &classes], &[]);
    let value = |parts: &mut Parts, index: i64| {
        let index = parts.constant(Tensor { element: ElementType::I64, shape: vec![], numbers: Numbers::Integers(vec![index]) });
        parts.op("Gather", &[input(call, 2), &index], &[("axis", Attribute::Int(0))])
    };
    let (off, on) = (value(parts, 0), value(parts, 1));
    Ok(parts.op("Where", &[&same, &on, &off], &[]))
}
