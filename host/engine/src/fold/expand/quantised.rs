//! Operators on quantised numbers, as onnxruntime's quantisation writes them.
//!
//! Products of integers are computed with floats, which is exact up to 2^24; then they are scaled and rounded as onnxruntime does.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{CONTRIB, Call, Parts, Problem, given, input};
use crate::graph::Attribute;

pub(super) fn expand(call: &Call<'_>, parts: &mut Parts) -> Result<bool, Problem> {
    let contrib = call.node.domain == CONTRIB;
    match (call.node.operator.as_str(), contrib) {
        ("DynamicQuantizeLinear", false) => dynamic(call, parts),
        ("MatMulInteger", false) => {
            let product = integer_product(call, parts, [0, 2], [1, 3])?;
            let product = parts.op("Cast", &[&product], &[("to", Attribute::Int(6))]);
            parts.give(call, 0, &product);
        }
        ("ConvInteger", false) => {
            let product = integer_convolution(call, parts, [0, 2], [1, 3], "")?;
            let product = parts.op("Cast", &[&product], &[("to", Attribute::Int(6))]);
            parts.give(call, 0, &product);
        }
        ("QLinearConv", _) => convolution(call, parts)?,
        ("QLinearMatMul", _) => {
            let product = integer_product(call, parts, [0, 2], [3, 5])?;
            requantise(call, parts, &product, [1, 4, 6, 7], &[])?;
        }
        ("QGemm", true) => gemm(call, parts)?,
        ("MatMulIntegerToFloat", true) => {
            let product = integer_product(call, parts, [0, 4], [1, 5])?;
            let scaled = parts.op("Mul", &[input(call, 2), input(call, 3)], &[]);
            scale_and_add(call, parts, &product, &scaled, 6);
        }
        ("DynamicQuantizeMatMul", true) => dynamic_product(call, parts)?,
        ("QuantizeLinear" | "DequantizeLinear", true) => {
            let attributes: Vec<_> = call.node.attributes.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
            let inputs: Vec<&str> = call.node.inputs.iter().map(String::as_str).collect();
            let result = parts.op(&call.node.operator, &inputs, &attributes);
            parts.give(call, 0, &result);
        }
        ("QLinearAdd" | "QLinearMul", true) => {
            let (a, b) = (dequantised(call, parts, 0), dequantised(call, parts, 3));
            let operator = &call.node.operator["QLinear".len()..];
            let result = parts.op(operator, &[&a, &b], &[]);
            quantised(call, parts, &result, 6);
        }
        ("QLinearConcat", true) => {
            let values: Vec<String> = (2..call.operands.len()).step_by(3).map(|at| dequantised(call, parts, at)).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let result = parts.op("Concat", &values, &[("axis", Attribute::Int(call.int("axis")?.ok_or("has no axis")?))]);
            quantised(call, parts, &result, 0);
        }
        ("QLinearSigmoid" | "QLinearLeakyRelu" | "QLinearSoftmax" | "QLinearAveragePool" | "QLinearGlobalAveragePool", true) => {
            let operator = match &call.node.operator["QLinear".len()..] {
                "AveragePool" | "GlobalAveragePool" if call.flag("channels_last", false)? => return Ok(false),
                // Over the last axis, every opset has the same softmax.
                "Softmax" if call.int_or("opset", 13)? < 13 && call.axis(1, call.operand(0)?.rank())? + 1 != call.operand(0)?.rank() => {
                    return Ok(false);
                }
                operator => operator,
            };
            let x = dequantised(call, parts, 0);
            let attributes = call.node.attributes.iter().filter(|(name, _)| !["opset", "channels_last"].contains(&name.as_str()));
            let attributes: Vec<_> = attributes.map(|(name, value)| (name.as_str(), value.clone())).collect();
            let result = parts.op(operator, &[&x], &attributes);
            quantised(call, parts, &result, 3);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// The operand at `at`, whose scale and zero point follow it, as floats.
fn dequantised(call: &Call<'_>, parts: &mut Parts, at: usize) -> String {
    parts.op("DequantizeLinear", &[input(call, at), input(call, at + 1), input(call, at + 2)], &[])
}

/// Gives the result, quantised with the scale and zero point at `at`.
fn quantised(call: &Call<'_>, parts: &mut Parts, value: &str, at: usize) {
    let result = parts.op("QuantizeLinear", &[value, input(call, at), input(call, at + 1)], &[]);
    parts.give(call, 0, &result);
}

/// `DynamicQuantizeLinear`: the value quantised to 0 to 255 with one scale and one zero point, computed from its own range.
fn dynamic(call: &Call<'_>, parts: &mut Parts) {
    let x = input(call, 0);
    let [zero, one, steps] = [0.0, 1.0, 255.0].map(|value| parts.number(value));
    let keep = [("keepdims", Attribute::Int(0))];
    let (low, high) = (parts.op("ReduceMin", &[x], &keep), parts.op("ReduceMax", &[x], &keep));
    let (low, high) = (parts.op("Min", &[&low, &zero], &[]), parts.op("Max", &[&high, &zero], &[]));
    let range = parts.op("Sub", &[&high, &low], &[]);
    let scale = parts.op("Div", &[&range, &steps], &[]);
    let flat = parts.op("Equal", &[&range, &zero], &[]);
    let scale = parts.op("Where", &[&flat, &one, &scale], &[]);
    let bounds = [("min", Attribute::Float(0.0)), ("max", Attribute::Float(255.0))];
    let byte = [("to", Attribute::Int(2))];
    let negated = parts.op("Neg", &[&low], &[]);
    let offset = parts.op("Div", &[&negated, &scale], &[]);
    let offset = parts.op("Round", &[&offset], &[]);
    let offset = parts.op("Clip", &[&offset], &bounds);
    let steps = parts.op("Div", &[x, &scale], &[]);
    let steps = parts.op("Round", &[&steps], &[]);
    let steps = parts.op("Add", &[&steps, &offset], &[]);
    let steps = parts.op("Clip", &[&steps], &bounds);
    let (steps, offset) = (parts.op("Cast", &[&steps], &byte), parts.op("Cast", &[&offset], &byte));
    parts.give(call, 0, &steps);
    parts.give(call, 1, &scale);
    parts.give(call, 2, &offset);
}

/// An operand minus its zero point, as floats; `shape` is that of zero points of several channels.
fn centred(call: &Call<'_>, parts: &mut Parts, [value, zero]: [usize; 2], shape: &[usize]) -> Result<String, Problem> {
    let floats = parts.float(input(call, value));
    let Some(zeros) = call.optional(zero) else { return Ok(floats) };
    let mut zero = parts.float(input(call, zero));
    if zeros.shape.iter().any(|&side| side > 1) && zeros.rank() == 1 {
        zero = parts.reshape(&zero, shape)?;
    }
    Ok(parts.op("Sub", &[&floats, &zero], &[]))
}

fn integer_product(call: &Call<'_>, parts: &mut Parts, a: [usize; 2], b: [usize; 2]) -> Result<String, Problem> {
    let rows = |at: usize| call.optional(at).map_or(1, |zeros| zeros.shape.first().copied().unwrap_or(1));
    let columns = rows(b[1]);
    let a = centred(call, parts, a, &[rows(a[1]), 1])?;
    let b = centred(call, parts, b, &[columns])?;
    Ok(parts.op("MatMul", &[&a, &b], &[]))
}

fn integer_convolution(call: &Call<'_>, parts: &mut Parts, x: [usize; 2], w: [usize; 2], bias: &str) -> Result<String, Problem> {
    let weights = call.operand(w[0])?.shape;
    let mut by_channel = vec![1; weights.len()];
    by_channel[0] = *weights.first().ok_or("has no weights")?;
    let x = centred(call, parts, x, &[1])?;
    let w = centred(call, parts, w, &by_channel)?;
    let attributes: Vec<_> = call.node.attributes.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    Ok(parts.op("Conv", &[&x, &w, bias], &attributes))
}

fn convolution(call: &Call<'_>, parts: &mut Parts) -> Result<(), Problem> {
    let rank = call.operand(0)?.rank();
    let bias = if given(call, 8) { parts.float(input(call, 8)) } else { String::new() };
    let sums = integer_convolution(call, parts, [0, 2], [3, 5], &bias)?;
    let channels = call.operand(3)?.shape.first().copied().unwrap_or(1);
    let mut by_channel = vec![1; rank];
    *by_channel.get_mut(1).ok_or("is not over channels of pixels")? = channels;
    requantise(call, parts, &sums, [1, 4, 6, 7], &by_channel)
}

/// Multiplies sums of integers by the operands' scales, divides them by the result's scale, rounds, and adds the result's zero point. `at`
/// has the positions of these four operands.
fn requantise(call: &Call<'_>, parts: &mut Parts, sums: &str, at: [usize; 4], by_channel: &[usize]) -> Result<(), Problem> {
    let scale = parts.op("Mul", &[input(call, at[0]), input(call, at[1])], &[]);
    let mut scale = parts.op("Div", &[&scale, input(call, at[2])], &[]);
    if call.operand(at[1])?.shape.iter().any(|&side| side > 1) && !by_channel.is_empty() {
        scale = parts.reshape(&scale, by_channel)?;
    }
    let scaled = parts.op("Mul", &[sums, &scale], &[]);
    let one = parts.number(1.0);
    let result = parts.op("QuantizeLinear", &[&scaled, &one, input(call, at[3])], &[]);
    parts.give(call, 0, &result);
    Ok(())
}

fn gemm(call: &Call<'_>, parts: &mut Parts) -> Result<(), Problem> {
    let rows = |at: usize| call.optional(at).map_or(1, |zeros| zeros.shape.first().copied().unwrap_or(1));
    let columns = if call.flag("transB", false)? { vec![rows(5), 1] } else { vec![rows(5)] };
    let a = centred(call, parts, [0, 2], &[rows(2), 1])?;
    let b = centred(call, parts, [3, 5], &columns)?;
    let bias = if given(call, 6) { parts.float(input(call, 6)) } else { String::new() };
    let transposed = |name| Ok::<_, Problem>((name, Attribute::Int(call.int_or(name, 0)?)));
    let sums = parts.op("Gemm", &[&a, &b, &bias], &[transposed("transA")?, transposed("transB")?]);
    let alpha = parts.number(call.float_or("alpha", 1.0)?);
    let scale = parts.op("Mul", &[input(call, 1), input(call, 4)], &[]);
    let scale = parts.op("Mul", &[&scale, &alpha], &[]);
    if !given(call, 7) {
        let result = parts.op("Mul", &[&sums, &scale], &[]);
        parts.give(call, 0, &result);
        return Ok(());
    }
    let scale = parts.op("Div", &[&scale, input(call, 7)], &[]);
    let scaled = parts.op("Mul", &[&sums, &scale], &[]);
    let one = parts.number(1.0);
    let result = parts.op("QuantizeLinear", &[&scaled, &one, input(call, 8)], &[]);
    parts.give(call, 0, &result);
    Ok(())
}

/// Gives a product times a scale, plus the operand at `bias` if there is one.
fn scale_and_add(call: &Call<'_>, parts: &mut Parts, product: &str, scale: &str, bias: usize) {
    let mut result = parts.op("Mul", &[product, scale], &[]);
    if given(call, bias) {
        result = parts.op("Add", &[&result, input(call, bias)], &[]);
    }
    parts.give(call, 0, &result);
}

/// `DynamicQuantizeLinear` of the first operand, then `MatMulIntegerToFloat`.
fn dynamic_product(call: &Call<'_>, parts: &mut Parts) -> Result<(), Problem> {
    let quantised = parts.ops("DynamicQuantizeLinear", &[input(call, 0)], 3, &[]);
    let (a, zero) = (parts.float(&quantised[0]), parts.float(&quantised[2]));
    let a = parts.op("Sub", &[&a, &zero], &[]);
    let columns = call.optional(3).map_or(1, |zeros| zeros.shape.first().copied().unwrap_or(1));
    let b = centred(call, parts, [1, 3], &[columns])?;
    let product = parts.op("MatMul", &[&a, &b], &[]);
    let scale = parts.op("Mul", &[&quantised[1], input(call, 2)], &[]);
    scale_and_add(call, parts, &product, &scale, 4);
    Ok(())
}
