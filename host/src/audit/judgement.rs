//! The detectors' scores of a picture, and confidences at a temperature.

use super::metrics::{self, calibrating_temperature, entropy};
use super::result::Detector;
use crate::score::top;

/// The detectors' scores of a picture: the higher, the more likely the picture is real. Rejecting classes are left out.
#[derive(Clone, Copy)]
pub(super) struct Judgement {
    /// The highest probability.
    pub(super) maximum: f64,
    /// `None` if there is a rejecting class: a network that is sure of that class has a low entropy too.
    negated_entropy: Option<f64>,
    /// The highest probability at the calibrating temperature, if that is known.
    calibrated: Option<f64>,
    /// The largest logit and the negative energy, if the network's logits are known.
    logits: Option<(f64, f64)>,
}

impl Judgement {
    /// `scores` are `classes` probabilities, followed by the largest logit and the negative energy if the logits are known. `None` if they
    /// are invalid.
    pub(super) fn of(scores: &[f32], classes: usize, temperature: Option<f64>, rejecting: &[usize]) -> Option<Self> {
        let (probabilities, logits) = scores.split_at(classes);
        if probabilities.iter().any(|probability| probability.is_nan()) {
            return None;
        }
        let counting = (0..classes).filter(|class| rejecting.binary_search(class).is_err());
        let best = counting.clone().max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]).then(b.cmp(&a)))?;
        let logits = if let &[maximum, energy] = logits { Some((maximum.into(), energy.into())) } else { None };
        Some(Self {
            maximum: probabilities[best].into(),
            negated_entropy: rejecting.is_empty().then(|| -entropy(probabilities)),
            calibrated: temperature.map(|temperature| at_temperature(probabilities, best, temperature)),
            logits: logits.map(|(maximum, energy): (f64, f64)| {
                if rejecting.is_empty() {
                    return (maximum, energy);
                }
                // A logit is the logarithm of its probability plus the negative energy over all classes.
                let counted = metrics::log_sum_exp(counting.map(|class| logarithm(probabilities[class])));
                (energy + logarithm(probabilities[best]), energy + counted)
            }),
        })
    }

    /// The score of a detector; `None` if it needs something that is not known.
    pub(super) fn by(self, detector: Detector) -> Option<f64> {
        match detector {
            Detector::MaximumProbability => Some(self.maximum),
            Detector::Entropy => self.negated_entropy,
            Detector::CalibratedProbability => self.calibrated,
            Detector::MaximumLogit => self.logits.map(|logits| logits.0),
            Detector::Energy => self.logits.map(|logits| logits.1),
        }
    }
}

/// The logarithm of a probability. One below the smallest normal single-precision number, or zero, counts as that number.
fn logarithm(probability: f32) -> f64 {
    libm::log(f64::from(probability.max(f32::MIN_POSITIVE)))
}

/// The confidence of the surest class at a temperature, and whether it is the right one.
pub(super) fn prediction(probabilities: &[f32], class: usize, temperature: f64) -> (f64, bool) {
    let (best, _) = top(probabilities, 1)[0];
    (at_temperature(probabilities, best, temperature), best == class)
}

/// The probability of a class at a temperature. Logarithms of probabilities are logits, up to a constant.
pub(super) fn at_temperature(probabilities: &[f32], class: usize, temperature: f64) -> f64 {
    if temperature == 1.0 {
        return probabilities[class].into();
    }
    let sum = metrics::log_sum_exp(probabilities.iter().map(|&p| logarithm(p) / temperature));
    libm::exp(logarithm(probabilities[class]) / temperature - sum)
}

/// The temperature that calibrates a network, if any picture has a label.
pub(super) fn calibrated(labelled: &[(&[f32], usize)], classes: usize) -> Option<f64> {
    let logits: Vec<f32> = labelled.iter().flat_map(|(row, _)| row.iter().map(|&p| logarithm(p) as f32)).collect();
    let labels: Vec<usize> = labelled.iter().map(|(_, class)| *class).collect();
    calibrating_temperature(&logits, classes, &labels)
}

/// The highest probability of each picture of each seed.
pub(super) fn maxima(seeds: &[Vec<Judgement>]) -> Vec<Vec<f64>> {
    seeds.iter().map(|seed| seed.iter().map(|judgement| judgement.maximum).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detectors_leave_rejecting_classes_out() {
        let logits = [2.0_f64, 0.0, 1.0];
        let energy = metrics::log_sum_exp(logits.into_iter());
        let mut scores: Vec<f32> = logits.iter().map(|logit| libm::exp(logit - energy) as f32).collect();
        scores.extend([2.0, energy as f32]);
        let found = Judgement::of(&scores, 3, None, &[0]).unwrap();
        let (maximum, rest) = found.logits.unwrap();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(close(found.maximum, libm::exp(1.0 - energy)), "{}", found.maximum);
        assert!(close(maximum, 1.0) && close(rest, libm::log(1.0 + libm::exp(1.0))), "{maximum} {rest}");
        assert!(found.negated_entropy.is_none());
        let (maximum, all) = Judgement::of(&scores, 3, None, &[]).unwrap().logits.unwrap();
        assert!(maximum == 2.0 && close(all, energy));
    }

    #[test]
    fn a_temperature_changes_a_probability_as_it_changes_a_softmax() {
        // Probabilities e^2 / (e^2 + 1) and 1 / (e^2 + 1); at temperature 2 the logits 2 and 0 become 1 and 0.
        let (sure, rest) = (libm::exp(2.0) / (libm::exp(2.0) + 1.0), 1.0 / (libm::exp(2.0) + 1.0));
        let expected = libm::exp(1.0) / (libm::exp(1.0) + 1.0);
        assert!((at_temperature(&[sure as f32, rest as f32], 0, 2.0) - expected).abs() < 1e-6);
        assert_eq!(at_temperature(&[0.25, 0.75], 1, 1.0), 0.75);
    }
}
