//! Normalisations of rows: minus the mean, divided by the deviation, times a scale, plus an offset.

use super::reduce::Reduction;
use super::shape::product;
use crate::fold::call::Problem;
use crate::fold::operation::Operation;
use crate::simd::{Vector, square_root};

/// A normalisation of rows of this length.
#[derive(Debug, Clone)]
pub(crate) struct Normalise {
    size: usize,
    epsilon: f32,
    /// Number `i` of row `r` uses the scale `r * row + i / inner`, modulo the number of scales.
    row: usize,
    inner: usize,
    /// Whether the mean is subtracted.
    centred: bool,
}

impl Normalise {
    pub(super) fn new(operation: &Operation, shape: &[usize]) -> Result<Self, Problem> {
        let over_pixels = || match shape {
            [_, channels, rest @ ..] if product(shape) > 0 => Ok((*channels, product(rest))),
            _ => Err("is not over channels of pixels"),
        };
        Ok(match *operation {
            Operation::LayerNormalization { axis, epsilon } => {
                Self { size: product(&shape[axis..]), epsilon, row: 0, inner: 1, centred: true }
            }
            Operation::RmsNormalization { axis, epsilon } => {
                Self { size: product(&shape[axis..]), epsilon, row: 0, inner: 1, centred: false }
            }
            Operation::InstanceNormalization { epsilon } => {
                let (_, pixels) = over_pixels()?;
                Self { size: pixels, epsilon, row: 1, inner: pixels, centred: true }
            }
            Operation::GroupNormalization { groups, epsilon, per_group } => {
                let (channels, pixels) = over_pixels()?;
                let each = channels / groups.max(1);
                let size = each * pixels;
                if per_group {
                    Self { size, epsilon, row: 1, inner: size, centred: true }
                } else {
                    Self { size, epsilon, row: each, inner: pixels, centred: true }
                }
            }
            _ => return Err("is no normalisation".into()),
        })
    }

    #[inline(always)]
    pub(super) fn run<V: Vector>(&self, input: &[f32], scale: &[f32], offset: &[f32], output: &mut [f32]) {
        #[expect(clippy::cast_precision_loss, reason = "rounded once, the same everywhere")]
        let count = self.size as f32;
        for (row, (to, from)) in output.chunks_exact_mut(self.size).zip(input.chunks_exact(self.size)).enumerate() {
            let mean = if self.centred { Reduction::Sum.of::<V>(from) / count } else { 0.0 };
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = from - mean);
            let factor = 1.0 / square_root(Reduction::SumSquare.of::<V>(to) / count + self.epsilon);
            let place = |at: usize, len: usize| (row * self.row + at / self.inner) % len;
            for (at, to) in to.iter_mut().enumerate() {
                let scaled = *to * factor * if scale.is_empty() { 1.0 } else { scale[place(at, scale.len())] };
                *to = scaled + if offset.is_empty() { 0.0 } else { offset[place(at, offset.len())] };
            }
        }
    }
}
