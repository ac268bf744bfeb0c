//! Operators of onnxruntime that its graph optimisation makes out of several standard ones.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Call, Parts, Problem, given, input};
use crate::graph::Attribute;

pub(super) fn expand(call: &Call<'_>, parts: &mut Parts) -> Result<bool, Problem> {
    let x = input(call, 0);
    let result = match call.node.operator.as_str() {
        "Gelu" => parts.op("Gelu", &[x], &[]),
        "BiasGelu" => {
            let sum = with_bias(call, parts, 1);
            parts.op("Gelu", &[&sum], &[])
        }
        "FastGelu" => {
            let sum = with_bias(call, parts, 1);
            parts.op("Gelu", &[&sum], &[("approximate", Attribute::Text("tanh".into()))])
        }
        "QuickGelu" => {
            let alpha = call.float_or("alpha", 1.702)?;
            super::rare::scaled_sigmoid(parts, x, alpha)
        }
        "FusedMatMul" | "TransposeMatMul" => product(call, parts)?,
        "SkipLayerNormalization" => skip_normalisation(call, parts, "LayerNormalization")?,
        "SkipSimplifiedLayerNormalization" => skip_normalisation(call, parts, "SimplifiedLayerNormalization")?,
        _ => return Ok(false),
    };
    parts.give(call, 0, &result);
    Ok(true)
}

fn with_bias(call: &Call<'_>, parts: &mut Parts, bias: usize) -> String {
    if given(call, bias) { parts.op("Add", &[input(call, 0), input(call, bias)], &[]) } else { input(call, 0).into() }
}

/// A product of matrices, each of which may be transposed, times a number.
fn product(call: &Call<'_>, parts: &mut Parts) -> Result<String, Problem> {
    if call.flag("transBatchA", false)? || call.flag("transBatchB", false)? {
        return Err("transposes batches, which is not supported".into());
    }
    let mut matrix = |at: usize, flag: &str| {
        let rank = call.operand(at)?.rank();
        if !call.flag(flag, false)? || rank < 2 {
            return Ok::<_, Problem>(String::from(input(call, at)));
        }
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(rank - 2, rank - 1);
        parts.transpose(input(call, at), &order)
    };
    let (a, b) = (matrix(0, "transA")?, matrix(1, "transB")?);
    let product = parts.op("MatMul", &[&a, &b], &[]);
    let alpha = parts.number(call.float_or("alpha", 1.0)?);
    Ok(parts.op("Mul", &[&product, &alpha], &[]))
}

/// The sum of two values and a bias, normalised; the fourth output is the sum itself.
fn skip_normalisation(call: &Call<'_>, parts: &mut Parts, operator: &str) -> Result<String, Problem> {
    let simplified = operator == "SimplifiedLayerNormalization";
    let mut sum = parts.op("Add", &[input(call, 0), input(call, 1)], &[]);
    let bias = if simplified { 3 } else { 4 };
    if given(call, bias) {
        sum = parts.op("Add", &[&sum, input(call, bias)], &[]);
    }
    parts.give(call, 3, &sum);
    let attributes = [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(call.float_or("epsilon", 1e-5)?))];
    Ok(if simplified || !given(call, 3) {
        parts.op(operator, &[&sum, input(call, 2)], &attributes)
    } else {
        parts.op(operator, &[&sum, input(call, 2), input(call, 3)], &attributes)
    })
}
