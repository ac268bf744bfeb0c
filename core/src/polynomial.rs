//! Polynomial mutation of one gene (Deb 2001, p. 124).
//!
//! A gene is in [0, 1]. For u uniform in [0, 1) the step is (2u)^(1/(eta+1)) - 1 if u < 1/2, and 1 - (2(1-u))^(1/(eta+1)) otherwise, so
//! P(|step| <= d) = 1 - (1-d)^(eta+1). The larger eta, the smaller the steps; the paper uses 15.
//!
//! There are two kinds of genes, each with its own sampler of the same distribution: [`step`] for weights, which are floats, and
//! [`ByteSteps`] for pixels, which are bytes.

use crate::math;
use crate::rng::Stream;

/// The step for a uniform number `u` in [0, 1); the result is in (-1, 1).
///
/// `eta` is the distribution index, at least 0. If eta + 1 is a power of two (as for the paper's 15), only correctly rounded square roots
/// are used, otherwise libm's `pow`.
#[must_use]
pub(crate) fn step(u: f32, eta: u8) -> f32 {
    if u < 0.5 { root(2.0 * u, eta) - 1.0 } else { 1.0 - root(2.0 * (1.0 - u), eta) }
}

/// The (eta+1)-th root of x in [0, 1].
fn root(x: f32, eta: u8) -> f32 {
    let degree = u32::from(eta) + 1;
    if degree.is_power_of_two() {
        (0..degree.trailing_zeros()).fold(x, |x, _| math::sqrt_rounded(x))
    } else {
        math::pow(f64::from(x), 1.0 / f64::from(degree)) as f32
    }
}

/// Steps of a byte gene: round(255 step), drawn exactly from this distribution with integers alone.
///
/// A byte b stands for the gene b / 255, so the mutated byte is b + round(255 step), clamped: the step does not depend on the byte. Its 256
/// magnitudes are drawn by Walker's alias method (Vose 1991): one random word and one table look-up for each gene, instead of the formula's
/// four square roots. 1 KiB.
#[derive(Clone, Debug)]
pub(crate) struct ByteSteps {
    /// A column for each magnitude: the upper 24 bits are the probability of the column's own magnitude, the lower bits the alternative
    /// magnitude.
    columns: [u32; 256],
}

impl ByteSteps {
    /// The table for a distribution index.
    #[must_use]
    pub(crate) fn new(eta: u8) -> Self {
        // Shares in units of 2^-23 of a column. Rounding is applied to the cumulative distribution, so that they add up to 256 * 2^23.
        const COLUMN: i64 = 1 << 23;
        let mut shares = [0_i64; 256];
        let mut below = 0_i64;
        for (magnitude, share) in shares.iter_mut().enumerate() {
            let edge = (magnitude as f64 + 0.5) / 255.0;
            let cumulative = if edge < 1.0 { 1.0 - math::pow(1.0 - edge, f64::from(eta) + 1.0) } else { 1.0 };
            let upto = (cumulative * (256 * COLUMN) as f64 + 0.5) as i64;
            *share = upto - below;
            below = upto;
        }
        // Every column that is not full is filled from one that is more than full.
        let mut columns = [0_u32; 256];
        let mut done = [false; 256];
        for _ in 0..256 {
            let poor = (0..256).filter(|&i| !done[i]).min_by_key(|&i| shares[i]).unwrap_or(0);
            let rich = (0..256).filter(|&i| !done[i]).max_by_key(|&i| shares[i]).unwrap_or(0);
            let own = shares[poor].clamp(0, COLUMN);
            columns[poor] = ((own as u32) << 8) | rich as u32;
            shares[rich] -= COLUMN - own;
            done[poor] = true;
        }
        Self { columns }
    }

    /// One step, in -255..=255.
    #[inline]
    pub(crate) fn draw(&self, stream: &mut Stream) -> i16 {
        let bits = stream.bits();
        // 8 bits choose the column, 23 bits choose within it, one bit is the sign.
        let column = self.columns[(bits >> 24) as usize];
        let own = (bits & 0x00ff_ffff) >> 1 < column >> 8;
        let magnitude = if own { bits >> 24 } else { column & 0xff } as i16;
        if bits & 1 == 0 { magnitude } else { -magnitude }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::rng::{Birth, Purpose};

    fn stream() -> Stream {
        Stream::new(11, Birth::default(), Purpose::Child)
    }

    /// Quantiles of |step| at 50, 90 and 99 % for eta 15 (docs/METHOD.md), and P(|step| <= d) = 1 - (1-d)^16 in sixty bins by chi-square.
    #[test]
    fn steps_follow_the_published_distribution() {
        let mut stream = stream();
        let mut steps: Vec<f32> = (0..200_000).map(|_| step(stream.unit(), 15).abs()).collect();
        let mean = steps.iter().map(|&s| f64::from(s)).sum::<f64>() / steps.len() as f64;
        assert!((mean - 1.0 / 17.0).abs() < 5e-4, "{mean}");
        steps.sort_by(f32::total_cmp);
        for (share, quantile) in [(0.5, 0.0424), (0.9, 0.134), (0.99, 0.250)] {
            let measured = steps[(share * steps.len() as f64) as usize];
            assert!((measured - quantile).abs() < 0.003, "{share}: {measured}");
        }
        let bins = steps.iter().fold([0.0; 60], |mut bins, &s| {
            let share = 1.0 - (1.0 - f64::from(s)).powi(16);
            bins[((share * 60.0) as usize).min(59)] += 1.0;
            bins
        });
        let expected = steps.len() as f64 / 60.0;
        let chi: f64 = bins.iter().map(|b| (b - expected) * (b - expected) / expected).sum();
        assert!(chi < 110.0, "chi-square {chi} on 59 degrees of freedom");
    }

    #[test]
    fn roots_and_powers_agree() {
        for i in 0..1000_u16 {
            let x = f32::from(i) / 1000.0;
            let exact = f64::from(x).powf(1.0 / 16.0);
            assert!((f64::from(root(x, 15)) - exact).abs() < 1e-6);
            assert!((f64::from(root(x, 20)) - f64::from(x).powf(1.0 / 21.0)).abs() < 1e-6);
        }
        assert_eq!(step(0.5, 15), 0.0);
        assert_eq!(step(0.0, 15), -1.0);
    }

    #[test]
    fn byte_steps_are_rounded_steps() {
        for eta in [15, 20, 0] {
            let table = ByteSteps::new(eta);
            // The exact probabilities of the table.
            let mut shares = [0_u64; 256];
            for (i, column) in table.columns.iter().enumerate() {
                let own = u64::from(column >> 8);
                shares[i] += own;
                shares[(column & 0xff) as usize] += (1 << 23) - own;
            }
            let power = i32::from(eta) + 1;
            for (magnitude, &share) in shares.iter().enumerate() {
                let upto = |edge: f64| if edge < 1.0 { 1.0 - (1.0 - edge.max(0.0)).powi(power) } else { 1.0 };
                let expected = upto((magnitude as f64 + 0.5) / 255.0) - upto((magnitude as f64 - 0.5) / 255.0);
                let measured = share as f64 / (1_u64 << 31) as f64;
                assert!((measured - expected).abs() < 2e-9, "eta {eta}, {magnitude}: {measured} {expected}");
            }
        }
        let (table, mut stream) = (ByteSteps::new(15), stream());
        let sum: i64 = (0..200_000).map(|_| i64::from(table.draw(&mut stream))).sum();
        assert!(sum.abs() < 40_000, "biased: {sum}");
    }
}
