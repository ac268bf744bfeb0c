//! Detection and calibration figures, defined as their usual implementations compute them.
//!
//! Detection figures follow OpenOOD 1.5 (Zhang et al. 2023): rubbish is the positive class, a higher *confidence* speaks for a real
//! picture, and the recall at which the false positive rate is read is 0.95. The curves are those of scikit-learn's `roc_curve` and
//! `precision_recall_curve`, whose points OpenOOD takes. Logarithms and exponentials are libm's, so that the figures are the same on every machine.

use serde::{Deserialize, Serialize};

/// How well a confidence tells real pictures from rubbish.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Detection {
    /// Area under the receiver operating characteristic, in [0, 1]: the probability that a real picture has a higher confidence than
    /// rubbish, ties counting as a half.
    pub(crate) auroc: f64,
    /// Area under the precision-recall curve with real pictures as the positive class, by the trapezoidal rule.
    pub(crate) aupr_real: f64,
    /// Area under the precision-recall curve with rubbish as the positive class.
    pub(crate) aupr_rubbish: f64,
    /// The share of real pictures that are taken for rubbish at the first threshold that finds at least 95 % of the rubbish.
    pub(crate) fpr95: f64,
}

/// Recall at which the false positive rate is read.
const RECALL: f64 = 0.95;

/// Positives and negatives at or above each distinct score, from the highest score down.
struct Counts {
    positives: Vec<f64>,
    negatives: Vec<f64>,
}

impl Counts {
    /// `scores` are those of the positives and of the negatives, all finite or infinite, none NaN.
    fn new(positives: &[f64], negatives: &[f64]) -> Self {
        let mut all: Vec<(f64, bool)> =
            positives.iter().map(|&score| (score, true)).chain(negatives.iter().map(|&score| (score, false))).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut counts = Self { positives: Vec::new(), negatives: Vec::new() };
        let (mut found, mut mistaken) = (0.0, 0.0);
        for (i, &(score, positive)) in all.iter().enumerate() {
            if positive {
                found += 1.0;
            } else {
                mistaken += 1.0;
            }
            if all.get(i + 1).is_none_or(|next| next.0 != score) {
                counts.positives.push(found);
                counts.negatives.push(mistaken);
            }
        }
        counts
    }

    /// The points of the ROC curve without those in the middle of straight lines, which `roc_curve` leaves out too. That matters: the first
    /// threshold with a recall of at least 95 % is looked for among the points that remain.
    fn corners(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let straight = |i: usize| {
            let bend = |counts: &[f64]| counts[i + 1] - 2.0 * counts[i] + counts[i - 1];
            i > 0 && i + 1 < self.positives.len() && bend(&self.positives) == 0.0 && bend(&self.negatives) == 0.0
        };
        (0..self.positives.len()).filter(move |&i| !straight(i)).map(|i| (self.negatives[i], self.positives[i]))
    }

    /// Area under the precision-recall curve.
    fn average_precision(&self) -> f64 {
        let all = *self.positives.last().expect("there are scores");
        // The curve starts at a recall of 0 with a precision of 1.
        let start = (0.0, 1.0);
        let points = self.positives.iter().zip(&self.negatives).map(|(found, mistaken)| (found / all, found / (found + mistaken)));
        area(std::iter::once(start).chain(points))
    }
}

/// Area under a line through points whose x ascend.
fn area(points: impl Iterator<Item = (f64, f64)>) -> f64 {
    let mut last: Option<(f64, f64)> = None;
    points.fold(0.0, |sum, (x, y)| {
        let (x0, y0) = last.replace((x, y)).unwrap_or((x, y));
        sum + (x - x0) * (y + y0) / 2.0
    })
}

/// Compares the confidences of real pictures with those of rubbish.
///
/// `None` if one of the two is empty, or a confidence is NaN.
#[must_use]
pub(crate) fn detection(real: &[f64], rubbish: &[f64]) -> Option<Detection> {
    if real.is_empty() || rubbish.is_empty() || real.iter().chain(rubbish).any(|confidence| confidence.is_nan()) {
        return None;
    }
    let negated = |confidences: &[f64]| confidences.iter().map(|confidence| -confidence).collect::<Vec<_>>();
    let counts = Counts::new(&negated(rubbish), &negated(real));
    let (reals, rubbishes) = (real.len() as f64, rubbish.len() as f64);
    let roc: Vec<(f64, f64)> =
        std::iter::once((0.0, 0.0)).chain(counts.corners().map(|(mistaken, found)| (mistaken / reals, found / rubbishes))).collect();
    let fpr95 = roc.iter().find(|(_, recall)| *recall >= RECALL).map_or(1.0, |point| point.0);
    Some(Detection {
        auroc: area(roc.into_iter()),
        aupr_real: Counts::new(real, rubbish).average_precision(),
        aupr_rubbish: counts.average_precision(),
        fpr95,
    })
}

/// The highest threshold that at least `share` of the confidences reach, and the share of `rubbish` that reaches it too.
///
/// `None` if one of the two is empty, or a confidence is NaN.
#[must_use]
pub(crate) fn passing(real: &[f64], rubbish: &[f64], share: f64) -> Option<(f64, f64)> {
    if real.is_empty() || rubbish.is_empty() || real.iter().chain(rubbish).any(|confidence| confidence.is_nan()) {
        return None;
    }
    let mut sorted = real.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let needed = ((share * real.len() as f64).ceil() as usize).clamp(1, real.len());
    let threshold = sorted[needed - 1];
    let passed = rubbish.iter().filter(|&&confidence| confidence >= threshold).count();
    Some((threshold, passed as f64 / rubbish.len() as f64))
}

/// Bins of the expected calibration error, as in Guo et al. 2017.
const BINS: usize = 15;

/// Expected calibration error (Guo et al. 2017, eq. 3): the mean distance between confidence and accuracy over 15 bins of equal width,
/// weighted by the pictures in each. A confidence on the border of two bins is in the lower one.
///
/// `None` without pictures.
#[must_use]
pub(crate) fn expected_calibration_error(predictions: impl IntoIterator<Item = (f64, bool)>) -> Option<f64> {
    let mut bins = [(0_usize, 0.0, 0_usize); BINS];
    let mut total = 0;
    for (confidence, right) in predictions {
        let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        let (count, sum, correct) = &mut bins[bin];
        *count += 1;
        *sum += confidence;
        *correct += usize::from(right);
        total += 1;
    }
    let error = |(count, sum, correct): &(usize, f64, usize)| if *count == 0 { 0.0 } else { (sum - *correct as f64).abs() };
    (total > 0).then(|| bins.iter().map(error).sum::<f64>() / total as f64)
}

/// Shannon's entropy of probabilities, in nats.
#[must_use]
pub(crate) fn entropy(probabilities: &[f32]) -> f64 {
    -probabilities.iter().map(|&p| f64::from(p)).filter(|&p| p > 0.0).map(|p| p * libm::log(p)).sum::<f64>()
}

/// The logarithm of the sum of the exponentials: the negative energy of Liu et al. 2020 at temperature 1.
#[must_use]
pub(crate) fn log_sum_exp(logits: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest.is_infinite() {
        return largest;
    }
    largest + libm::log(logits.map(|logit| libm::exp(logit - largest)).sum::<f64>())
}

/// The temperature in [0.05, 20] whose softmax gives the labels the highest likelihood (Guo et al. 2017, section 4.2), found by golden
/// section on its logarithm: the negative log-likelihood is convex in the inverse temperature, so it has one minimum.
///
/// `logits` are rows of `classes` numbers; logarithms of probabilities serve as well, since a constant in a row changes nothing.
#[must_use]
pub(crate) fn calibrating_temperature(logits: &[f32], classes: usize, labels: &[usize]) -> Option<f64> {
    if labels.is_empty() || logits.len() != labels.len() * classes || labels.iter().any(|&label| label >= classes) {
        return None;
    }
    let loss = |log_temperature: f64| {
        let inverse = libm::exp(-log_temperature);
        let rows = logits.chunks_exact(classes).zip(labels);
        rows.map(|(row, &label)| log_sum_exp(row.iter().map(|&x| f64::from(x) * inverse)) - f64::from(row[label]) * inverse).sum::<f64>()
    };
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (libm::log(0.05), libm::log(20.0));
    let (mut a, mut b) = (high - golden * (high - low), low + golden * (high - low));
    let (mut at_a, mut at_b) = (loss(a), loss(b));
    while high - low > 1e-7 {
        if at_a < at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - golden * (high - low);
            at_a = loss(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + golden * (high - low);
            at_b = loss(b);
        }
    }
    Some(libm::exp((low + high) / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    }

    #[test]
    fn figures_of_a_small_case_by_hand() {
        // Rubbish below all real pictures but one.
        let found = detection(&[0.9, 0.8, 0.7, 0.3], &[0.1, 0.2, 0.4]).unwrap();
        // Eleven of twelve pairs are in order.
        close(found.auroc, 11.0 / 12.0);
        // All rubbish is found at a threshold that takes one real picture of four with it.
        close(found.fpr95, 0.25);
        let perfect = detection(&[3.0, 2.0], &[1.0, 0.0]).unwrap();
        assert_eq!(perfect, Detection { auroc: 1.0, aupr_real: 1.0, aupr_rubbish: 1.0, fpr95: 0.0 });
        // Ties count as a half.
        close(detection(&[1.0; 5], &[1.0; 3]).unwrap().auroc, 0.5);
        assert_eq!(detection(&[], &[1.0]), None);
        assert_eq!(detection(&[f64::NAN], &[1.0]), None);
    }

    /// Stored numbers: the formulas of OpenOOD 1.5 (`auc_and_fpr_recall`) on scikit-learn 1.9.1, with many ties and with few.
    #[test]
    fn figures_agree_with_openood() {
        let cases: [(&[f64], &[f64], [f64; 4]); 3] = [
            (
                &[
                    0.704131, 0.917668, 0.927386, 0.791987, 0.83149, 0.662499, 0.767818, 0.561827, 0.868586, 0.551959, 0.742151, 0.804139,
                    0.722788, 0.41587, 0.823477, 0.387963, 0.655976, 0.715139, 0.964921, 0.950076, 0.954772, 0.764671, 0.982107, 0.809297,
                    0.617453, 0.670363, 0.963247, 0.870626, 0.821195, 0.861976, 0.600971, 0.522326, 0.755934, 0.690756, 0.574133, 0.387781,
                    0.588762,
                ],
                &[
                    0.163152, 0.487407, 0.393297, 0.321512, 0.052855, 0.712354, 0.448205, 0.902019, 0.669025, 0.487021, 0.273527, 0.064973,
                    0.044131, 0.140343, 0.18526, 0.562963, 0.276782, 0.222164, 0.6611, 0.009683, 0.301189, 0.698172, 0.589195, 0.110273,
                    0.23662, 0.331556, 0.417874, 0.300841, 0.74138,
                ],
                [0.8816402609506058, 0.8917338288109142, 0.882944387240461, 0.4594594594594595],
            ),
            (
                &[
                    0.8, 0.9, 0.6, 0.5, 0.8, 0.9, 0.9, 0.9, 0.7, 0.6, 0.3, 0.9, 0.5, 0.3, 0.7, 0.8, 0.7, 0.2, 0.6, 0.9, 0.4, 0.8, 0.8, 0.9,
                    0.8, 0.7, 0.6, 0.8, 0.9, 0.7, 1.0, 0.3, 0.7, 1.0, 0.8, 0.5, 0.8, 0.9, 1.0, 1.0, 1.0, 0.8, 0.7, 0.5, 0.9, 0.7, 0.7, 0.3,
                    0.8, 0.7, 0.8, 0.4, 0.8, 0.8, 0.6, 1.0, 0.7, 0.5, 0.6, 0.8,
                ],
                &[
                    0.5, 0.1, 0.0, 0.7, 0.9, 0.3, 0.5, 0.3, 0.0, 0.2, 0.7, 0.7, 0.4, 0.1, 0.4, 0.4, 0.2, 0.2, 0.3, 0.3, 0.7, 0.4, 0.6, 0.5,
                    0.6, 0.3, 0.4, 0.3, 0.7, 0.9, 0.9, 0.6, 0.4, 0.3, 0.4, 0.3, 0.4, 0.5, 0.6, 0.6,
                ],
                [0.8120833333333334, 0.8579231114661418, 0.7488220706106345, 0.9],
            ),
            (
                &[0.9, 0.6, 0.7, 0.3, 0.7, 0.8, 0.6, 0.4, 0.6, 0.9, 1.0, 0.5, 0.3, 0.8, 0.7, 0.7, 0.9, 0.7, 0.7, 0.5, 0.8, 1.0, 0.8],
                &[
                    0.3, 0.5, 0.4, 0.5, 0.2, 0.6, 0.4, 0.6, 0.4, 0.1, 0.2, 0.2, 0.7, 0.7, 0.1, 0.2, 0.4, 0.3, 0.6, 1.0, 0.6, 0.8, 0.2, 0.3,
                    0.8, 0.1, 0.5, 0.5, 0.2, 0.6, 0.9, 0.1, 0.9, 0.2, 0.6, 0.7, 0.9, 0.2, 0.9, 0.7, 0.5, 0.6, 0.3, 0.4, 0.6, 0.4, 0.1, 0.3,
                    0.8, 0.6, 0.4,
                ],
                [0.7502131287297529, 0.5360925248150832, 0.8806253672644847, 0.9130434782608695],
            ),
        ];
        for (real, rubbish, [auroc, aupr_real, aupr_rubbish, fpr95]) in cases {
            let found = detection(real, rubbish).unwrap();
            close(found.auroc, auroc);
            close(found.aupr_real, aupr_real);
            close(found.aupr_rubbish, aupr_rubbish);
            close(found.fpr95, fpr95);
        }
    }

    /// Stored numbers: Guo's formula in NumPy, and the temperature by SciPy's bounded search.
    #[test]
    fn calibration_agrees_with_numpy() {
        let logits: [f32; 160] = [
            1.42, -1.24, 0.45, 0.33, -1.78, -5.13, 1.99, 0.81, 0.36, -1.32, -0.58, 0.99, 0.12, 2.4, 0.32, -1.56, 1.3, -1.19, 0.51, -3.54,
            -0.63, 1.19, -1.23, 0.01, 1.24, 0.2, 3.63, -0.46, -0.3, -0.26, -3.9, -3.01, 1.12, -0.6, 2.83, -0.1, -0.29, 2.11, 0.61, 3.26,
            -2.06, 0.93, 1.41, 1.17, 2.36, 2.12, 0.14, -1.04, 2.04, 0.19, 2.01, 2.81, 0.52, -1.68, -0.38, 1.72, -0.33, 2.51, 0.24, 0.44,
            -1.07, -0.02, 2.37, -0.5, -0.49, -1.38, 1.73, -2.88, -1.15, 1.97, 2.99, -0.3, 2.07, -3.83, 1.65, 0.71, -2.32, -3.43, -0.89,
            0.64, 0.86, 0.34, 1.66, 1.52, -2.65, -0.65, -0.91, 2.17, -0.87, 2.12, 0.29, 4.8, 0.01, 0.12, -0.11, 0.4, 4.97, -0.9, -1.64,
            -0.29, 1.45, -1.87, 1.69, 1.63, -0.23, -0.41, -1.48, -0.46, -1.51, 2.57, 3.34, -0.48, 0.0, -3.72, -0.98, 0.75, 0.62, 0.32,
            1.76, 0.25, -0.71, 3.27, -3.76, -2.25, -1.41, -1.4, -1.49, -0.4, -1.38, -0.07, 1.22, 0.09, 0.3, -1.84, -2.24, -0.56, 1.87,
            0.77, 2.19, 2.0, 2.26, -1.59, 2.49, 1.53, 4.15, 1.2, 0.67, -0.23, 0.35, -3.27, -0.47, -0.05, 1.99, -1.28, 0.29, 3.66, -1.03,
            1.7, -1.04, -0.17,
        ];
        let labels: [usize; 40] =
            [0, 2, 3, 1, 0, 2, 2, 1, 0, 1, 0, 0, 3, 3, 1, 1, 2, 0, 0, 3, 2, 3, 3, 2, 0, 0, 0, 2, 2, 2, 1, 3, 2, 0, 2, 2, 1, 0, 3, 1];
        let predictions = logits.chunks_exact(4).zip(labels).map(|(row, label)| {
            let sum = log_sum_exp(row.iter().map(|&x| f64::from(x)));
            let best = (0..4).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
            ((f64::from(row[best]) - sum).exp(), best == label)
        });
        close(expected_calibration_error(predictions).unwrap(), 0.22840147129306299);
        let temperature = calibrating_temperature(&logits, 4, &labels).unwrap();
        assert!((temperature - 1.2950692359337719).abs() < 1e-5, "{temperature}");
        assert_eq!(expected_calibration_error([]), None);
        assert_eq!(calibrating_temperature(&logits, 4, &[9; 40]), None);
    }
    #[test]
    fn thresholds_keep_their_share() {
        let real: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(passing(&real, &[4.0, 5.0, 6.0, 200.0], 0.95), Some((5.0, 0.75)));
        assert_eq!(passing(&[1.0], &[0.5], 0.95), Some((1.0, 0.0)));
        assert_eq!(passing(&[1.0], &[], 0.95), None);
    }

    #[test]
    fn entropies_and_energies() {
        close(entropy(&[0.25; 4]), 4.0_f64.ln());
        assert_eq!(entropy(&[1.0, 0.0]), 0.0);
        close(log_sum_exp([0.0, 0.0].into_iter()), 2.0_f64.ln());
        close(log_sum_exp([1000.0, 1000.0].into_iter()), 1000.0 + 2.0_f64.ln());
    }
}
