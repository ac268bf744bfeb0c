//! Operators that make a tensor from nothing but attributes, shapes or a few numbers.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::super::MAX_GROWN;
use super::super::call::{Call, Problem, elements, integers_of};
use super::super::operation::Operation;
use super::super::types::bounded_elements;
use crate::graph::{Attribute, ElementType, Numbers, Tensor};

pub(super) fn resolve(operator: &str, call: &Call<'_>) -> Result<Option<Operation>, Problem> {
    Ok(Some(match operator {
        "Constant" => Operation::Constant(constant(call)?),
        "Shape" => Operation::Constant(shape(call)?),
        "Size" => {
            let count = elements(call.operand(0)?.shape).ok_or("is too large")?;
            Operation::Constant(Tensor { element: ElementType::I64, shape: vec![], numbers: Numbers::Integers(vec![integer(count)?]) })
        }
        "ConstantOfShape" => Operation::Constant(constant_of_shape(call)?),
        "Range" => Operation::Constant(range(call)?),
        "Trilu" => trilu(call)?,
        "EyeLike" => Operation::Constant(eye(call)?),
        _ => return Ok(None),
    }))
}

fn integer(value: usize) -> Result<i64, Problem> {
    i64::try_from(value).map_err(|_| "is too large".into())
}

fn constant(call: &Call<'_>) -> Result<Tensor, Problem> {
    let attributes = &call.node.attributes;
    let vector = |element, numbers: Numbers, count| Tensor { element, shape: count, numbers };
    for (name, attribute) in attributes {
        return Ok(match (name.as_str(), attribute) {
            ("value", Attribute::Tensor(tensor)) => tensor.clone(),
            ("value_float", Attribute::Float(value)) => vector(ElementType::F32, Numbers::Floats(vec![*value]), vec![]),
            ("value_floats", Attribute::Floats(values)) => vector(ElementType::F32, Numbers::Floats(values.clone()), vec![values.len()]),
            ("value_int", Attribute::Int(value)) => vector(ElementType::I64, Numbers::Integers(vec![*value]), vec![]),
            ("value_ints", Attribute::Ints(values)) => vector(ElementType::I64, Numbers::Integers(values.clone()), vec![values.len()]),
            _ => continue,
        });
    }
    Err("has no value of numbers".into())
}

fn shape(call: &Call<'_>) -> Result<Tensor, Problem> {
    let shape = call.operand(0)?.shape;
    let rank = integer(shape.len())?;
    let bound = |value: i64| usize::try_from(if value < 0 { value.saturating_add(rank) } else { value }.clamp(0, rank)).unwrap_or(0);
    let (start, end) = (bound(call.int_or("start", 0)?), bound(call.int_or("end", rank)?));
    let sides: Vec<i64> = shape[start..end.max(start)].iter().map(|&side| integer(side)).collect::<Result<_, _>>()?;
    Ok(Tensor { element: ElementType::I64, shape: vec![sides.len()], numbers: Numbers::Integers(sides) })
}

fn constant_of_shape(call: &Call<'_>) -> Result<Tensor, Problem> {
    let shape = call.integers(0, "shape")?.ok_or("has no shape")?;
    let shape =
        shape.iter().map(|&side| usize::try_from(side).map_err(|_| format!("a dimension of {side}"))).collect::<Result<Vec<_>, _>>()?;
    let count = bounded_elements(&shape, MAX_GROWN)?;
    match call.attribute("value") {
        None => Ok(Tensor { element: ElementType::F32, shape, numbers: Numbers::Floats(vec![0.0; count]) }),
        Some(Attribute::Tensor(tensor)) => {
            let numbers = match &tensor.numbers {
                Numbers::Floats(values) if values.len() == 1 => Numbers::Floats(vec![values[0]; count]),
                Numbers::Bytes(values) if values.len() == 1 => Numbers::Bytes(vec![values[0]; count]),
                Numbers::Integers(values) if values.len() == 1 => Numbers::Integers(vec![values[0]; count]),
                _ => return Err("does not have one value".into()),
            };
            Ok(Tensor { element: tensor.element, shape, numbers })
        }
        Some(_) => Err("attribute `value` is not a tensor".into()),
    }
}

fn range(call: &Call<'_>) -> Result<Tensor, Problem> {
    let element = call.operand(0)?.element;
    let operand = |index| call.constant(index, "bounds")?.ok_or_else(|| Problem::from("needs three operands"));
    let (start, limit, delta) = (operand(0)?, operand(1)?, operand(2)?);
    if let (Some(start), Some(limit), Some(delta)) = (integers_of(start), integers_of(limit), integers_of(delta)) {
        let (&[start], &[limit], &[delta]) = (&start[..], &limit[..], &delta[..]) else {
            return Err("has limits that are not single numbers".into());
        };
        return integer_range(element, i128::from(start), i128::from(limit), i128::from(delta));
    }
    let one = |index| call.scalar(index, "bounds")?.ok_or_else(|| Problem::from("needs three operands"));
    let (start, limit, delta) = (one(0)?, one(1)?, one(2)?);
    let count = libm::ceil((f64::from(limit) - f64::from(start)) / f64::from(delta));
    if count.is_nan() || count > 16_777_216.0 {
        return Err("makes more elements than supported".into());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "limited above, and negative counts are 0")]
    let count = count.max(0.0) as u32;
    #[expect(clippy::cast_possible_truncation, reason = "rounded to the type of the elements")]
    let numbers: Vec<f32> = (0..count).map(|at| (f64::from(start) + f64::from(at) * f64::from(delta)) as f32).collect();
    Ok(Tensor { element, shape: vec![numbers.len()], numbers: Numbers::Floats(numbers) })
}

fn integer_range(element: ElementType, start: i128, limit: i128, delta: i128) -> Result<Tensor, Problem> {
    if delta == 0 {
        return Err("has a step of 0".into());
    }
    let distance = if delta > 0 { limit - start } else { start - limit };
    let step = delta.unsigned_abs();
    let count = distance.max(0).unsigned_abs().div_ceil(step);
    let count = usize::try_from(count).ok().filter(|&count| count <= MAX_GROWN).ok_or("makes more elements than supported")?;
    let at = |index: usize| i64::try_from(start + index as i128 * delta).map_err(|_| Problem::from("overflows"));
    let numbers = (0..count).map(at).collect::<Result<Vec<_>, _>>()?;
    Ok(Tensor { element, shape: vec![count], numbers: super::super::evaluate::integer_numbers(element, numbers)? })
}

fn trilu(call: &Call<'_>) -> Result<Operation, Problem> {
    if call.operand(0)?.rank() < 2 {
        return Err("has no matrices".into());
    }
    let diagonal = match call.integers(1, "diagonal")?.as_deref() {
        None => 0,
        Some([diagonal]) => *diagonal,
        Some(_) => return Err("does not have one diagonal".into()),
    };
    Ok(Operation::Trilu { upper: call.flag("upper", true)?, diagonal })
}

fn eye(call: &Call<'_>) -> Result<Tensor, Problem> {
    let operand = call.operand(0)?;
    let &[rows, columns] = operand.shape else { return Err("is not of a matrix".into()) };
    let element = call.int("dtype")?.map_or(Ok(operand.element), super::pointwise::element_of)?;
    let diagonal = call.int_or("k", 0)?;
    let count = bounded_elements(operand.shape, MAX_GROWN)?;
    let mut numbers = vec![0; count];
    for row in 0..rows {
        let column = integer(row)?.checked_add(diagonal).and_then(|column| usize::try_from(column).ok());
        if let Some(column) = column.filter(|&column| column < columns) {
            numbers[row * columns + column] = 1;
        }
    }
    let numbers = super::super::evaluate::numbers_of(element, numbers)?;
    Ok(Tensor { element, shape: operand.shape.into(), numbers })
}
