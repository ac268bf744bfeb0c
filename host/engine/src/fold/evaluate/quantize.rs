//! Conversions between floats and the integers of quantised networks.

use alloc::vec::Vec;

use super::super::call::{Problem, floats_of};
use super::{Operands, integer_numbers, range};
use crate::graph::{ElementType, Numbers, Tensor};
use crate::math;

/// For each element, the index of its scale.
fn scale_index(shape: &[usize], axis: usize, scales: usize) -> impl Fn(usize) -> usize {
    let inner = shape.get(axis + 1..).map_or(1, |inner| inner.iter().product::<usize>());
    move |at| if scales == 1 { 0 } else { at / inner.max(1) % scales }
}

pub(super) fn dequantize(operands: &Operands<'_>, axis: usize) -> Result<Tensor, Problem> {
    let (tensor, scales) = (operands.at(0)?, operands.at(1)?);
    let (values, scale) = (floats_of(tensor), floats_of(scales));
    let zeros = operands.optional(2).map(floats_of);
    let index = scale_index(&tensor.shape, axis, scale.len());
    let one = |(at, value): (usize, f32)| {
        let at = index(at);
        (value - zeros.as_ref().map_or(0.0, |zeros| zeros[at])) * scale[at]
    };
    let numbers = Numbers::Floats(values.into_iter().enumerate().map(one).collect());
    Ok(Tensor { element: scales.element, shape: tensor.shape.clone(), numbers })
}

pub(super) fn quantize(operands: &Operands<'_>, axis: usize, to: ElementType) -> Result<Tensor, Problem> {
    let (tensor, scales) = (operands.at(0)?, operands.at(1)?);
    let (values, scale) = (floats_of(tensor), floats_of(scales));
    let zeros = operands.optional(2).map(floats_of);
    let (low, high) = range(to).ok_or("makes elements of an unsupported type")?;
    let index = scale_index(&tensor.shape, axis, scale.len());
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "all are integers of 17 bits at most")]
    let one = |(at, value): (usize, f32)| {
        let at = index(at);
        let value = math::round(value / scale[at]) + zeros.as_ref().map_or(0.0, |zeros| zeros[at]);
        value.max(low as f32).min(high as f32) as i64
    };
    let computed: Vec<i64> = values.into_iter().enumerate().map(one).collect();
    Ok(Tensor { element: to, shape: tensor.shape.clone(), numbers: integer_numbers(to, computed)? })
}
