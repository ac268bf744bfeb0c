//! What an audit found: the contents of `audit.json`.

use serde::{Deserialize, Serialize};

use super::metrics::Detection;
use super::rubbish::Rubbish;
use crate::run::EncodingName;
use crate::stats;

/// The version of the format of `audit.json`. It is increased when a reader of the old format would misread the new one.
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
    /// The shares of the confidences of each seed.
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
    /// Whether its logits are known. Without them, no detector on logits is measured.
    pub(crate) logits: bool,
}

/// What was measured. Two audits can be compared only if this is equal, except that the seeds may differ if their number is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Scores spent on each evolved run.
    pub(crate) budget: u64,
    /// Seeds; each gives one value of every figure.
    pub(crate) seeds: Vec<u64>,
    /// Pictures of each kind of easy rubbish for each seed.
    pub(crate) rubbish_pictures: u32,
    /// Classes that stand for "none of the others" and never count as fooled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rejecting: Vec<usize>,
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
    /// The kind.
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
    /// The share of classes whose elite is at 99 % or more at the calibrating temperature; `null` where that is not known.
    pub(crate) at_99_calibrated: Option<Figure>,
    /// For each seed, scores spent and classes at 99 % with them, wherever their number has grown.
    pub(crate) curves: Vec<Vec<(u64, usize)>>,
    /// Classes at 99 % for every seed.
    pub(crate) always_fooled: Vec<usize>,
    /// Classes under 99 % for every seed.
    pub(crate) never_fooled: Vec<usize>,
    /// What repeated patterns contribute; `null` in audits of earlier programs.
    pub(crate) repetition: Option<RepetitionFigures>,
    /// The confidence of each class, class after class, for each seed; 0 for a class without an elite and for a rejecting one.
    pub(crate) class_confidences: Vec<Vec<f32>>,
    /// The digest of the run's decisions for each seed: equal for equal runs.
    pub(crate) decisions: Vec<String>,
}

/// How sure the network is of the pictures with a repeated pattern once only one copy is left, over all seeds. Pictures under 50 % are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RepetitionFigures {
    /// Pictures at 50 % or more.
    pub(crate) pictures: usize,
    /// Those of them that have a repeated pattern.
    pub(crate) repeated: usize,
    /// Those of these that are at 50 % or more with one copy.
    pub(crate) at_50_with_one_copy: usize,
    /// The median confidence of pictures with a repeated pattern; `null` if there is none.
    pub(crate) confidence: Option<f64>,
    /// The same with one copy.
    pub(crate) confidence_with_one_copy: Option<f64>,
}

/// How the highest probabilities of some pictures are distributed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Histogram {
    /// Which pictures: `real`, or rubbish as in [`DetectionRow::rubbish`].
    pub(crate) pictures: String,
    /// The share of the pictures, over all seeds, in each of 20 bins of equal width. A probability on the border is in the upper one.
    pub(crate) shares: Vec<f64>,
}

/// Bins of a [`Histogram`].
const BINS: usize = 20;

impl Histogram {
    pub(super) fn new(pictures: &str, probabilities: impl Iterator<Item = f64>) -> Self {
        let (mut counts, mut all) = ([0_u32; BINS], 0_u32);
        for probability in probabilities {
            counts[((probability * BINS as f64) as usize).min(BINS - 1)] += 1;
            all += 1;
        }
        Self { pictures: pictures.to_owned(), shares: counts.iter().map(|&count| f64::from(count) / f64::from(all.max(1))).collect() }
    }
}

/// How well a detector tells real pictures from one kind of rubbish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DetectionRow {
    /// The detector's score.
    pub(crate) detector: Detector,
    /// The rubbish: the name of a kind of easy rubbish; `evolved-cppn` or `evolved-direct`, evolved for high probabilities; or `adaptive-cppn`
    /// or `adaptive-direct`, evolved against this row's detector.
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
    /// The highest probability at the temperature that calibrates the network (Guo et al. 2017).
    CalibratedProbability,
    /// The largest logit (Hendrycks et al. 2022).
    MaximumLogit,
    /// The energy of the logits at temperature 1 (Liu et al. 2020); low speaks for a real picture.
    Energy,
}

impl Detector {
    /// All detectors.
    pub(crate) const ALL: [Self; 5] =
        [Self::MaximumProbability, Self::Entropy, Self::CalibratedProbability, Self::MaximumLogit, Self::Energy];
    /// The detectors that need logits.
    pub(crate) const OF_LOGITS: [Self; 2] = [Self::MaximumLogit, Self::Energy];

    /// Its name in file names.
    #[must_use]
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::MaximumProbability => "maximum-probability",
            Self::Entropy => "entropy",
            Self::CalibratedProbability => "calibrated-probability",
            Self::MaximumLogit => "maximum-logit",
            Self::Energy => "energy",
        }
    }

    /// Its name in reports.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MaximumProbability => "maximum probability",
            Self::Entropy => "entropy",
            Self::CalibratedProbability => "maximum probability, calibrated",
            Self::MaximumLogit => "maximum logit",
            Self::Energy => "energy",
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

/// How a second network scores the evolved pictures that fool the audited one at 99 % or more, over all seeds and both encodings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transfer {
    /// The name of the second network.
    pub(crate) name: String,
    /// SHA-256 of its file, in hexadecimal.
    pub(crate) sha256: String,
    /// How many pictures it was shown.
    pub(crate) pictures: usize,
    /// How many of them it gives to the same class.
    pub(crate) same_class: usize,
    /// How many of these with 99 % or more.
    pub(crate) at_99: usize,
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
    /// How sure the network is of all kinds of pictures; real ones first.
    pub(crate) histograms: Vec<Histogram>,
    /// Real pictures.
    pub(crate) real: Option<RealFigures>,
    /// How well each detector tells real pictures from each kind of rubbish.
    pub(crate) detection: Vec<DetectionRow>,
    /// The ten surest evolved pictures, surest first.
    pub(crate) surest: Vec<Surest>,
    /// The second network; `null` if none was given.
    pub(crate) transfer: Option<Transfer>,
    /// The limits that were given.
    pub(crate) verdicts: Vec<Verdict>,
}

impl AuditResult {
    /// Checks the figures of a stored result that a comparison uses.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        let share = |what: &str, value: f64| {
            if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(format!("{what} is {value}, which is not between 0 and 1")) }
        };
        for evolved in &self.evolved {
            share("a median confidence", evolved.confidence.median)?;
            if evolved.area_at_99.values.len() != self.measured.seeds.len() {
                return Err("it does not have the area of each seed".into());
            }
            let Figure { values, median, .. } = &evolved.area_at_99;
            values.iter().chain([median]).try_for_each(|&area| share("an area", area))?;
            if evolved.class_confidences.len() != self.measured.seeds.len() {
                return Err("it does not have the confidences of each seed".into());
            }
            for seed in &evolved.class_confidences {
                if seed.len() != self.model.classes {
                    return Err(format!("it has the confidences of {} classes instead of {}", seed.len(), self.model.classes));
                }
                seed.iter().try_for_each(|&confidence| share("a confidence", confidence.into()))?;
            }
        }
        Ok(())
    }
}
