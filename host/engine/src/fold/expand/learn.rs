//! Operators of the domain `ai.onnx.ml`, as scikit-learn's exporter writes them for scaling and linear models.

use alloc::format;
use alloc::string::String;

use super::{Call, Parts, Problem, input};
use crate::graph::{Attribute, Tensor};

pub(super) fn expand(call: &Call<'_>, parts: &mut Parts) -> Result<bool, Problem> {
    match call.node.operator.as_str() {
        "Scaler" => {
            let scaled = scaler(call, parts)?;
            parts.give(call, 0, &scaled);
        }
        "Normalizer" => {
            let normal = normalizer(call, parts)?;
            parts.give(call, 0, &normal);
        }
        "LinearClassifier" => linear(call, parts)?,
        // A map from labels to the numbers of each row: the numbers.
        "ZipMap" => parts.give(call, 0, input(call, 0)),
        _ => return Ok(false),
    }
    Ok(true)
}

/// The number of features in a row.
fn features(call: &Call<'_>) -> Result<usize, Problem> {
    match *call.operand(0)?.shape {
        [features] | [_, features] => Ok(features),
        ref shape => Err(format!("has rows of {shape:?}")),
    }
}

/// (x - offset) scale
fn scaler(call: &Call<'_>, parts: &mut Parts) -> Result<String, Problem> {
    let count = features(call)?;
    let mut list = |name: &str, default: f32| {
        let numbers = call.floats(name)?.unwrap_or(&[]);
        match numbers.len() {
            0 => Ok(parts.number(default)),
            1 => Ok(parts.number(numbers[0])),
            len if len == count => Ok(parts.constant(Tensor::of_floats(&[len], numbers.into()))),
            len => Err(format!("attribute `{name}` has {len} numbers for {count} features")),
        }
    };
    let (offset, scale) = (list("offset", 0.0)?, list("scale", 1.0)?);
    let x = parts.float(input(call, 0));
    let shifted = parts.op("Sub", &[&x, &offset], &[]);
    Ok(parts.op("Mul", &[&shifted, &scale], &[]))
}

/// Each row over its norm; a row of zeros is unchanged.
fn normalizer(call: &Call<'_>, parts: &mut Parts) -> Result<String, Problem> {
    features(call)?;
    let x = parts.float(input(call, 0));
    let last = parts.constant(Tensor::of_integers([-1].into()));
    let norm = match call.text_or("norm", "MAX")? {
        "L1" => parts.op("ReduceL1", &[&x, &last], &[]),
        "L2" => parts.op("ReduceL2", &[&x, &last], &[]),
        "MAX" => parts.op("ReduceMax", &[&x, &last], &[]),
        other => return Err(format!("the norm `{other}` is not supported")),
    };
    let (zero, one) = (parts.number(0.0), parts.number(1.0));
    let nothing = parts.op("Equal", &[&norm, &zero], &[]);
    let norm = parts.op("Where", &[&nothing, &one, &norm], &[]);
    Ok(parts.op("Div", &[&x, &norm], &[]))
}

/// The second output has the scores; the first one, the label, is the class of the largest.
fn linear(call: &Call<'_>, parts: &mut Parts) -> Result<(), Problem> {
    let count = features(call)?;
    let weights = call.floats("coefficients")?.ok_or("has no coefficients")?;
    let classes = weights.len().checked_div(count).unwrap_or(0);
    let offsets = call.floats("intercepts")?.unwrap_or(&[]);
    if classes < 2 || weights.len() != classes * count || !(offsets.is_empty() || offsets.len() == classes) {
        return Err(format!("has {} coefficients and {} intercepts for {count} features", weights.len(), offsets.len()));
    }
    let x = parts.float(input(call, 0));
    let x = parts.reshape(&x, &[call.operand(0)?.shape.iter().product::<usize>() / count.max(1), count])?;
    let weights = parts.constant(Tensor::of_floats(&[classes, count], weights.into()));
    let offsets = if offsets.is_empty() { alloc::vec![0.0; classes] } else { offsets.into() };
    let offsets = parts.constant(Tensor::of_floats(&[classes], offsets));
    let scores = parts.op("Gemm", &[&x, &weights, &offsets], &[("transB", Attribute::Int(1))]);
    let scores = match call.text_or("post_transform", "NONE")? {
        "NONE" => scores,
        "SOFTMAX" => parts.op("Softmax", &[&scores], &[("axis", Attribute::Int(-1))]),
        "LOGISTIC" => parts.op("Sigmoid", &[&scores], &[]),
        other => return Err(format!("the function `{other}` is not supported")),
    };
    parts.give(call, 1, &scores);
    let label = parts.op("ArgMax", &[&scores], &[("axis", Attribute::Int(-1)), ("keepdims", Attribute::Int(0))]);
    parts.give(call, 0, &label);
    Ok(())
}
