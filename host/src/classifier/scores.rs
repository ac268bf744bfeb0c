//! From a network's output to probabilities, in arithmetic that is the same on every machine.
//!
//! The softmax is computed in f64 with `libm`'s `exp`, summed in the order of the classes, averaged over the crops in their
//! order, and rounded to f32 once. So two machines whose engines agree on the logits agree on the scores.

use super::Scoring;
use crate::model::Output;

/// What is wrong with the scores of a picture.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidScores {
    /// A score is NaN or infinite.
    #[error("class {class} has the score {value}")]
    NotFinite {
        /// The class.
        class: usize,
        /// Its score: NaN or an infinity.
        value: f32,
    },
    /// A probability is below 0 or above 1.
    #[error("class {class} has the probability {value}, which is not between 0 and 1 ({outputs})")]
    OutOfRange {
        /// The class.
        class: usize,
        /// Its score.
        value: f32,
        /// The network's outputs for the picture.
        outputs: Outputs,
    },
    /// The probabilities do not sum to 1.
    #[error("the probabilities do not sum to 1 ({outputs})")]
    Sum {
        /// The network's outputs for the picture.
        outputs: Outputs,
    },
}

impl InvalidScores {
    /// The kind of output that fits such scores, as far as they tell.
    #[must_use]
    pub fn fitting(&self) -> Option<Output> {
        match self {
            Self::NotFinite { .. } => None,
            Self::OutOfRange { outputs, .. } | Self::Sum { outputs } => Some(outputs.fitting()),
        }
    }

    /// What to change, as far as the outputs tell.
    #[must_use]
    pub fn advice(&self) -> String {
        match self.fitting() {
            None => "check scale, mean and std in the model card: the network may receive numbers that it was not trained for".to_owned(),
            Some(output) => format!("output = \"{}\" in the model card fits such outputs", output.name()),
        }
    }
}

/// Statistics of a network's outputs for one crop of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outputs {
    /// The lowest output.
    pub lowest: f32,
    /// The highest output.
    pub highest: f32,
    /// The sum of all outputs.
    pub sum: f64,
}

impl Outputs {
    fn of(values: &[f32]) -> Self {
        let (lowest, highest) = (values.iter().copied().fold(f32::MAX, f32::min), values.iter().copied().fold(f32::MIN, f32::max));
        Self { lowest, highest, sum: values.iter().map(|&value| f64::from(value)).sum() }
    }

    /// The likely meaning of such outputs.
    fn fitting(&self) -> Output {
        let within = [self.lowest, self.highest].iter().all(|&value| (-TOLERANCE..=1.0 + TOLERANCE).contains(&value.into()));
        match (within, (self.sum - 1.0).abs() <= TOLERANCE) {
            (true, true) => Output::Probabilities,
            (true, false) => Output::Sigmoid,
            // The softmax of log-probabilities gives the probabilities, too.
            (false, _) => Output::Logits,
        }
    }
}

impl std::fmt::Display for Outputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { lowest, highest, sum } = self;
        write!(f, "outputs from {lowest:.4} to {highest:.4}, sum {sum:.4}")
    }
}

/// Tolerance for a network's own probabilities: how far their sum may be from 1, and each of them outside 0..=1. Single precision over
/// thousands of classes and half-precision weights stay well within it.
const TOLERANCE: f64 = 1e-3;

/// The engine's output, and how many scores it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawScores {
    /// The meaning of the numbers.
    pub(super) kind: Output,
    /// How many there are for a crop.
    pub(super) width: usize,
}

impl RawScores {
    /// `kind` is the kind of the network's output; if the engine omitted the last softmax, it returns logits.
    pub(crate) fn new(kind: Output, width: usize, softmax_cut: bool) -> Self {
        Self { kind: if softmax_cut { Output::Logits } else { kind }, width }
    }

    /// One number distinguishes two classes.
    pub(super) fn classes(self) -> usize {
        if self.width == 1 { 2 } else { self.width }
    }

    /// Whether the numbers are logits, from which energies can be computed.
    pub(super) fn are_logits(self) -> bool {
        self.kind == Output::Logits
    }
}

/// Turns raw scores into probabilities, or into what [`Scoring`] says; keeps its scratch space between pictures.
#[derive(Debug, Clone)]
pub(crate) struct Finisher {
    raw: RawScores,
    scoring: Scoring,
    /// One crop's exponentials.
    terms: Vec<f64>,
    /// Sum over the crops.
    sums: Vec<f64>,
}

impl Finisher {
    /// # Panics
    ///
    /// If the scoring needs logits, and the raw scores are none.
    pub(crate) fn new(raw: RawScores, scoring: Scoring) -> Self {
        assert!(scoring == Scoring::Probabilities || raw.are_logits(), "{scoring:?} needs logits");
        let classes = raw.classes();
        Self { raw, scoring, terms: vec![0.0; classes], sums: vec![0.0; classes] }
    }

    /// Scores of a picture.
    pub(super) fn width(&self) -> usize {
        self.scoring.width(self.raw.classes())
    }

    /// The scores of one picture from the raw scores of its crops, one crop after another.
    ///
    /// A refused picture gets NaN throughout.
    pub(crate) fn finish(&mut self, raw: &[f32], scores: &mut [f32]) -> Result<(), InvalidScores> {
        let result = self.sum_crops(raw);
        if result.is_err() {
            scores.fill(f32::NAN);
            return result;
        }
        let classes = self.raw.classes();
        match self.scoring {
            Scoring::Probabilities => self.probabilities(raw, scores),
            Scoring::WithDetectors => {
                self.probabilities(raw, &mut scores[..classes]);
                let (maximum, energy) = self.mean_logits(raw);
                (scores[classes], scores[classes + 1]) = (rounded(maximum), rounded(energy));
            }
            Scoring::MaximumLogit | Scoring::Energy => {
                let (maximum, energy) = self.mean_logits(raw);
                let reward = if self.scoring == Scoring::Energy { energy - maximum } else { 0.0 };
                scores.iter_mut().zip(&self.sums).for_each(|(score, logit)| *score = rounded(logit + reward));
            }
        }
        Ok(())
    }

    /// Writes the mean of each logit over the crops to `sums`. Returns the largest mean, and the logarithm of the sum of their
    /// exponentials.
    fn mean_logits(&mut self, raw: &[f32]) -> (f64, f64) {
        self.sums.fill(0.0);
        for crop in raw.chunks_exact(self.raw.width) {
            // One number is the logit of the second of two classes, against 0 for the first.
            let skipped = self.sums.len() - crop.len();
            self.sums[skipped..].iter_mut().zip(crop).for_each(|(sum, &logit)| *sum += f64::from(logit));
        }
        let crops = (raw.len() / self.raw.width) as f64;
        self.sums.iter_mut().for_each(|sum| *sum /= crops);
        let largest = self.sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (largest, largest + libm::log(self.sums.iter().map(|logit| libm::exp(logit - largest)).sum::<f64>()))
    }

    fn probabilities(&self, raw: &[f32], scores: &mut [f32]) {
        let crops = raw.len() / self.raw.width;
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "one or ten; rounded once")]
        for (score, sum) in scores.iter_mut().zip(&self.sums) {
            *score = (sum / crops as f64).clamp(0.0, 1.0) as f32;
        }
    }

    fn sum_crops(&mut self, raw: &[f32]) -> Result<(), InvalidScores> {
        self.sums.fill(0.0);
        for crop in raw.chunks_exact(self.raw.width) {
            // A log-softmax gives minus infinity for nearly impossible classes.
            let impossible = |value: f32| self.raw.kind == Output::LogProbabilities && value == f32::NEG_INFINITY;
            if let Some(class) = crop.iter().position(|&value| !value.is_finite() && !impossible(value)) {
                return Err(InvalidScores::NotFinite { class, value: crop[class] });
            }
            let total = match (self.raw.kind, crop) {
                (kind, &[one]) => two_terms(kind, one, &mut self.terms)?,
                (Output::Logits, _) => softmax_terms(crop, &mut self.terms),
                (Output::Probabilities, _) => checked_terms(crop, &mut self.terms, true)?,
                (Output::LogProbabilities, _) => exponentials(crop, &mut self.terms)?,
                (Output::Sigmoid, _) => checked_terms(crop, &mut self.terms, false)?,
            };
            for (sum, term) in self.sums.iter_mut().zip(&self.terms) {
                *sum += term / total;
            }
        }
        Ok(())
    }
}

/// A logit in single precision, in which networks compute it; one beyond its range stays finite.
fn rounded(logit: f64) -> f32 {
    logit.clamp(f32::MIN.into(), f32::MAX.into()) as f32
}

/// The probabilities of two classes from one number, which is that of the second class.
fn two_terms(kind: Output, number: f32, terms: &mut [f64]) -> Result<f64, InvalidScores> {
    let number_exact = f64::from(number);
    let probability = match kind {
        Output::Logits => 1.0 / (1.0 + libm::exp(-number_exact)),
        Output::LogProbabilities => libm::exp(number_exact),
        Output::Probabilities | Output::Sigmoid => number_exact,
    };
    if !(-TOLERANCE..=1.0 + TOLERANCE).contains(&probability) {
        return Err(InvalidScores::OutOfRange { class: 1, value: number, outputs: Outputs::of(&[number]) });
    }
    (terms[0], terms[1]) = (1.0 - probability, probability);
    Ok(1.0)
}

/// Writes the exponentials of log-probabilities to `terms` and checks them; they are used as they are, so the divisor is 1.
fn exponentials(logarithms: &[f32], terms: &mut [f64]) -> Result<f64, InvalidScores> {
    let mut sum = 0.0;
    for (term, &logarithm) in terms.iter_mut().zip(logarithms) {
        *term = libm::exp(logarithm.into());
        sum += *term;
    }
    if (sum - 1.0).abs() > TOLERANCE { Err(InvalidScores::Sum { outputs: Outputs::of(logarithms) }) } else { Ok(1.0) }
}

/// Writes `exp(logit - largest)` to `terms` and returns their sum, at least 1.
fn softmax_terms(logits: &[f32], terms: &mut [f64]) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    for (term, &logit) in terms.iter_mut().zip(logits) {
        *term = libm::exp(f64::from(logit) - f64::from(largest));
        total += *term;
    }
    total
}

/// Copies probabilities to `terms` and checks them and, if they must sum to 1, their sum; they are used as they are, so the divisor is 1.
fn checked_terms(probabilities: &[f32], terms: &mut [f64], summed: bool) -> Result<f64, InvalidScores> {
    let mut sum = 0.0;
    for (class, (term, &value)) in terms.iter_mut().zip(probabilities).enumerate() {
        *term = f64::from(value);
        if !(-TOLERANCE..=1.0 + TOLERANCE).contains(term) {
            return Err(InvalidScores::OutOfRange { class, value, outputs: Outputs::of(probabilities) });
        }
        sum += *term;
    }
    if summed && (sum - 1.0).abs() > TOLERANCE { Err(InvalidScores::Sum { outputs: Outputs::of(probabilities) }) } else { Ok(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(kind: Output, width: usize, values: &[f32]) -> Result<Vec<f32>, InvalidScores> {
        let raw = RawScores { kind, width };
        let mut scores = vec![0.0; raw.classes()];
        Finisher::new(raw, Scoring::Probabilities).finish(values, &mut scores).map(|()| scores)
    }

    /// Computed by hand: logits 1, 2, 3 have the maximum 3 and the negative energy ln(e + e^2 + e^3).
    #[test]
    fn detectors_see_logits() {
        let finish = |scoring, width, values: &[f32]| {
            let mut finisher = Finisher::new(RawScores { kind: Output::Logits, width }, scoring);
            let mut scores = vec![0.0; finisher.width()];
            finisher.finish(values, &mut scores).map(|()| scores)
        };
        let energy = 3.407_605_964_444_38_f64;
        let found = finish(Scoring::WithDetectors, 3, &[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(found[..3], super::tests::finish(Output::Logits, 3, &[1.0, 2.0, 3.0]).unwrap());
        assert_eq!(found[3..], [3.0, energy as f32]);
        assert_eq!(finish(Scoring::MaximumLogit, 3, &[1.0, 2.0, 3.0]).unwrap(), [1.0, 2.0, 3.0]);
        // The class with the largest logit has the negative energy itself; the others have less, by the distance of their logits.
        assert_eq!(finish(Scoring::Energy, 3, &[1.0, 2.0, 3.0]).unwrap(), [energy - 2.0, energy - 1.0, energy].map(|energy| energy as f32));
        assert_eq!(finish(Scoring::MaximumLogit, 2, &[1.0, 2.0, 3.0, 6.0]).unwrap(), [2.0, 4.0], "the mean of two crops");
        assert_eq!(finish(Scoring::MaximumLogit, 1, &[-4.0]).unwrap(), [0.0, -4.0], "one output");
        assert!(finish(Scoring::Energy, 2, &[f32::NAN, 0.0]).is_err());
        assert_eq!(finish(Scoring::Energy, 2, &[f32::MAX, f32::MIN]).unwrap(), [f32::MAX, f32::MIN]);
    }

    #[test]
    fn one_output_is_two_classes() {
        assert_eq!(finish(Output::Sigmoid, 1, &[0.25]).unwrap(), [0.75, 0.25]);
        assert_eq!(finish(Output::Probabilities, 1, &[0.25, 0.75]).unwrap(), [0.5, 0.5], "two crops");
        assert_eq!(finish(Output::Logits, 1, &[0.0]).unwrap(), [0.5, 0.5]);
        let scores = finish(Output::Logits, 1, &[(3.0_f64.ln() as f32)]).unwrap();
        assert!((scores[1] - 0.75).abs() < 1e-7, "{scores:?}");
        assert_eq!(finish(Output::Logits, 1, &[-200.0]).unwrap(), [1.0, libm::exp(-200.0) as f32]);
        assert_eq!(
            finish(Output::Sigmoid, 1, &[3.0]),
            Err(InvalidScores::OutOfRange { class: 1, value: 3.0, outputs: Outputs::of(&[3.0]) })
        );
    }

    #[test]
    fn sigmoids_need_not_sum_to_one() {
        assert_eq!(finish(Output::Sigmoid, 3, &[1.0, 0.75, 0.5]).unwrap(), [1.0, 0.75, 0.5]);
        assert_eq!(
            finish(Output::Sigmoid, 2, &[0.5, -1.0]),
            Err(InvalidScores::OutOfRange { class: 1, value: -1.0, outputs: Outputs::of(&[0.5, -1.0]) })
        );
    }

    #[test]
    fn log_probabilities_are_exponentiated() {
        let scores = finish(Output::LogProbabilities, 3, &[(0.25_f64.ln() as f32), (0.75_f64.ln() as f32), f32::NEG_INFINITY]).unwrap();
        assert!((scores[0] - 0.25).abs() < 1e-7 && (scores[1] - 0.75).abs() < 1e-7 && scores[2] == 0.0, "{scores:?}");
        assert!(matches!(finish(Output::LogProbabilities, 2, &[0.0, 0.0]), Err(InvalidScores::Sum { .. })));
        assert!(matches!(finish(Output::LogProbabilities, 2, &[f32::NAN, 0.0]), Err(InvalidScores::NotFinite { .. })));
    }

    #[test]
    fn softmax_matches_its_definition() {
        // exp(0), exp(ln 2), exp(ln 5) over their sum, 8.
        let logits = [0.0, std::f32::consts::LN_2, 5.0_f64.ln() as f32];
        let scores = finish(Output::Logits, 3, &logits).unwrap();
        for (score, expected) in scores.iter().zip([0.125, 0.25, 0.625]) {
            assert!((score - expected).abs() < 1e-7, "{score} is not {expected}");
        }
    }

    #[test]
    fn softmax_survives_extreme_logits() {
        assert_eq!(finish(Output::Logits, 2, &[f32::MAX, f32::MIN]).unwrap(), [1.0, 0.0]);
        assert_eq!(finish(Output::Logits, 2, &[-1e30, -1e30]).unwrap(), [0.5, 0.5]);
    }

    #[test]
    fn the_bits_of_the_softmax_are_fixed() {
        let logits: Vec<f32> = (0_u8..10).map(|i| f32::from(i * 7 % 10) * 0.731 - 2.5).collect();
        let bits: Vec<u32> = finish(Output::Logits, 10, &logits).unwrap().iter().map(|s| s.to_bits()).collect();
        // From the same formula in Python (double precision, rounded once to single).
        assert_eq!(bits, GOLDEN, "{bits:#x?}");
    }

    const GOLDEN: [u32; 10] =
        [0x3a3c_fafa, 0x3df6_50c1, 0x3c5b_dfbc, 0x3ac4_455b, 0x3e7f_d160, 0x3ce4_5b38, 0x3b4b_d7be, 0x3f04_d7ec, 0x3d6d_2a7e, 0x3bd3_b4e9];

    #[test]
    fn crops_are_averaged() {
        let scores = finish(Output::Probabilities, 2, &[1.0, 0.0, 0.5, 0.5]).unwrap();
        assert_eq!(scores, [0.75, 0.25]);
    }

    #[test]
    fn misbehaviour_is_rejected_and_leaves_nan() {
        let refused = |kind, values: &[f32]| {
            let mut scores = vec![0.5; 2];
            let what = Finisher::new(RawScores { kind, width: 2 }, Scoring::Probabilities).finish(values, &mut scores).unwrap_err();
            assert!(scores.iter().all(|score| score.is_nan()), "{what}: {scores:?}");
            what
        };
        let outputs = |lowest: f32, highest: f32| Outputs { lowest, highest, sum: f64::from(lowest) + f64::from(highest) };
        let infinite = refused(Output::Logits, &[0.0, f32::INFINITY]);
        assert_eq!(infinite, InvalidScores::NotFinite { class: 1, value: f32::INFINITY });
        let nan = refused(Output::Probabilities, &[f32::NAN, 1.0]);
        assert!(matches!(nan, InvalidScores::NotFinite { class: 0, .. }));
        assert_eq!(
            refused(Output::Probabilities, &[7.0, -6.0]),
            InvalidScores::OutOfRange { class: 0, value: 7.0, outputs: outputs(-6.0, 7.0) }
        );
        assert_eq!(refused(Output::Probabilities, &[0.5, 0.25]), InvalidScores::Sum { outputs: outputs(0.25, 0.5) });
        // The advice on what such outputs may be.
        let advice = |values: &[f32]| refused(Output::Probabilities, values).advice();
        assert!(advice(&[7.0, -6.0]).contains("output = \"logits\"") && advice(&[0.75, 0.5]).contains("output = \"sigmoid\""));
        assert!(refused(Output::LogProbabilities, &[0.5, 0.5]).advice().contains("output = \"probabilities\""));
        // The second crop is checked as well.
        assert_eq!(refused(Output::Probabilities, &[0.5, 0.5, 1.0, 1.0]), InvalidScores::Sum { outputs: outputs(1.0, 1.0) });
    }
}
