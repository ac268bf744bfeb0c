//! `fooling audit`: how sure a network is of pictures that show nothing, in figures that a build can be held to.
//!
//! An audit is a set of ordinary runs, one for each encoding and seed, beside pictures that need no search, and real ones for comparison.
//! docs/AUDIT.md defines each figure. With the exact engine, the same model gives the same figures on every machine.

mod compare;
mod limits;
pub(crate) mod metrics;
mod page;
mod real;
pub(crate) mod result;
pub(crate) mod rubbish;
mod text;

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

pub(crate) use compare::compare;
pub(crate) use limits::{Limits, ShareLimit};
pub(crate) use page::page;
pub(crate) use real::{RealPicture, load_real};
pub(crate) use result::{AuditResult, Figure};
pub(crate) use text::{badge, junit, markdown};

use metrics::{calibrating_temperature, detection, entropy, expected_calibration_error, passing};
use result::{
    AuditedModel, DetectionRow, Detector, EasyRubbish, EvolvedRubbish, Measured, RealFigures, RealPictures, SCHEMA, Shares, Surest,
};
use rubbish::Rubbish;
use sha2::{Digest as _, Sha256};

use crate::classifier::{Classifier, ClassifyError};
use crate::model::Model;
use crate::picture::Picture;
use crate::run::{self, EncodingName, Folder, Observer, Progress, RebuiltElite, RunConfig, RunError, RunToml, Setup, Variant};
use crate::score::{score_all, top};
use crate::util::text::hex;

/// The level at which a class counts as fooled.
const FOOLED: f64 = 0.99;
/// Pictures that the page shows.
const SUREST: usize = 10;
/// The share of real pictures that a threshold on confidence must keep.
const KEPT: f64 = 0.95;

/// What an audit measures.
#[derive(Clone, Debug)]
pub(crate) struct AuditPlan {
    /// Folder of its runs and files.
    pub(crate) out: PathBuf,
    /// Scores spent on each evolved run; at least those of the initial batch.
    pub(crate) budget: u64,
    /// Number of seeds, at least 1: the seeds are 1, 2, 3, ...
    pub(crate) seeds: u32,
    /// Pictures of each kind of easy rubbish for each seed, at least 1.
    pub(crate) rubbish_pictures: u32,
    /// Threads; they change no figure.
    pub(crate) threads: usize,
}

/// A network to be audited.
#[derive(Debug)]
pub(crate) struct Subject<'s> {
    /// Its card and labels.
    pub(crate) model: &'s Model,
    /// What runs it.
    pub(crate) classifier: &'s dyn Classifier,
}

/// Why there is no audit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum AuditError {
    /// The network failed.
    #[error(transparent)]
    Classify(#[from] ClassifyError),
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A folder of this audit holds a run of another one.
    #[error("{} holds a run of another model or with other settings; name another folder (--out)", .0.display())]
    OtherRun(PathBuf),
    /// The network gives no probabilities for any of the pictures that it needs them for.
    #[error("the network gives no valid scores for {0}; see what its output is (fooling models show), and say it in its card")]
    NoScores(String),
    /// It was interrupted.
    #[error("interrupted; what was done is kept: run the same command again to resume")]
    Interrupted,
}

/// What is told while an audit runs. Returning [`ControlFlow::Break`] ends it in good order.
pub(crate) type Tell<'t> = &'t mut dyn FnMut(&str) -> ControlFlow<()>;

/// Audits a network. Runs that are in the plan's folder already are resumed, or taken as they are if they are finished.
///
/// # Errors
///
/// [`AuditError`].
///
/// # Panics
///
/// If the plan has no seed or no pictures.
pub(crate) fn audit(
    plan: &AuditPlan,
    subject: &Subject<'_>,
    other: Option<&Subject<'_>>,
    real: Option<&[RealPicture]>,
    tell: Tell<'_>,
) -> Result<(AuditResult, Vec<Picture>), AuditError> {
    let seeds: Vec<u64> = (1..=u64::from(plan.seeds)).collect();
    let mut audit = Audit { plan, subject, seeds, kinds: Vec::new() };
    let real_scores = real.map(|real| audit.score(subject, real.len(), |i| Cow::Borrowed(&real[i].picture))).transpose()?;
    let easy = audit.easy(real, tell)?;
    let mut elites: Vec<(EncodingName, u64, RebuiltElite)> = Vec::new();
    let mut evolved = Vec::new();
    for encoding in [EncodingName::Cppn, EncodingName::Direct] {
        evolved.push(audit.evolve(encoding, &mut elites, tell)?);
    }
    let (surest, pictures) = audit.surest(elites, other)?;
    let (real, detection) = match (real, real_scores) {
        (Some(real), Some(scores)) => {
            let (figures, rows) = audit.against_real(real, &scores)?;
            (Some((figures, describe(real))), rows)
        }
        _ => (None, Vec::new()),
    };
    let Subject { model, classifier } = subject;
    let (real, described) = real.unzip();
    let result = AuditResult {
        schema: SCHEMA,
        fooling: env!("CARGO_PKG_VERSION").to_owned(),
        model: AuditedModel {
            name: model.name().to_owned(),
            sha256: model.digest(),
            classes: model.classes(),
            input: serde_json::to_string(&model.card().input).expect("names and finite numbers"),
            output: model.card().output.name().to_owned(),
            engine: classifier.description(),
            same_everywhere: classifier.same_everywhere(),
        },
        measured: Measured { budget: plan.budget, seeds: audit.seeds, rubbish_pictures: plan.rubbish_pictures, real: described },
        easy,
        evolved,
        real,
        detection,
        surest,
        verdicts: Vec::new(),
    };
    Ok((result, pictures))
}

/// Probabilities of the pictures of one kind of rubbish, a list for each seed: the highest, and the entropy of all.
struct Kind {
    name: String,
    seeds: Vec<Vec<Judgement>>,
}

/// What detectors see of a picture; higher speaks for a real one.
#[derive(Clone, Copy)]
struct Judgement {
    maximum: f64,
    negated_entropy: f64,
}

impl Judgement {
    /// `None` where the network's scores are not valid.
    fn of(scores: &[f32]) -> Option<Self> {
        let (_, maximum) = *top(scores, 1).first()?;
        (!maximum.is_nan()).then(|| Self { maximum: maximum.into(), negated_entropy: -entropy(scores) })
    }

    fn by(self, detector: Detector) -> f64 {
        match detector {
            Detector::MaximumProbability => self.maximum,
            Detector::Entropy => self.negated_entropy,
        }
    }
}

struct Audit<'a> {
    plan: &'a AuditPlan,
    subject: &'a Subject<'a>,
    seeds: Vec<u64>,
    kinds: Vec<Kind>,
}

impl Audit<'_> {
    /// Pixels a side, and channels, of a picture for the network.
    fn shape(&self) -> (usize, usize) {
        let input = &self.subject.model.card().input;
        (input.picture, input.picture_channels().into())
    }

    fn score<'p>(
        &self,
        subject: &Subject<'_>,
        count: usize,
        picture: impl Fn(usize) -> Cow<'p, Picture> + Sync,
    ) -> Result<Vec<f32>, AuditError> {
        Ok(score_all(subject.model, subject.classifier, self.plan.threads, count, picture)?)
    }

    /// Judgements of scores, row after row; invalid ones are left out.
    fn judge(&self, what: &str, scores: &[f32]) -> Result<Vec<Judgement>, AuditError> {
        let judged: Vec<Judgement> = scores.chunks_exact(self.subject.model.classes()).filter_map(Judgement::of).collect();
        if judged.is_empty() { Err(AuditError::NoScores(what.to_owned())) } else { Ok(judged) }
    }

    /// Pictures that need no search.
    fn easy(&mut self, real: Option<&[RealPicture]>, tell: Tell<'_>) -> Result<Vec<EasyRubbish>, AuditError> {
        let (side, channels) = self.shape();
        let mut found = Vec::new();
        for kind in Rubbish::ALL {
            if kind == Rubbish::ShuffledPixels && real.is_none_or(<[_]>::is_empty) {
                continue;
            }
            proceed(tell(&format!("{}: {} pictures per seed, seeds 1 to {}", kind.name(), self.plan.rubbish_pictures, self.seeds.len())))?;
            let mut seeds = Vec::new();
            for &seed in &self.seeds {
                let picture = |number: usize| {
                    let real = real.filter(|real| !real.is_empty()).map(|real| &real[number % real.len()].picture);
                    Cow::Owned(kind.picture(seed, number as u32, side, channels, real).expect("real pictures have the network's shape"))
                };
                let scores = self.score(self.subject, self.plan.rubbish_pictures as usize, picture)?;
                seeds.push(self.judge(kind.name(), &scores)?);
            }
            let maxima = maxima(&seeds);
            found.push(EasyRubbish { kind, confidence: medians(&maxima), pictures: Shares::new(&maxima) });
            self.kinds.push(Kind { name: kind.name().to_owned(), seeds });
        }
        Ok(found)
    }

    /// Runs of one encoding.
    fn evolve(
        &mut self,
        encoding: EncodingName,
        elites: &mut Vec<(EncodingName, u64, RebuiltElite)>,
        tell: Tell<'_>,
    ) -> Result<EvolvedRubbish, AuditError> {
        let classes = self.subject.model.classes();
        let (mut class_confidences, mut decisions, mut to_half, mut areas, mut judged) = (vec![], vec![], vec![], vec![], vec![]);
        for &seed in &self.seeds {
            let run = self.run(encoding, seed, tell)?;
            let mut confidences = vec![0.0_f32; classes];
            for elite in &run.elites {
                confidences[elite.cell] = elite.score;
            }
            class_confidences.push(confidences);
            decisions.push(run.decisions);
            to_half.push(run.curve.iter().find(|(_, at_99)| at_99 * 2 >= classes).map(|(scores, _)| *scores));
            areas.push(area(&run.curve, self.plan.budget, classes));
            let scores = self.score(self.subject, run.elites.len(), |i| Cow::Borrowed(&run.elites[i].picture))?;
            judged.push(self.judge("evolved pictures", &scores)?);
            elites.extend(run.elites.into_iter().map(|elite| (encoding, seed, elite)));
        }
        self.kinds.push(Kind { name: format!("evolved-{}", encoding.name()), seeds: judged });
        let doubles: Vec<Vec<f64>> = class_confidences.iter().map(|seed| seed.iter().map(|&score| score.into()).collect()).collect();
        let classes_where = |holds: fn(f64) -> bool| (0..classes).filter(|&class| doubles.iter().all(|seed| holds(seed[class]))).collect();
        Ok(EvolvedRubbish {
            encoding,
            confidence: medians(&doubles),
            classes: Shares::new(&doubles),
            scores_to_half_at_99: to_half,
            area_at_99: Figure::new(areas),
            always_fooled: classes_where(|confidence| confidence >= FOOLED),
            never_fooled: classes_where(|confidence| confidence < FOOLED),
            class_confidences,
            decisions,
        })
    }

    /// One run of the budget, resumed if it is there.
    fn run(&self, encoding: EncodingName, seed: u64, tell: Tell<'_>) -> Result<EvolvedRun, AuditError> {
        let Subject { model, classifier } = *self.subject;
        let name = format!("{}-{seed}", encoding.name());
        let root = self.plan.out.join("runs").join(&name);
        let (_, channels) = self.shape();
        let mut config = RunConfig::of_method(model.name(), Variant::Paper, encoding, channels as u8, false);
        config.seed = seed;
        // A small budget is still spent in several generations.
        let batch = (self.plan.budget / 10).clamp(1, u64::from(config.batch)) as u32;
        (config.initial, config.batch) = (batch, batch);
        config.generations = (self.plan.budget / u64::from(batch)).saturating_sub(1).min(u64::from(u32::MAX - 1)) as u32;
        let setup = Setup { config, model, classifier, threads: self.plan.threads };
        let mut watch = Watch { name: &name, tell, interrupted: false };
        let folder = if root.join("journal.fool").exists() {
            let folder = Folder::open(&root)?;
            let there = RunToml::read(&folder)?;
            if there.config != setup.config || there.provenance.model_sha256 != model.digest() {
                return Err(AuditError::OtherRun(root));
            }
            folder
        } else {
            Folder::create(&root)?
        };
        let evolve = if folder.journal().exists() { crate::resume } else { crate::evolve };
        let summary = evolve(&setup, &folder, &mut watch)?;
        if watch.interrupted {
            return Err(AuditError::Interrupted);
        }
        let (initial, batch) = (u64::from(setup.config.initial), u64::from(setup.config.batch));
        let curve = run::curve(&folder)?;
        let curve = curve.into_iter().map(|(generation, stats)| (initial + u64::from(generation) * batch, stats.at_99)).collect();
        Ok(EvolvedRun { elites: run::rebuild(&folder)?.elites, curve, decisions: summary.decisions_digest })
    }

    /// The surest elites, one a class, and their pictures.
    fn surest(
        &self,
        mut elites: Vec<(EncodingName, u64, RebuiltElite)>,
        other: Option<&Subject<'_>>,
    ) -> Result<(Vec<Surest>, Vec<Picture>), AuditError> {
        elites.sort_by(|a, b| b.2.score.total_cmp(&a.2.score).then(a.2.cell.cmp(&b.2.cell)).then(a.1.cmp(&b.1)));
        let mut shown: Vec<(EncodingName, u64, RebuiltElite)> = Vec::new();
        for elite in elites {
            if shown.len() < SUREST && shown.iter().all(|other| other.2.cell != elite.2.cell) {
                shown.push(elite);
            }
        }
        let others = match other {
            None => vec![None; shown.len()],
            Some(other) => {
                let input = &other.model.card().input;
                let (side, channels) = (input.picture, input.picture_channels().into());
                let scores = self.score(other, shown.len(), |i| Cow::Owned(shown[i].2.picture.fitted(side, channels)))?;
                let rows = scores.chunks_exact(other.model.classes()).zip(&shown);
                rows.map(|(row, (_, _, elite))| row.get(elite.cell).copied().filter(|score| !score.is_nan())).collect()
            }
        };
        let labels = self.subject.model.labels();
        let rows = shown.iter().zip(others).map(|((encoding, seed, elite), other_confidence)| Surest {
            encoding: *encoding,
            seed: *seed,
            class: elite.cell,
            label: labels.get(elite.cell).cloned().unwrap_or_else(|| elite.cell.to_string()),
            confidence: elite.score,
            other_confidence,
        });
        Ok((rows.collect(), shown.iter().map(|(_, _, elite)| elite.picture.clone()).collect()))
    }

    /// Figures of real pictures, and of telling rubbish from them.
    fn against_real(&self, real: &[RealPicture], scores: &[f32]) -> Result<(RealFigures, Vec<DetectionRow>), AuditError> {
        let classes = self.subject.model.classes();
        let judged = self.judge("the real pictures", scores)?;
        let by = |judged: &[Judgement], detector| judged.iter().map(|judgement| judgement.by(detector)).collect::<Vec<f64>>();
        let mut rows = Vec::new();
        for detector in Detector::ALL {
            let real = by(&judged, detector);
            for kind in &self.kinds {
                let seeds: Option<Vec<_>> = kind.seeds.iter().map(|rubbish| detection(&real, &by(rubbish, detector))).collect();
                rows.push(DetectionRow::new(detector, &kind.name, &seeds.expect("all judgements are numbers")));
            }
        }
        let confidences = by(&judged, Detector::MaximumProbability);
        let (threshold, _) = passing(&confidences, &[0.0], KEPT).expect("there are real pictures");
        let passed = |rubbish: &Vec<Judgement>| {
            passing(&confidences, &by(rubbish, Detector::MaximumProbability), KEPT).expect("there is rubbish of each kind").1
        };
        let passing = self.kinds.iter().map(|kind| (kind.name.clone(), Figure::new(kind.seeds.iter().map(passed).collect()))).collect();
        // Pictures whose class is known and whose scores are valid.
        let labelled: Vec<(&[f32], usize)> = scores
            .chunks_exact(classes)
            .zip(real)
            .filter_map(|(row, real)| Some((row, real.class.filter(|_| !row[0].is_nan())?)))
            .collect();
        let predictions = |temperature: f64| labelled.iter().map(move |(row, class)| prediction(row, *class, temperature));
        let logits: Vec<f32> = labelled.iter().flat_map(|(row, _)| row.iter().map(|&p| logarithm(p) as f32)).collect();
        let labels: Vec<usize> = labelled.iter().map(|(_, class)| *class).collect();
        let temperature = calibrating_temperature(&logits, classes, &labels);
        let right = predictions(1.0).filter(|(_, right)| *right).count();
        Ok((
            RealFigures {
                accuracy: (!labelled.is_empty()).then(|| right as f64 / labelled.len() as f64),
                calibration_error: expected_calibration_error(predictions(1.0)),
                temperature,
                calibration_error_at_temperature: temperature.and_then(|temperature| expected_calibration_error(predictions(temperature))),
                threshold,
                passing,
            },
            rows,
        ))
    }
}

/// The logarithm of a probability. One that has vanished counts as the smallest that a single-precision number holds.
fn logarithm(probability: f32) -> f64 {
    libm::log(f64::from(probability.max(f32::MIN_POSITIVE)))
}

/// The confidence of the surest class at a temperature, and whether it is the right one.
fn prediction(probabilities: &[f32], class: usize, temperature: f64) -> (f64, bool) {
    let (best, confidence) = top(probabilities, 1)[0];
    if temperature == 1.0 {
        return (confidence.into(), best == class);
    }
    let sum = metrics::log_sum_exp(probabilities.iter().map(|&p| logarithm(p) / temperature));
    (libm::exp(logarithm(confidence) / temperature - sum), best == class)
}

/// A run as far as an audit needs it.
struct EvolvedRun {
    elites: Vec<RebuiltElite>,
    /// Scores spent, and classes at 99 %, after each generation.
    curve: Vec<(u64, usize)>,
    decisions: String,
}

/// Area under the share of classes at 99 % against the share of the budget spent: a generation's classes count until the next one.
fn area(curve: &[(u64, usize)], budget: u64, classes: usize) -> f64 {
    let ends = curve.iter().skip(1).map(|(scores, _)| *scores).chain([budget]);
    let steps = curve.iter().zip(ends).map(|(&(from, at_99), to)| to.saturating_sub(from) as f64 * at_99 as f64);
    steps.sum::<f64>() / (budget.max(1) as f64 * classes.max(1) as f64)
}

fn maxima(seeds: &[Vec<Judgement>]) -> Vec<Vec<f64>> {
    seeds.iter().map(|seed| seed.iter().map(|judgement| judgement.maximum).collect()).collect()
}

/// The median of each seed.
fn medians(seeds: &[Vec<f64>]) -> Figure {
    Figure::new(seeds.iter().map(|values| crate::stats::median(values).map_or(0.0, |median| median.median)).collect())
}

fn proceed(flow: ControlFlow<()>) -> Result<(), AuditError> {
    if flow.is_break() { Err(AuditError::Interrupted) } else { Ok(()) }
}

fn describe(real: &[RealPicture]) -> RealPictures {
    let mut digest = Sha256::new();
    for RealPicture { picture, class } in real {
        digest.update((class.map_or(0, |class| class as u64 + 1)).to_le_bytes());
        digest.update(picture.bytes());
    }
    let labelled = real.iter().all(|real| real.class.is_some());
    RealPictures { pictures: real.len(), labelled, sha256: hex(&digest.finalize()) }
}

/// Tells how a run goes.
struct Watch<'w, 't> {
    name: &'w str,
    tell: &'w mut (dyn FnMut(&str) -> ControlFlow<()> + 't),
    interrupted: bool,
}

impl Observer for Watch<'_, '_> {
    fn generation(&mut self, progress: &Progress) -> ControlFlow<()> {
        let Progress { generation, generations, elapsed, stats, .. } = progress;
        let (done, all) = (f64::from(*generation) + 1.0, f64::from(*generations) + 1.0);
        let left = elapsed.as_secs_f64() * (all - done) / done;
        let text = format!(
            "evolving {}: generation {generation} of {generations}, {} of {} classes at 99 %, about {left:.0} s left for this run",
            self.name, stats.at_99, stats.filled
        );
        let flow = (self.tell)(&text);
        // A run that has all its generations is finished, whatever was asked for meanwhile.
        self.interrupted = flow.is_break() && generation < generations;
        flow
    }
}

/// Reads an earlier `audit.json`.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn read(path: &Path) -> Result<AuditResult, String> {
    const LARGEST: u64 = 256 << 20;
    let found = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !found.is_file() || found.len() > LARGEST {
        return Err("it is not a file of at most 256 MiB".into());
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| format!("it is no audit.json: {error}"))?;
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(schema) if schema == u64::from(SCHEMA) => {}
        Some(schema) => {
            return Err(format!("its format is version {schema}, and this program reads version {SCHEMA}; make the audit anew"));
        }
        None => return Err("it is no audit.json: it has no `schema`".into()),
    }
    serde_json::from_value(value).map_err(|error| format!("it is no audit.json: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_by_hand() {
        // Two of four classes from the half of the budget on, four from three quarters on.
        assert_eq!(area(&[(100, 0), (200, 2), (300, 4)], 400, 4), (100.0 * 2.0 + 100.0 * 4.0) / 1600.0);
        assert_eq!(area(&[(400, 4)], 400, 4), 0.0);
        assert_eq!(area(&[], 400, 4), 0.0);
    }
}
