//! `DFT`: the discrete Fourier transform, as a product with a matrix of sines and cosines.

use alloc::vec::Vec;

use super::{Call, Parts, Problem, input};
use crate::fold::MAX_GROWN;
use crate::fold::call::axis_of;
use crate::fold::types::{bounded_elements, with_side};
use crate::graph::Tensor;

pub(super) fn expand(call: &Call<'_>, parts: &mut Parts) -> Result<bool, Problem> {
    if call.node.operator != "DFT" {
        return Ok(false);
    }
    let shape = call.operand(0)?.shape;
    let rank = shape.len();
    let Some(&width @ (1 | 2)) = shape.last() else { return Err("has neither real nor complex numbers".into()) };
    // Up to opset 19 the axis is an attribute.
    let axis = match call.integers(2, "axis")?.as_deref() {
        Some(&[axis]) => axis,
        Some(_) => return Err("does not have one axis".into()),
        None => call.int_or("axis", if call.opset < 20 { 1 } else { -2 })?,
    };
    let axis = axis_of(axis, rank)?;
    if axis + 1 == rank {
        return Err("is over the parts of complex numbers".into());
    }
    let given = shape[axis];
    let len = match call.integers(1, "length")?.as_deref() {
        None => given,
        Some(&[len]) => usize::try_from(len).map_err(|_| "has a negative length")?,
        Some(_) => return Err("does not have one length".into()),
    };
    let (inverse, half) = (call.flag("inverse", false)?, call.flag("onesided", false)?);
    if inverse && half || len == 0 {
        return Err("of half a spectrum is not supported".into());
    }
    let count = if half { len / 2 + 1 } else { len };
    let matrix = parts.constant(waves([given, width, count], len, inverse)?);
    let last = rank - 2;
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(axis, last);
    let turned_shape: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
    let turned = parts.transpose(input(call, 0), &order)?;
    let flat = parts.reshape(&turned, &[&turned_shape[..last], &[given * width]].concat())?;
    let product = parts.op("MatMul", &[&flat, &matrix], &[]);
    let apart = parts.reshape(&product, &with_side(&with_side(&turned_shape, last, count), last + 1, 2))?;
    let result = parts.transpose(&apart, &order)?;
    parts.give(call, 0, &result);
    Ok(true)
}

/// A row for each real or imaginary part that is given, a column for each that is computed.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "rounded once")]
fn waves([given, width, count]: [usize; 3], len: usize, inverse: bool) -> Result<Tensor, Problem> {
    let shape = [given.saturating_mul(width), count.saturating_mul(2)];
    let elements = bounded_elements(&shape, MAX_GROWN)?;
    let (sign, scale) = if inverse { (1.0, 1.0 / len as f64) } else { (-1.0, 1.0) };
    let number = |at: usize| {
        let (row, column) = (at / shape[1], at % shape[1]);
        let (from, to) = (row / width, column / 2);
        if from >= len {
            return 0.0;
        }
        let angle = core::f64::consts::TAU * (from * to % len) as f64 / len as f64;
        let (cosine, sine) = (libm::cos(angle), sign * libm::sin(angle));
        let value = match (row % width, column % 2) {
            (0, 0) | (1, 1) => cosine,
            (0, _) => sine,
            _ => -sine,
        };
        (value * scale) as f32
    };
    Ok(Tensor::of_floats(&shape, (0..elements).map(number).collect()))
}
