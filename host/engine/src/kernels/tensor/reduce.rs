//! Reductions over axes.

use super::chunk::load;
use crate::math::{self, lanes};
use crate::simd::{LANES, Vector, square_root};

/// The result for the elements of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Reduction {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// Their product.
    Prod,
    /// The sum of their magnitudes.
    L1,
    /// The square root of the sum of their squares.
    L2,
    /// The sum of their squares.
    SumSquare,
    /// The logarithm of their sum.
    LogSum,
    /// The logarithm of the sum of their exponentials.
    LogSumExp,
}

/// Partial results of a row.
const PARTS: usize = LANES;

impl Reduction {
    /// The reduction of a row: sixteen partial results, with number `i` in part `i % 16`, which are then combined by halves: the second
    /// half with the first, and so on with what remains.
    #[inline(always)]
    pub(super) fn of<V: Vector>(self, row: &[f32]) -> f32 {
        let add = |a: f32, b: f32| a + b;
        #[expect(clippy::cast_precision_loss, reason = "rounded once, the same everywhere")]
        let count = row.len() as f32;
        match self {
            Self::Sum => fold(row, 0.0, |x| x, add),
            Self::Mean => fold(row, 0.0, |x| x, add) / count,
            Self::Max => fold(row, f32::NEG_INFINITY, |x| x, |a, b| if b > a || b.is_nan() { b } else { a }),
            Self::Min => fold(row, f32::INFINITY, |x| x, |a, b| if b < a || b.is_nan() { b } else { a }),
            Self::Prod => fold(row, 1.0, |x| x, |a, b| a * b),
            Self::L1 => fold(row, 0.0, f32::abs, add),
            Self::L2 => square_root(fold(row, 0.0, |x| x * x, add)),
            Self::SumSquare => fold(row, 0.0, |x| x * x, add),
            Self::LogSum => math::ln(fold(row, 0.0, |x| x, add)),
            Self::LogSumExp => {
                let largest = Self::Max.of::<V>(row);
                if largest.is_finite() { largest + math::ln(sum_of_exponentials::<V>(row, largest)) } else { largest }
            }
        }
    }
}

#[inline(always)]
fn fold(row: &[f32], start: f32, of: impl Fn(f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut parts = [start; PARTS];
    let (whole, rest) = row.as_chunks::<PARTS>();
    for chunk in whole {
        for (part, &number) in parts.iter_mut().zip(chunk) {
            *part = join(*part, of(number));
        }
    }
    for (part, &number) in parts.iter_mut().zip(rest) {
        *part = join(*part, of(number));
    }
    halves(parts, join)
}

/// Combines partial results by halves.
#[inline(always)]
fn halves(mut parts: [f32; PARTS], join: impl Fn(f32, f32) -> f32) -> f32 {
    for half in [8, 4, 2, 1] {
        for part in 0..half {
            parts[part] = join(parts[part], parts[part + half]);
        }
    }
    parts[0]
}

/// The sum of e^(x - largest) over a row, in the order of [`Reduction::Sum`].
#[inline(always)]
fn sum_of_exponentials<V: Vector>(row: &[f32], largest: f32) -> f32 {
    let (mut sums, largest) = (V::splat(0.0), V::splat(largest));
    for chunk in row.chunks(PARTS) {
        // Lanes beyond the end add 0.
        sums = sums.add(lanes::exp_to_zero(load::<V>(chunk, f32::NEG_INFINITY).sub(largest)));
    }
    sum_of_parts(sums)
}

/// The sum of partial sums, by halves.
#[inline(always)]
pub(super) fn sum_of_parts<V: Vector>(parts: V) -> f32 {
    halves(parts.to_array(), |a, b| a + b)
}
