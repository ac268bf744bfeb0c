//! Medians, their intervals, and the rank test of Mann and Whitney.

use serde::Serialize;

/// A median over runs, with an interval for it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Median {
    /// The median.
    pub median: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The probability with which such an interval holds the median of the distribution that the values are drawn from.
    pub coverage: f64,
}

/// Coverage that an interval should have, if there are enough values.
const COVERAGE: f64 = 0.9;

/// The median of some values.
///
/// The interval goes from the k-th lowest to the k-th highest value. The true median lies outside it with a probability that binomial
/// coefficients give, whatever the distribution (Conover 1999, 3.2): k is the largest for which it holds the median with at least 90 %.
/// Four values or fewer cannot do so; then it is their range.
///
/// Nothing if there is no value, or one is not a number.
#[must_use]
pub fn median(values: &[f64]) -> Option<Median> {
    if values.is_empty() || values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let middle = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0;
    // The probability that at most `below` of the values are under the true median.
    let tail = |below: usize| (0..=below).map(|i| binomial(n, i)).sum::<f64>() / 2.0_f64.powi(n as i32);
    let coverage = |k: usize| (1.0 - 2.0 * tail(k)).max(0.0);
    let k = (0..n.div_ceil(2)).take_while(|&k| coverage(k) >= COVERAGE).last().unwrap_or(0);
    Some(Median { median: middle, low: sorted[k], high: sorted[n - 1 - k], coverage: coverage(k) })
}

fn binomial(n: usize, k: usize) -> f64 {
    (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product()
}

/// The outcome of a rank test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RankTest {
    /// Mann and Whitney's U of the first sample: in how many pairs its value is the larger one, equal ones counting as a half.
    pub u: f64,
    /// The probability of a U at least as far from its mean, to either side, if both samples are drawn from one distribution.
    pub p: f64,
    /// U as a share of all pairs: 1 if the first sample is always larger, 0 if the second is.
    pub effect: f64,
}

/// Samples up to this size together are tested exactly.
const EXACT: usize = 60;

/// Tests whether one of two samples tends to larger values (Mann and Whitney 1947), two-sided.
///
/// Up to 60 values p is exact, by counting all ways to deal the ranks to the samples, ties included; beyond that it is the normal
/// approximation with the correction for ties and for continuity.
///
/// Nothing if a sample is empty, or a value is not a number.
#[must_use]
pub fn mann_whitney(first: &[f64], second: &[f64]) -> Option<RankTest> {
    let (n, m) = (first.len(), second.len());
    if n == 0 || m == 0 || first.iter().chain(second).any(|value| value.is_nan()) {
        return None;
    }
    let ranks = doubled_ranks(first, second);
    let sum: usize = ranks[..n].iter().sum();
    let u = (sum - n * (n + 1)) as f64 / 2.0;
    let pairs = (n * m) as f64;
    let p = if n + m <= EXACT { exact(&ranks, n, sum) } else { approximate(&ranks, n, u) };
    Some(RankTest { u, p, effect: u / pairs })
}

/// Twice the rank of each value among all, from 1; equal values share the mean of their ranks, which is why they are doubled.
fn doubled_ranks(first: &[f64], second: &[f64]) -> Vec<usize> {
    let all: Vec<f64> = first.iter().chain(second).copied().collect();
    let rank = |value: &f64| {
        let below = all.iter().filter(|other| *other < value).count();
        let equal = all.iter().filter(|other| *other == value).count();
        2 * below + equal + 1
    };
    all.iter().map(rank).collect()
}

/// Counts the ways to choose `n` of the ranks whose sum is at least as far from the mean as `sum`.
fn exact(ranks: &[usize], n: usize, sum: usize) -> f64 {
    let total: usize = ranks.iter().sum();
    // ways[k][s]: in how many ways k of the ranks sum to s.
    let mut ways = vec![vec![0.0_f64; total + 1]; n + 1];
    ways[0][0] = 1.0;
    for &rank in ranks {
        for k in (1..=n).rev() {
            for s in (rank..=total).rev() {
                ways[k][s] += ways[k - 1][s - rank];
            }
        }
    }
    // Compared as integers: the distance from the mean n / N of the total, times N.
    let distance = |s: usize| (s * ranks.len()).abs_diff(n * total);
    let all: f64 = ways[n].iter().sum();
    let extreme: f64 = ways[n].iter().enumerate().filter(|(s, _)| distance(*s) >= distance(sum)).map(|(_, ways)| ways).sum();
    extreme / all
}

fn approximate(ranks: &[usize], n: usize, u: f64) -> f64 {
    let (size, n) = (ranks.len() as f64, n as f64);
    let m = size - n;
    let mut counts = std::collections::BTreeMap::new();
    ranks.iter().for_each(|rank| *counts.entry(rank).or_insert(0.0) += 1.0);
    let ties: f64 = counts.values().map(|t: &f64| t.powi(3) - t).sum();
    let variance = n * m / 12.0 * (size + 1.0 - ties / (size * (size - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    let z = ((u - n * m / 2.0).abs() - 0.5).max(0.0) / variance.sqrt();
    libm::erfc(z / std::f64::consts::SQRT_2).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, within: f64) {
        assert!((a - b).abs() <= within, "{a} is not {b}");
    }

    #[test]
    fn the_rank_test_gives_published_values() {
        // Hollander and Wolfe 1973, p. 69 (permeability of placentas), as in the example of R's wilcox.test: W = 35, one-sided
        // p = 0.1272; the distribution is symmetric, so two-sided it is twice that.
        let term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
        let early = [1.15, 0.88, 0.90, 0.74, 1.21];
        let test = mann_whitney(&term, &early).unwrap();
        close(test.u, 35.0, 0.0);
        close(test.p, 0.2544, 5e-5);
        // The example of scipy.stats.mannwhitneyu: U = 17, exact p = 0.1111.
        let test = mann_whitney(&[19.0, 22.0, 16.0, 29.0, 24.0], &[20.0, 11.0, 17.0, 12.0]).unwrap();
        close(test.u, 17.0, 0.0);
        close(test.p, 0.1111, 5e-5);
    }

    #[test]
    fn five_against_five_agrees_with_the_table() {
        // Mann and Whitney 1947, table I: P(U <= 0, 1, 2) = 0.004, 0.008, 0.016 for n = m = 5, one-sided.
        let low = [1.0, 2.0, 3.0, 4.0, 5.0];
        for (high, u, p) in [
            ([6.0, 7.0, 8.0, 9.0, 10.0], 0.0, 2.0 / 252.0),
            ([4.5, 7.0, 8.0, 9.0, 10.0], 1.0, 4.0 / 252.0),
            ([4.5, 4.6, 8.0, 9.0, 10.0], 2.0, 8.0 / 252.0),
        ] {
            let test = mann_whitney(&low, &high).unwrap();
            close(test.u, u, 0.0);
            close(test.p, p, 1e-12);
            close(mann_whitney(&high, &low).unwrap().p, p, 1e-12);
            close(mann_whitney(&high, &low).unwrap().u, 25.0 - u, 0.0);
        }
    }

    #[test]
    fn ties_are_counted_as_they_are() {
        // All equal: every way to deal them is as extreme as this one.
        assert_eq!(mann_whitney(&[1.0; 5], &[1.0; 5]).unwrap(), RankTest { u: 12.5, p: 1.0, effect: 0.5 });
        // Of the 6 ways to choose 2 of {1, 1, 2, 2}, one is {1, 1} and one {2, 2}.
        let test = mann_whitney(&[1.0, 1.0], &[2.0, 2.0]).unwrap();
        close(test.u, 0.0, 0.0);
        close(test.p, 1.0 / 3.0, 1e-12);
        assert_eq!(mann_whitney(&[1.0; 40], &[1.0; 40]).unwrap().p, 1.0);
    }

    #[test]
    fn the_approximation_meets_the_exact_values() {
        let first: Vec<f64> = (0..30).map(|i| f64::from((i * 37) % 61) + 6.0).collect();
        let second: Vec<f64> = (0..30).map(|i| f64::from((i * 53) % 59)).collect();
        let test = mann_whitney(&first, &second).unwrap();
        let ranks = doubled_ranks(&first, &second);
        close(approximate(&ranks, 30, test.u), test.p, 2e-3);
        assert!(test.p > 0.01 && test.p < 0.9, "{} tells nothing", test.p);
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(mann_whitney(&[], &[1.0]), None);
        assert_eq!(mann_whitney(&[1.0], &[f64::NAN]), None);
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn a_median_has_an_interval_with_its_coverage() {
        // Five values: their range, with 1 - 2/32.
        let five = median(&[3.0, 1.0, 5.0, 2.0, 4.0]).unwrap();
        assert_eq!((five.median, five.low, five.high, five.coverage), (3.0, 1.0, 5.0, 0.9375));
        // Ten values: from the second lowest to the second highest, 97.85 % (Conover 1999, table A3: 0.0107 a side).
        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        let ten = median(&ten).unwrap();
        assert_eq!((ten.median, ten.low, ten.high), (5.5, 2.0, 9.0));
        close(ten.coverage, 0.9785, 5e-5);
        // One value says nothing of the median.
        assert_eq!(median(&[7.0]).unwrap(), Median { median: 7.0, low: 7.0, high: 7.0, coverage: 0.0 });
        assert_eq!(median(&[1.0, 2.0]).unwrap().coverage, 0.5);
    }
}
