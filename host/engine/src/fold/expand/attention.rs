//! `Attention` of opset 23: softmax of the scaled products of queries and keys, times the values.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{Call, Parts, Problem, given, input, integers};
use crate::fold::MAX_GROWN;
use crate::fold::types::bounded_elements;
use crate::graph::{Attribute, ElementType, Numbers, Tensor};

pub(super) fn expand(call: &Call<'_>, parts: &mut Parts) -> Result<bool, Problem> {
    if call.node.operator != "Attention" {
        return Ok(false);
    }
    let outputs = call.node.outputs.iter().skip(1).any(|name| !name.is_empty());
    if outputs || (4..8).any(|at| given(call, at)) {
        return Err("with a cache or further outputs is not supported; export with opset 18".into());
    }
    let flat = call.operand(0)?.rank() == 3;
    let (queries, q) = heads(call, parts, 0, "q_num_heads")?;
    let (keys, k) = heads(call, parts, 1, "kv_num_heads")?;
    let (values, v) = heads(call, parts, 2, "kv_num_heads")?;
    let ([batch, count, rows, width], [_, few, columns, _]) = (q, k);
    if few == 0 || count % few != 0 || v[1] != few {
        return Err("has numbers of heads that do not fit".into());
    }
    let keys = repeated(parts, &keys, k, count)?;
    let values = repeated(parts, &values, v, count)?;
    let turned = parts.transpose(&keys, &[0, 1, 3, 2])?;
    let product = parts.op("MatMul", &[&queries, &turned], &[]);
    let usual = 1.0 / libm::sqrtf(width as f32);
    let scale = parts.number(call.float_or("scale", usual)?);
    let mut scores = parts.op("Mul", &[&product, &scale], &[]);
    // Before the mask, so that what is hidden stays hidden.
    let cap = call.float_or("softcap", 0.0)?;
    if cap != 0.0 {
        let cap = parts.number(cap);
        let scaled = parts.op("Div", &[&scores, &cap], &[]);
        let bounded = parts.op("Tanh", &[&scaled], &[]);
        scores = parts.op("Mul", &[&bounded, &cap], &[]);
    }
    let hidden = parts.number(f32::NEG_INFINITY);
    if call.flag("is_causal", false)? {
        let count = bounded_elements(&[rows, columns], MAX_GROWN)?;
        let seen = (0..count).map(|at| i64::from(at % columns <= at / columns)).collect();
        let seen = parts.constant(Tensor { element: ElementType::Bool, shape: vec![rows, columns], numbers: Numbers::Integers(seen) });
        scores = parts.op("Where", &[&seen, &scores, &hidden], &[]);
    }
    if let Some(mask) = call.optional(3) {
        scores = if mask.element == ElementType::Bool {
            parts.op("Where", &[input(call, 3), &scores, &hidden], &[])
        } else {
            parts.op("Add", &[&scores, input(call, 3)], &[])
        };
    }
    let weights = parts.op("Softmax", &[&scores], &[("axis", Attribute::Int(-1))]);
    let mut result = parts.op("MatMul", &[&weights, &values], &[]);
    if flat {
        let rows_first = parts.transpose(&result, &[0, 2, 1, 3])?;
        result = parts.reshape(&rows_first, &[batch, rows, count.saturating_mul(v[3])])?;
    }
    parts.give(call, 0, &result);
    Ok(true)
}

/// An operand as batch x heads x rows x width.
fn heads(call: &Call<'_>, parts: &mut Parts, at: usize, attribute: &str) -> Result<(String, [usize; 4]), Problem> {
    match *call.operand(at)?.shape {
        [batch, heads, rows, width] => Ok((input(call, at).into(), [batch, heads, rows, width])),
        [batch, rows, all] => {
            let heads = usize::try_from(call.int_or(attribute, 0)?).unwrap_or(0);
            if heads == 0 || all % heads != 0 {
                return Err(alloc::format!("attribute `{attribute}` does not fit its operands"));
            }
            let apart = parts.reshape(input(call, at), &[batch, rows, heads, all / heads])?;
            Ok((parts.transpose(&apart, &[0, 2, 1, 3])?, [batch, heads, rows, all / heads]))
        }
        _ => Err("has operands whose dimensions do not fit".into()),
    }
}

/// Each head as often as it takes to make `count`.
fn repeated(parts: &mut Parts, value: &str, [batch, heads, rows, width]: [usize; 4], count: usize) -> Result<String, Problem> {
    if heads == count {
        return Ok(value.into());
    }
    let apart = parts.reshape(value, &[batch, heads, 1, rows, width])?;
    let sides: Vec<i64> = integers(&[batch, heads, count / heads, rows, width])?;
    let shape = parts.constant(Tensor { element: ElementType::I64, shape: vec![5], numbers: Numbers::Integers(sides) });
    let wide = parts.op("Expand", &[&apart, &shape], &[]);
    parts.reshape(&wide, &[batch, count, rows, width])
}
