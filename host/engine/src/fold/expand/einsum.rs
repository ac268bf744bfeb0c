//! `Einsum` of one or two operands: transposed, summed, and multiplied as matrices.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Call, Parts, Problem, input, integers};
use crate::graph::Attribute;

pub(super) fn expand(call: &Call<'_>, parts: &mut Parts) -> Result<bool, Problem> {
    if call.node.operator != "Einsum" {
        return Ok(false);
    }
    let equation: String = call.text_or("equation", "")?.chars().filter(|letter| *letter != ' ').collect();
    let unsupported = || format!("the equation `{}` is not supported", super::super::error::printable(&equation));
    let (operands, result) = equation.split_once("->").ok_or_else(unsupported)?;
    let operands: Vec<Vec<char>> = operands.split(',').map(|labels| labels.chars().collect()).collect();
    let result: Vec<char> = result.chars().collect();
    let distinct =
        |labels: &[char]| labels.iter().enumerate().all(|(at, label)| label.is_ascii_alphabetic() && !labels[..at].contains(label));
    if operands.len() != call.operands.len() || !operands.iter().chain([&result]).all(|labels| distinct(labels)) {
        return Err(unsupported());
    }
    for (labels, at) in operands.iter().zip(0..) {
        if call.operand(at)?.rank() != labels.len() {
            return Err(unsupported());
        }
    }
    if result.iter().any(|label| !operands.iter().any(|labels| labels.contains(label))) {
        return Err(unsupported());
    }
    let value = match &operands[..] {
        [labels] => {
            let (value, labels) = summed(parts, input(call, 0), labels, |label| result.contains(label))?;
            ordered(parts, &value, &labels, &result)?
        }
        [_, _] => product(call, parts, &operands, &result)?,
        _ => return Err(format!("has {} operands; at most two are supported", operands.len())),
    };
    parts.give(call, 0, &value);
    Ok(true)
}

/// Sums over the labels that are not wanted.
fn summed(parts: &mut Parts, value: &str, labels: &[char], wanted: impl Fn(&char) -> bool) -> Result<(String, Vec<char>), Problem> {
    let axes: Vec<usize> = (0..labels.len()).filter(|&axis| !wanted(&labels[axis])).collect();
    if axes.is_empty() {
        return Ok((value.into(), labels.into()));
    }
    let attributes = [("axes", Attribute::Ints(integers(&axes)?)), ("keepdims", Attribute::Int(0))];
    let kept = labels.iter().copied().filter(|label| wanted(label)).collect();
    Ok((parts.op("ReduceSum", &[value], &attributes), kept))
}

/// Axes in the order of `wanted`.
fn ordered(parts: &mut Parts, value: &str, labels: &[char], wanted: &[char]) -> Result<String, Problem> {
    let place = |label: &char| labels.iter().position(|other| other == label).ok_or_else(|| Problem::from("has a label without an axis"));
    let order: Vec<usize> = wanted.iter().map(place).collect::<Result<_, _>>()?;
    parts.transpose(value, &order)
}

fn product(call: &Call<'_>, parts: &mut Parts, operands: &[Vec<char>], result: &[char]) -> Result<String, Problem> {
    let (a_labels, b_labels) = (&operands[0], &operands[1]);
    let size = |label: char| -> Result<usize, Problem> {
        let sides = [0, 1].map(|at| {
            let axis = operands[at].iter().position(|other| *other == label)?;
            call.optional(at).map(|operand| operand.shape[axis])
        });
        match sides {
            [Some(a), Some(b)] if a != b => Err(format!("axis `{label}` has {a} elements in one operand and {b} in the other")),
            [a, b] => Ok(a.or(b).unwrap_or(1)),
        }
    };
    let (a, a_labels) = summed(parts, input(call, 0), a_labels, |label| result.contains(label) || b_labels.contains(label))?;
    let (b, b_labels) = summed(parts, input(call, 1), b_labels, |label| result.contains(label) || a_labels.contains(label))?;
    let of = |labels: &[char], test: &dyn Fn(&char) -> bool| -> Vec<char> { labels.iter().copied().filter(|label| test(label)).collect() };
    let batch = of(&a_labels, &|label| b_labels.contains(label) && result.contains(label));
    let inner = of(&a_labels, &|label| b_labels.contains(label) && !result.contains(label));
    let rows = of(&a_labels, &|label| !b_labels.contains(label));
    let columns = of(&b_labels, &|label| !a_labels.contains(label));
    let sides = |labels: &[char]| labels.iter().map(|&label| size(label)).collect::<Result<Vec<_>, _>>();
    let count = |labels: &[char]| Ok::<_, Problem>(sides(labels)?.iter().fold(1, |all: usize, &side| all.saturating_mul(side)));
    let a = ordered(parts, &a, &a_labels, &[&batch[..], &rows, &inner].concat())?;
    let a = parts.reshape(&a, &[count(&batch)?, count(&rows)?, count(&inner)?])?;
    let b = ordered(parts, &b, &b_labels, &[&batch[..], &inner, &columns].concat())?;
    let b = parts.reshape(&b, &[count(&batch)?, count(&inner)?, count(&columns)?])?;
    let product = parts.op("MatMul", &[&a, &b], &[]);
    let labels = [&batch[..], &rows, &columns].concat();
    let product = parts.reshape(&product, &sides(&labels)?)?;
    ordered(parts, &product, &labels, result)
}
