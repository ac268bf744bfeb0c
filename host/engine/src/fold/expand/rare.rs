//! Operators that are rare in classifiers, and sums of any number of operands.

use alloc::format;
use alloc::vec::Vec;

use super::{Call, Parts, Problem, input};
use crate::fold::operation::is_float;
use crate::graph::{Attribute, Tensor};

pub(super) fn expand(call: &Call<'_>, parts: &mut Parts) -> Result<bool, Problem> {
    let x = input(call, 0);
    let result = match call.node.operator.as_str() {
        "Sum" | "Max" | "Min" if call.operands.len() != 2 => variadic(call, parts)?,
        "Mean" => {
            let sum = variadic(call, parts)?;
            let count = parts.number(call.operands.len() as f32);
            parts.op("Div", &[&sum, &count], &[])
        }
        "Tan" => {
            let (sine, cosine) = (parts.op("Sin", &[x], &[]), parts.op("Cos", &[x], &[]));
            parts.op("Div", &[&sine, &cosine], &[])
        }
        "Swish" if call.float_or("alpha", 1.0)?.to_bits() != 1.0f32.to_bits() => {
            let alpha = call.float_or("alpha", 1.0)?;
            scaled_sigmoid(parts, x, alpha)
        }
        "Hardmax" if call.opset >= 13 => hardmax(call, parts)?,
        "Div" if is_integer_division(call) => integer_division(call, parts),
        "Shrink" => shrink(call, parts)?,
        "MeanVarianceNormalization" => mean_variance(call, parts)?,
        "GlobalLpPool" => global_lp(call, parts)?,
        "LpPool" => lp_pool(call, parts)?,
        _ => return Ok(false),
    };
    parts.give(call, 0, &result);
    Ok(true)
}

/// x times the sigmoid of alpha x.
pub(super) fn scaled_sigmoid(parts: &mut Parts, x: &str, alpha: f32) -> alloc::string::String {
    let alpha = parts.number(alpha);
    let scaled = parts.op("Mul", &[x, &alpha], &[]);
    let sigmoid = parts.op("Sigmoid", &[&scaled], &[]);
    parts.op("Mul", &[x, &sigmoid], &[])
}

/// The first two operands, then that and the third, and so on.
fn variadic(call: &Call<'_>, parts: &mut Parts) -> Result<alloc::string::String, Problem> {
    call.all()?;
    let operator = if call.node.operator == "Mean" { "Sum" } else { call.node.operator.as_str() };
    let first = parts.op("Identity", &[input(call, 0)], &[]);
    Ok((1..call.operands.len()).fold(first, |all, at| parts.op(operator, &[&all, input(call, at)], &[])))
}

/// `Hardmax`: 1 where the first largest element is, 0 elsewhere.
fn hardmax(call: &Call<'_>, parts: &mut Parts) -> Result<alloc::string::String, Problem> {
    let shape = call.operand(0)?.shape;
    let at = call.axis(-1, shape.len())?;
    let axis = Attribute::Int(call.int_or("axis", -1)?);
    let largest = parts.op("ArgMax", &[input(call, 0)], &[("axis", axis.clone()), ("keepdims", Attribute::Int(0))]);
    let depth = parts.number(shape[at] as f32);
    let values = parts.constant(Tensor::of_floats(&[2], alloc::vec![0.0, 1.0]));
    Ok(parts.op("OneHot", &[&largest, &depth, &values], &[("axis", axis)]))
}

/// A quotient of integers that depends on the picture.
fn is_integer_division(call: &Call<'_>) -> bool {
    let operands = || call.operands.iter().flatten();
    operands().all(|operand| !is_float(operand.element)) && operands().any(|operand| operand.constant.is_none())
}

/// The quotient of floats, rounded towards zero. For integers up to 2^24 it is exact.
fn integer_division(call: &Call<'_>, parts: &mut Parts) -> alloc::string::String {
    let (a, b) = (parts.float(input(call, 0)), parts.float(input(call, 1)));
    let quotient = parts.op("Div", &[&a, &b], &[]);
    parts.op("CastLike", &[&quotient, input(call, 0)], &[])
}

/// x + bias below -lambd, x - bias above lambd, else 0.
fn shrink(call: &Call<'_>, parts: &mut Parts) -> Result<alloc::string::String, Problem> {
    let (x, bias, bound) = (input(call, 0), call.float_or("bias", 0.0)?, call.float_or("lambd", 0.5)?);
    let [low, high, bias, zero] = [-bound, bound, bias, 0.0].map(|value| parts.number(value));
    let (is_low, is_high) = (parts.op("Less", &[x, &low], &[]), parts.op("Greater", &[x, &high], &[]));
    let (raised, lowered) = (parts.op("Add", &[x, &bias], &[]), parts.op("Sub", &[x, &bias], &[]));
    let above = parts.op("Where", &[&is_high, &lowered, &zero], &[]);
    Ok(parts.op("Where", &[&is_low, &raised, &above], &[]))
}

fn mean_variance(call: &Call<'_>, parts: &mut Parts) -> Result<alloc::string::String, Problem> {
    let x = input(call, 0);
    let axes = Attribute::Ints(call.ints("axes")?.unwrap_or(&[0, 2, 3]).to_vec());
    let mean = parts.op("ReduceMean", &[x], &[("axes", axes.clone())]);
    let centred = parts.op("Sub", &[x, &mean], &[]);
    let squares = parts.op("Mul", &[&centred, &centred], &[]);
    let variance = parts.op("ReduceMean", &[&squares], &[("axes", axes)]);
    let deviation = parts.op("Sqrt", &[&variance], &[]);
    let tiny = parts.number(1e-9);
    let deviation = parts.op("Add", &[&deviation, &tiny], &[]);
    Ok(parts.op("Div", &[&centred, &deviation], &[]))
}

fn global_lp(call: &Call<'_>, parts: &mut Parts) -> Result<alloc::string::String, Problem> {
    let rank = call.operand(0)?.rank();
    let axes = super::integers(&(2..rank).collect::<Vec<_>>())?;
    let operator = match call.int_or("p", 2)? {
        1 => "ReduceL1",
        2 => "ReduceL2",
        power => return Err(format!("a power of {power} is not supported; 1 and 2 are")),
    };
    Ok(parts.op(operator, &[input(call, 0)], &[("axes", Attribute::Ints(axes))]))
}

/// The mean of powers times the number of elements in the window.
fn lp_pool(call: &Call<'_>, parts: &mut Parts) -> Result<alloc::string::String, Problem> {
    // The mean over a window that exceeds the padding counts only the elements inside.
    if call.flag("ceil_mode", false)? {
        return Err("has ceil_mode, which is not supported".into());
    }
    let kernel = call.ints("kernel_shape")?.ok_or("has no kernel")?;
    let size = kernel.iter().try_fold(1_i64, |size, &side| size.checked_mul(side)).ok_or("has a kernel that is too large")?;
    let magnitude = parts.op("Abs", &[input(call, 0)], &[]);
    let root = match call.int_or("p", 2)? {
        1 => false,
        2 => true,
        power => return Err(format!("a power of {power} is not supported; 1 and 2 are")),
    };
    let powers = if root { parts.op("Mul", &[&magnitude, &magnitude], &[]) } else { magnitude };
    let mut attributes = call.node.attributes.clone();
    attributes.remove("p");
    attributes.insert("count_include_pad".into(), Attribute::Int(1));
    let attributes: Vec<_> = attributes.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let mean = parts.op("AveragePool", &[&powers], &attributes);
    let size = parts.number(size as f32);
    let sum = parts.op("Mul", &[&mean, &size], &[]);
    Ok(if root { parts.op("Sqrt", &[&sum], &[]) } else { sum })
}
