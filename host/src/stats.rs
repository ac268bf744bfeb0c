//! Medians with confidence intervals, and two rank tests: Mann-Whitney for samples, Wilcoxon for pairs.

use serde::Serialize;

/// A median over runs, with an interval for it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Median {
    /// The median.
    pub median: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The probability with which such an interval contains the median of the distribution from which the values are drawn.
    pub coverage: f64,
}

/// Coverage that an interval should have, if there are enough values.
const COVERAGE: f64 = 0.9;

/// The median of some values.
///
/// The interval goes from the k-th lowest to the k-th highest value. The true median lies outside it with a probability given by binomial
/// coefficients, whatever the distribution (Conover 1999, 3.2). k is the largest number for which the interval contains it with at least
/// 90 %. With four values or fewer no interval does; then it is their range.
///
/// None if there is no value, or one is NaN.
#[must_use]
pub(crate) fn median(values: &[f64]) -> Option<Median> {
    if values.is_empty() || values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let middle = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0;
    let (k, coverage) = interval(n);
    Some(Median { median: middle, low: sorted[k], high: sorted[n - 1 - k], coverage })
}

/// The number of values out of `n` left out at either end, and the coverage of the rest.
fn interval(n: usize) -> (usize, f64) {
    let mut chosen = (0, 0.0);
    // The probability that at most k of the values are below the true median.
    let mut tail = 0.0;
    for k in 0..n.div_ceil(2) {
        tail += half_and_half(n, k);
        let coverage = (1.0 - 2.0 * tail).max(0.0);
        if k > 0 && coverage < COVERAGE {
            break;
        }
        chosen = (k, coverage);
    }
    chosen
}

/// The probability of k heads in n throws of a coin; computed with logarithms, which stay in range for any n.
fn half_and_half(n: usize, k: usize) -> f64 {
    let factorial = |x: usize| libm::lgamma(x as f64 + 1.0);
    (factorial(n) - factorial(k) - factorial(n - k) - n as f64 * std::f64::consts::LN_2).exp()
}

/// Which rank test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Method {
    /// Two independent samples. The statistic is U of the first: the number of pairs in which its value is larger, where equal values count
    /// as a half.
    #[serde(rename = "Mann-Whitney U")]
    MannWhitney,
    /// Pairs: two values for each picture or run. The statistic is W+: the sum of the ranks of the differences in favour of the first.
    #[serde(rename = "Wilcoxon signed-rank W")]
    Wilcoxon,
}

impl Method {
    /// The test and its statistic, in words.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MannWhitney => "Mann-Whitney U",
            Self::Wilcoxon => "Wilcoxon signed-rank W",
        }
    }
}

/// The result of a rank test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct RankTest {
    /// Which test.
    pub method: Method,
    /// Its statistic.
    pub statistic: f64,
    /// The probability of a statistic at least as far from its mean, in either direction, if the two do not differ.
    pub p: f64,
    /// The statistic as a share of its largest value: 1 if the first is always larger, 0 if the second is.
    pub effect: f64,
}

/// Samples with up to this many values together are tested exactly.
const EXACT: usize = 60;

/// Tests whether one of two samples tends to have larger values (Mann and Whitney 1947), two-sided.
///
/// Up to 60 values p is exact: all ways to assign the ranks to the samples are counted, including ties. Beyond that it is the normal
/// approximation, corrected for ties and continuity.
///
/// None if a sample is empty, or a value is NaN.
#[must_use]
pub(crate) fn mann_whitney(first: &[f64], second: &[f64]) -> Option<RankTest> {
    let (n, m) = (first.len(), second.len());
    if n == 0 || m == 0 || first.iter().chain(second).any(|value| value.is_nan()) {
        return None;
    }
    let ranks = doubled_ranks(first, second);
    let sum: usize = ranks[..n].iter().sum();
    let u = (sum - n * (n + 1)) as f64 / 2.0;
    let pairs = (n * m) as f64;
    let p = if n + m <= EXACT { exact(&ranks, n, sum) } else { approximate(&ranks, n, u) };
    Some(RankTest { method: Method::MannWhitney, statistic: u, p, effect: u / pairs })
}

/// Twice the rank of each value among all, from 1; equal values share the mean of their ranks, which is why ranks are doubled.
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
    // ways[k][s]: the number of ways in which k of the ranks sum to s.
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
    normal(u - n * m / 2.0, n * m / 12.0 * (size + 1.0 - ties(ranks) / (size * (size - 1.0))))
}

/// The sum of t^3 - t over groups of t equal ranks.
fn ties(ranks: &[usize]) -> f64 {
    let mut counts = std::collections::BTreeMap::new();
    ranks.iter().for_each(|rank| *counts.entry(rank).or_insert(0.0) += 1.0);
    counts.values().map(|t: &f64| t.powi(3) - t).sum()
}

/// The two-sided p value of a normal variable at this distance, corrected for continuity.
fn normal(distance: f64, variance: f64) -> f64 {
    if variance <= 0.0 {
        return 1.0;
    }
    let z = (distance.abs() - 0.5).max(0.0) / variance.sqrt();
    libm::erfc(z / std::f64::consts::SQRT_2).min(1.0)
}

/// Pairs up to this number are tested exactly.
const EXACT_PAIRS: usize = 200;

/// Tests whether the first or the second of a pair tends to be larger (Wilcoxon 1945), two-sided. Pairs without a difference are left out,
/// as Wilcoxon did.
///
/// Up to 200 pairs p is exact: all ways to sign the ranks are counted, including ties. Beyond that it is the normal approximation,
/// corrected for ties and continuity.
///
/// None if no pair differs, the samples differ in length, or a difference is NaN (such as that of two infinite values).
#[must_use]
pub(crate) fn wilcoxon(first: &[f64], second: &[f64]) -> Option<RankTest> {
    // Two generations that were never reached are equal.
    let difference = |(a, b): (&f64, &f64)| if a == b { 0.0 } else { a - b };
    let differences: Vec<f64> = first.iter().zip(second).map(difference).filter(|d| *d != 0.0).collect();
    let n = differences.len();
    if first.len() != second.len() || n == 0 || differences.iter().any(|d| d.is_nan()) {
        return None;
    }
    let sizes: Vec<f64> = differences.iter().map(|d| d.abs()).collect();
    let ranks = doubled_ranks(&sizes, &[]);
    let sum: usize = ranks.iter().zip(&differences).filter(|(_, d)| **d > 0.0).map(|(rank, _)| rank).sum();
    let (statistic, largest) = (sum as f64 / 2.0, (n * (n + 1)) as f64 / 2.0);
    let p = if n <= EXACT_PAIRS {
        exact_signs(&ranks, sum)
    } else {
        let n = n as f64;
        normal(statistic - largest / 2.0, n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties(&ranks) / 48.0)
    };
    Some(RankTest { method: Method::Wilcoxon, statistic, p, effect: statistic / largest })
}

/// The share of the ways to choose some of the ranks whose sum is at least as far from half of the total as `sum`.
fn exact_signs(ranks: &[usize], sum: usize) -> f64 {
    let total: usize = ranks.iter().sum();
    // chances[s]: the probability that the sum is s if each rank is included with probability 1/2.
    let mut chances = vec![0.0_f64; total + 1];
    chances[0] = 1.0;
    for &rank in ranks {
        for s in (0..=total).rev() {
            let with = if s >= rank { chances[s - rank] } else { 0.0 };
            chances[s] = (chances[s] + with) / 2.0;
        }
    }
    let distance = |s: usize| (2 * s).abs_diff(total);
    let extreme = chances.iter().enumerate().filter(|(s, _)| distance(*s) >= distance(sum)).map(|(_, chance)| chance);
    extreme.sum::<f64>().min(1.0)
}

/// Holm's step-down correction (1979) of p values of several tests: the k-th smallest of m is multiplied by m - k + 1, and none is below the
/// one before it.
#[must_use]
pub(crate) fn holm(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let (mut corrected, mut least) = (vec![1.0; values.len()], 0.0_f64);
    for (rank, &i) in order.iter().enumerate() {
        least = least.max(values[i] * (values.len() - rank) as f64).min(1.0);
        corrected[i] = least;
    }
    corrected
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
        close(test.statistic, 35.0, 0.0);
        close(test.p, 0.2544, 5e-5);
        // The example of scipy.stats.mannwhitneyu: U = 17, exact p = 0.1111.
        let test = mann_whitney(&[19.0, 22.0, 16.0, 29.0, 24.0], &[20.0, 11.0, 17.0, 12.0]).unwrap();
        close(test.statistic, 17.0, 0.0);
        close(test.p, 0.1111, 5e-5);
    }

    #[test]
    fn five_and_five_agree_with_the_table() {
        // Mann and Whitney 1947, table I: P(U <= 0, 1, 2) = 0.004, 0.008, 0.016 for n = m = 5, one-sided.
        let low = [1.0, 2.0, 3.0, 4.0, 5.0];
        for (high, u, p) in [
            ([6.0, 7.0, 8.0, 9.0, 10.0], 0.0, 2.0 / 252.0),
            ([4.5, 7.0, 8.0, 9.0, 10.0], 1.0, 4.0 / 252.0),
            ([4.5, 4.6, 8.0, 9.0, 10.0], 2.0, 8.0 / 252.0),
        ] {
            let test = mann_whitney(&low, &high).unwrap();
            close(test.statistic, u, 0.0);
            close(test.p, p, 1e-12);
            close(mann_whitney(&high, &low).unwrap().p, p, 1e-12);
            close(mann_whitney(&high, &low).unwrap().statistic, 25.0 - u, 0.0);
        }
    }

    #[test]
    fn ties_are_counted_exactly() {
        // All equal: every assignment is as extreme as this one.
        let test = mann_whitney(&[1.0; 5], &[1.0; 5]).unwrap();
        assert_eq!(test, RankTest { method: Method::MannWhitney, statistic: 12.5, p: 1.0, effect: 0.5 });
        // Of the 6 ways to choose 2 of {1, 1, 2, 2}, one is {1, 1} and one {2, 2}.
        let test = mann_whitney(&[1.0, 1.0], &[2.0, 2.0]).unwrap();
        close(test.statistic, 0.0, 0.0);
        close(test.p, 1.0 / 3.0, 1e-12);
        assert_eq!(mann_whitney(&[1.0; 40], &[1.0; 40]).unwrap().p, 1.0);
    }

    #[test]
    fn the_approximation_meets_the_exact_values() {
        let first: Vec<f64> = (0..30).map(|i| f64::from((i * 37) % 61) + 6.0).collect();
        let second: Vec<f64> = (0..30).map(|i| f64::from((i * 53) % 59)).collect();
        let test = mann_whitney(&first, &second).unwrap();
        let ranks = doubled_ranks(&first, &second);
        close(approximate(&ranks, 30, test.statistic), test.p, 2e-3);
        assert!(test.p > 0.01 && test.p < 0.9, "{} tells nothing", test.p);
    }

    #[test]
    fn the_test_of_pairs_gives_published_values() {
        // Hollander and Wolfe 1973, p. 29 (depression scale factor), as in the example of R's wilcox.test: V = 40, one-sided
        // p = 0.01953; the distribution is symmetric, so two-sided it is twice that.
        // (In hundredths.)
        let first = [183.0, 50.0, 162.0, 248.0, 168.0, 188.0, 155.0, 306.0, 130.0];
        let second = [87.8, 64.7, 59.8, 205.0, 106.0, 129.0, 106.0, 314.0, 129.0];
        let test = wilcoxon(&first, &second).unwrap();
        assert_eq!((test.method, test.statistic), (Method::Wilcoxon, 40.0));
        close(test.p, 0.03906, 5e-6);
        let back = wilcoxon(&second, &first).unwrap();
        assert_eq!((back.statistic, back.p), (5.0, test.p));
        // Five of five in one direction: 2 of the 32 ways to sign the ranks (Wilcoxon 1945: five pairs cannot give a smaller p).
        let test = wilcoxon(&[2.0, 3.0, 4.0, 5.0, 6.0], &[1.0; 5]).unwrap();
        assert_eq!((test.statistic, test.p, test.effect), (15.0, 2.0 / 32.0, 1.0));
    }

    #[test]
    fn pairs_without_a_difference_say_nothing_and_ties_share_their_ranks() {
        // Differences 0, 1, 1, -1, 2: the ranks of the non-zero ones are 2, 2, 2, 4 (doubled), and 2 + 2 + 4 favour the first. 8 of the 16
        // sums are as far from the mean 5: 0, three times 2, three times 8, and 10.
        let test = wilcoxon(&[1.0, 2.0, 2.0, 1.0, 3.0], &[1.0, 1.0, 1.0, 2.0, 1.0]).unwrap();
        assert_eq!((test.statistic, test.p), (8.0, 8.0 / 16.0));
        let never = f64::INFINITY;
        assert_eq!(wilcoxon(&[never, 2.0], &[never, 1.0]).unwrap().p, 1.0, "two that were never reached are equal");
        assert_eq!(wilcoxon(&[1.0, 2.0], &[1.0, 2.0]), None);
        assert_eq!(wilcoxon(&[1.0, 2.0], &[1.0]), None);
        assert_eq!(wilcoxon(&[f64::NAN], &[1.0]), None);
    }

    #[test]
    fn many_pairs_are_approximated_as_they_are_counted() {
        let first: Vec<f64> = (0..EXACT_PAIRS).map(|i| ((i * 37) % 61) as f64 + 2.5).collect();
        let second: Vec<f64> = (0..EXACT_PAIRS).map(|i| ((i * 53) % 67) as f64).collect();
        let exact = wilcoxon(&first, &second).unwrap();
        assert!(exact.p > 0.01 && exact.p < 0.9, "{} tells nothing", exact.p);
        let n = EXACT_PAIRS as f64;
        let sizes: Vec<f64> = first.iter().zip(&second).map(|(a, b)| (a - b).abs()).collect();
        let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties(&doubled_ranks(&sizes, &[])) / 48.0;
        close(normal(exact.statistic - n * (n + 1.0) / 4.0, variance), exact.p, 2e-3);
        // One more pair exceeds the exact test, and the approximation must agree with it.
        let more = |values: &[f64], last: f64| values.iter().copied().chain([last]).collect::<Vec<f64>>();
        let beyond = wilcoxon(&more(&first, 30.0), &more(&second, 30.5)).unwrap();
        close(beyond.p, exact.p, 0.02);
    }

    #[test]
    fn empty_samples_give_nothing() {
        assert_eq!(mann_whitney(&[], &[1.0]), None);
        assert_eq!(mann_whitney(&[1.0], &[f64::NAN]), None);
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn a_median_has_an_interval_with_its_coverage() {
        // Five values: their range, with 1 - 2/32.
        let five = median(&[3.0, 1.0, 5.0, 2.0, 4.0]).unwrap();
        assert_eq!((five.median, five.low, five.high), (3.0, 1.0, 5.0));
        close(five.coverage, 0.9375, 1e-12);
        // Ten values: from the second lowest to the second highest, 97.85 % (Conover 1999, table A3: 0.0107 a side).
        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        let ten = median(&ten).unwrap();
        assert_eq!((ten.median, ten.low, ten.high), (5.5, 2.0, 9.0));
        close(ten.coverage, 0.9785, 5e-5);
        // One value says nothing about the median.
        assert_eq!(median(&[7.0]).unwrap(), Median { median: 7.0, low: 7.0, high: 7.0, coverage: 0.0 });
        close(median(&[1.0, 2.0]).unwrap().coverage, 0.5, 1e-12);
        // Many values: the normal approximation, n/2 - 1.645 sqrt(n)/2 to either side, and no overflow.
        let many: Vec<f64> = (1..=5000).map(f64::from).collect();
        let many = median(&many).unwrap();
        assert!((2441.0..=2443.0).contains(&many.low) && many.low + many.high == 5001.0, "{many:?}");
        assert!((0.9..0.91).contains(&many.coverage), "{many:?}");
    }
}
