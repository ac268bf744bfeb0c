//! What an audit found: the contents of `audit.json`.

use serde::{Deserialize, Serialize};

use super::metrics::Detection;
use super::rubbish::Rubbish;
use crate::run::EncodingName;
use crate::stats;

/// The version of the format of `audit.json`. It goes up when a reader of the old one would misread the new one.
pub(crate) const SCHEMA: u32 = 1;

/// Levels of confidence at which classes and pictures are counted.
pub(crate) const LEVELS: [f64; 4] = [0.5, 0.9, 0.99, 0.9999];

/// A figure over seeds: its median, and an interval for it (see [`stats::median`]; with four seeds or fewer it is their range).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// One value a seed, in the order of the seeds.
    pub(crate) values: Vec<f64>,
    /// Their median.
    pub(crate) median: f64,
    /// Lower end of the interval.
    pub(crate) low: f64,
    /// Upper end of the interval.
    pub(crate) high: f64,
}

impl Figure {
    /// # Panics
    ///
    /// If there is no value, or one is not a number.
    pub(super) fn new(values: Vec<f64>) -> Self {
        let stats::Median { median, low, high, .. } = stats::median(&values).expect("a value for each seed");
        Self { values, median, low, high }
    }
}

/// Shares, in [0, 1], of what reaches each of [`LEVELS`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shares {
    /// At 50 % or more.
    pub(crate) at_50: Figure,
    /// At 90 % or more.
    pub(crate) at_90: Figure,
    /// At 99 % or more.
    pub(crate) at_99: Figure,
    /// At 99.99 % or more.
    pub(crate) at_9999: Figure,
}

impl Shares {
    /// Of the confidences of each seed.
    pub(super) fn new(seeds: &[Vec<f64>]) -> Self {
        let share = |level: f64| {
            let reach = |confidences: &Vec<f64>| confidences.iter().filter(|&&confidence| confidence >= level).count();
            Figure::new(seeds.iter().map(|confidences| reach(confidences) as f64 / confidences.len().max(1) as f64).collect())
        };
        let [at_50, at_90, at_99, at_9999] = LEVELS.map(share);
        Self { at_50, at_90, at_99, at_9999 }
    }

    /// The share at one of [`LEVELS`].
    #[must_use]
    pub(crate) fn at(&self, level: f64) -> Option<&Figure> {
        let number = LEVELS.iter().position(|&known| known == level)?;
        Some([&self.at_50, &self.at_90, &self.at_99, &self.at_9999][number])
    }
}

/// The network and what ran it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuditedModel {
    /// Its name.
    pub(crate) name: String,
    /// SHA-256 of its file, in hexadecimal.
    pub(crate) sha256: String,
    /// Number of classes.
    pub(crate) classes: usize,
    /// How pictures become its input: the `[input]` table of its card, as JSON.
    pub(crate) input: String,
    /// The kind of its output.
    pub(crate) output: String,
    /// What computed the scores.
    pub(crate) engine: String,
    /// Whether every machine gets the same figures, to the last digit.
    pub(crate) same_everywhere: bool,
}

/// What was measured. Two audits compare only where this is equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Scores spent on each evolved run.
    pub(crate) budget: u64,
    /// Seeds; each gives one value of every figure.
    pub(crate) seeds: Vec<u64>,
    /// Pictures of each kind of easy rubbish for each seed.
    pub(crate) rubbish_pictures: u32,
    /// Real pictures, if any were given.
    pub(crate) real: Option<RealPictures>,
}

/// The real pictures of an audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RealPictures {
    /// How many.
    pub(crate) pictures: usize,
    /// Whether their classes are known.
    pub(crate) labelled: bool,
    /// SHA-256 of their pixels and classes, in hexadecimal.
    pub(crate) sha256: String,
}

/// How sure the network is of easy rubbish of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EasyRubbish {
    /// Which.
    pub(crate) kind: Rubbish,
    /// The median of the highest probability.
    pub(crate) confidence: Figure,
    /// Shares of the pictures by highest probability.
    pub(crate) pictures: Shares,
}

/// How sure the network is of pictures that were evolved against it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EvolvedRubbish {
    /// How genomes were encoded.
    pub(crate) encoding: EncodingName,
    /// The median confidence over the classes.
    pub(crate) confidence: Figure,
    /// Shares of the classes by the confidence of their elite: the classes that are fooled.
    pub(crate) classes: Shares,
    /// Scores spent until half of the classes were at 99 %, one entry a seed; `null` where that did not happen within the budget.
    pub(crate) scores_to_half_at_99: Vec<Option<u64>>,
    /// Area under the share of classes at 99 % against the share of the budget spent, in [0, 1].
    pub(crate) area_at_99: Figure,
    /// Classes at 99 % for every seed.
    pub(crate) always_fooled: Vec<usize>,
    /// Classes under 99 % for every seed.
    pub(crate) never_fooled: Vec<usize>,
    /// The confidence of each class, class after class, for each seed; 0 for a class without an elite.
    pub(crate) class_confidences: Vec<Vec<f32>>,
    /// The digest of the run's decisions for each seed: equal for equal runs.
    pub(crate) decisions: Vec<String>,
}

/// How well a detector tells real pictures from one kind of rubbish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DetectionRow {
    /// The detector's score.
    pub(crate) detector: Detector,
    /// The rubbish: the name of a kind of easy rubbish, or `evolved-cppn` or `evolved-direct`.
    pub(crate) rubbish: String,
    /// Area under the receiver operating characteristic.
    pub(crate) auroc: Figure,
    /// Area under the precision-recall curve, real pictures positive.
    pub(crate) aupr_real: Figure,
    /// Area under the precision-recall curve, rubbish positive.
    pub(crate) aupr_rubbish: Figure,
    /// False positive rate at a recall of 95 %.
    pub(crate) fpr95: Figure,
}

impl DetectionRow {
    pub(super) fn new(detector: Detector, rubbish: &str, seeds: &[Detection]) -> Self {
        let figure = |part: fn(&Detection) -> f64| Figure::new(seeds.iter().map(part).collect());
        Self {
            detector,
            rubbish: rubbish.to_owned(),
            auroc: figure(|found| found.auroc),
            aupr_real: figure(|found| found.aupr_real),
            aupr_rubbish: figure(|found| found.aupr_rubbish),
            fpr95: figure(|found| found.fpr95),
        }
    }
}

/// What a detector looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Detector {
    /// The highest probability (Hendrycks and Gimpel 2017).
    MaximumProbability,
    /// The entropy of the probabilities; low speaks for a real picture.
    Entropy,
}

impl Detector {
    /// All that need nothing but probabilities.
    pub(crate) const ALL: [Self; 2] = [Self::MaximumProbability, Self::Entropy];

    /// In words.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MaximumProbability => "maximum probability",
            Self::Entropy => "entropy",
        }
    }
}

/// What the network does with real pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RealFigures {
    /// The share that is classified right; `null` where the classes are not known.
    pub(crate) accuracy: Option<f64>,
    /// Expected calibration error; `null` where the classes are not known.
    pub(crate) calibration_error: Option<f64>,
    /// The temperature that calibrates the network; `null` where the classes are not known.
    pub(crate) temperature: Option<f64>,
    /// Expected calibration error at that temperature.
    pub(crate) calibration_error_at_temperature: Option<f64>,
    /// The confidence that 95 % of the real pictures reach.
    pub(crate) threshold: f64,
    /// The share of each kind of rubbish that reaches it too.
    pub(crate) passing: Vec<(String, Figure)>,
}

/// Whether a limit holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// The limit as it was given, for example `max-fooled 0.05@99`.
    pub(crate) limit: String,
    /// What it limits.
    pub(crate) what: String,
    /// The measured figure.
    pub(crate) value: f64,
    /// Lower end of its interval.
    pub(crate) low: f64,
    /// Upper end of its interval.
    pub(crate) high: f64,
    /// Whether it holds: it fails only if the whole interval lies beyond the limit.
    pub(crate) holds: bool,
}

/// The surest evolved pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Surest {
    /// How the genome was encoded.
    pub(crate) encoding: EncodingName,
    /// The seed of its run.
    pub(crate) seed: u64,
    /// The class.
    pub(crate) class: usize,
    /// Its name.
    pub(crate) label: String,
    /// How sure the network is.
    pub(crate) confidence: f32,
    /// The confidence of the second network for the same class, if one was given.
    pub(crate) other_confidence: Option<f32>,
}

/// All that an audit found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AuditResult {
    /// [`SCHEMA`].
    pub(crate) schema: u32,
    /// Version of this program.
    pub(crate) fooling: String,
    /// The network.
    pub(crate) model: AuditedModel,
    /// What was measured.
    pub(crate) measured: Measured,
    /// Easy rubbish, by kind.
    pub(crate) easy: Vec<EasyRubbish>,
    /// Evolved rubbish, by encoding.
    pub(crate) evolved: Vec<EvolvedRubbish>,
    /// Real pictures.
    pub(crate) real: Option<RealFigures>,
    /// How well rubbish can be told from real pictures. Static: elites were chosen by the probability that they are judged by here.
    pub(crate) detection: Vec<DetectionRow>,
    /// The ten surest evolved pictures, surest first.
    pub(crate) surest: Vec<Surest>,
    /// The limits that were given.
    pub(crate) verdicts: Vec<Verdict>,
}
