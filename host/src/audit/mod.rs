//! `fooling audit`: figures for how sure a network is of pictures that show nothing, which a build can check against limits.
//!
//! An audit makes ordinary runs, one for each encoding and seed. It also scores pictures that need no search and, if given, real pictures
//! for comparison. docs/AUDIT.md defines each figure. With the exact engine, the same model gives the same figures on every machine.

mod compare;
mod judgement;
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

use judgement::{Judgement, at_temperature, calibrated, maxima, prediction};
use metrics::{detection, expected_calibration_error, passing};
use result::{
    AuditedModel, DetectionRow, Detector, EasyRubbish, EvolvedRubbish, Histogram, Measured, RealFigures, RealPictures, RepetitionFigures,
    SCHEMA, Shares, Surest, Transfer,
};
use rubbish::Rubbish;
use sha2::{Digest as _, Sha256};

use crate::classifier::{Classifier, ClassifyError, Rescored, Scoring};
use crate::model::Model;
use crate::picture::Picture;
use crate::repetition::{keep, repetition};
use crate::run::{self, EncodingName, Folder, Observer, Progress, RebuiltElite, RunConfig, RunError, RunToml, Setup, Variant};
use crate::score::{score_all, top};
use crate::util::text::{hex, printable, setting};

/// The level at which a class counts as fooled.
const FOOLED: f64 = 0.99;
/// The level from which a picture's repeated pattern is examined: the class is then the most probable one.
const EXAMINED: f64 = 0.5;
/// The number of evolved pictures that the page shows.
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
    /// Number of seeds, at least 1.
    pub(crate) seeds: u32,
    /// The first seed; the others are the numbers after it.
    pub(crate) first_seed: u64,
    /// Pictures of each kind of easy rubbish for each seed, at least 1.
    pub(crate) rubbish_pictures: u32,
    /// Classes that stand for "none of the others", in ascending order. Being sure of them is right for rubbish, so they never count as fooled.
    pub(crate) rejecting: Vec<usize>,
    /// Number of threads; it changes no figure.
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

/// Why an audit could not be completed.
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
    #[error("{} holds a run of another model or with other settings; name another folder ({})", .0.display(), setting("out"))]
    OtherRun(PathBuf),
    /// The second network has none of the classes.
    #[error("the second network, {0}, has none of the classes whose pictures it is shown; it needs the same labels")]
    OtherClasses(String),
    /// The network gives no probabilities for any of the pictures that it needs them for.
    #[error("the network gives no valid scores for {0}; see what its output is (fooling models show), and state it in its card")]
    NoScores(String),
    /// Every class stands for "none of the others".
    #[error("all {} classes are to be rejected ({}); at least one must be left", .0, setting("reject"))]
    NoClassLeft(usize),
    /// It was interrupted.
    #[error("interrupted; what was done is kept: run the same command again to resume")]
    Interrupted,
}

/// Receives the progress of an audit as text. Returning [`ControlFlow::Break`] stops the audit; it can be resumed.
pub(crate) type Tell<'t> = &'t mut dyn FnMut(&str) -> ControlFlow<()>;

/// Audits a network. Runs that are already in the plan's folder are resumed, or used as they are if they are finished.
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
    if plan.rejecting.len() >= subject.model.classes() {
        return Err(AuditError::NoClassLeft(subject.model.classes()));
    }
    let seeds: Vec<u64> = (0..u64::from(plan.seeds)).map(|number| plan.first_seed.saturating_add(number)).collect();
    let with_detectors = Rescored::new(subject.classifier, Scoring::WithDetectors)?;
    let judge: &dyn Classifier = with_detectors.as_ref().map_or(subject.classifier, |rescored| rescored);
    let encodings = [EncodingName::Cppn, EncodingName::Direct];
    let attacks: &[Detector] = if real.is_some() && with_detectors.is_some() { &Detector::OF_LOGITS } else { &[] };
    let runs_left = (1 + attacks.len()) * encodings.len() * seeds.len();
    let mut audit =
        Audit { plan, subject, judge, logits: with_detectors.is_some(), seeds, temperature: None, runs_left, kinds: Vec::new() };
    let real_scores = real.map(|real| audit.score(judge, subject.model, real.len(), |i| Cow::Borrowed(&real[i].picture))).transpose()?;
    let labelled = real.zip(real_scores.as_ref()).map_or_else(Vec::new, |(real, scores)| audit.labelled(real, scores));
    audit.temperature = calibrated(&labelled, subject.model.classes());
    let easy = audit.easy(real, tell)?;
    let mut elites: Vec<(EncodingName, u64, RebuiltElite)> = Vec::new();
    let mut evolved = Vec::new();
    for encoding in encodings {
        evolved.push(audit.evolve(encoding, &mut elites, tell)?);
    }
    for &detector in attacks {
        for encoding in encodings {
            audit.adapt(detector, encoding, tell)?;
        }
    }
    let transfer = other.map(|other| audit.transfer(&elites, other)).transpose()?;
    let (surest, pictures) = audit.surest(elites, other)?;
    let mut judged_real = None;
    let (real, detection) = match (real, &real_scores) {
        (Some(real), Some(scores)) => {
            let judged = audit.judge("the real pictures", scores)?;
            let (figures, rows) = audit.against_real(&judged, &labelled);
            judged_real = Some(judged);
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
            logits: audit.logits,
        },
        measured: Measured {
            budget: plan.budget,
            seeds: audit.seeds.clone(),
            rubbish_pictures: plan.rubbish_pictures,
            rejecting: plan.rejecting.clone(),
            real: described,
        },
        easy,
        evolved,
        histograms: audit.histograms(judged_real.as_deref()),
        real,
        detection,
        surest,
        transfer,
        verdicts: Vec::new(),
    };
    Ok((result, pictures))
}

/// The judgements of the pictures of one kind of rubbish, a list for each seed.
struct Kind {
    name: String,
    /// The detector that the pictures were evolved against, the only one that is tried on them; if none, every detector is tried.
    against: Option<Detector>,
    seeds: Vec<Vec<Judgement>>,
}

struct Audit<'a> {
    plan: &'a AuditPlan,
    subject: &'a Subject<'a>,
    /// The subject's classifier. If the logits are known, it also returns the figures that detectors take from them.
    judge: &'a dyn Classifier,
    logits: bool,
    seeds: Vec<u64>,
    /// The temperature that calibrates the network, if there are labelled pictures.
    temperature: Option<f64>,
    /// Runs that are not finished.
    runs_left: usize,
    kinds: Vec<Kind>,
}

impl Audit<'_> {
    fn score<'p>(
        &self,
        classifier: &dyn Classifier,
        model: &Model,
        count: usize,
        picture: impl Fn(usize) -> Cow<'p, Picture> + Sync,
    ) -> Result<Vec<f32>, AuditError> {
        Ok(score_all(model, classifier, self.plan.threads, count, picture)?)
    }

    fn classes(&self) -> usize {
        self.subject.model.classes()
    }

    /// Whether a class can count as fooled: a rejecting class cannot.
    fn counts(&self, class: usize) -> bool {
        self.plan.rejecting.binary_search(&class).is_err()
    }

    /// The number of classes that can count as fooled.
    fn counting(&self) -> usize {
        self.classes() - self.plan.rejecting.len()
    }

    /// The pictures whose class is known and whose scores are valid: their probabilities and class.
    fn labelled<'s>(&self, real: &[RealPicture], scores: &'s [f32]) -> Vec<(&'s [f32], usize)> {
        let rows = scores.chunks_exact(self.judge.classes()).zip(real);
        rows.filter_map(|(row, real)| Some((&row[..self.classes()], real.class.filter(|_| !row[0].is_nan())?))).collect()
    }

    /// Judgements of scores, row after row; invalid ones are left out.
    fn judge(&self, what: &str, scores: &[f32]) -> Result<Vec<Judgement>, AuditError> {
        let judge = |row| Judgement::of(row, self.classes(), self.temperature, &self.plan.rejecting);
        let judged: Vec<Judgement> = scores.chunks_exact(self.judge.classes()).filter_map(judge).collect();
        if judged.is_empty() { Err(AuditError::NoScores(what.to_owned())) } else { Ok(judged) }
    }

    /// Makes and scores the pictures that need no search.
    fn easy(&mut self, real: Option<&[RealPicture]>, tell: Tell<'_>) -> Result<Vec<EasyRubbish>, AuditError> {
        let (side, channels) = self.subject.model.picture_shape();
        let mut found = Vec::new();
        for kind in Rubbish::ALL {
            if kind == Rubbish::ShuffledPixels && real.is_none_or(<[_]>::is_empty) {
                continue;
            }
            proceed(tell(&format!("{}: {} pictures per seed, {} seeds", kind.name(), self.plan.rubbish_pictures, self.seeds.len())))?;
            let mut seeds = Vec::new();
            for &seed in &self.seeds {
                let picture = |number: usize| {
                    let real = real.filter(|real| !real.is_empty()).map(|real| &real[number % real.len()].picture);
                    Cow::Owned(kind.picture(seed, number as u32, side, channels, real).expect("real pictures have the network's shape"))
                };
                let scores = self.score(self.judge, self.subject.model, self.plan.rubbish_pictures as usize, picture)?;
                seeds.push(self.judge(kind.name(), &scores)?);
            }
            let maxima = maxima(&seeds);
            found.push(EasyRubbish { kind, confidence: medians(&maxima), pictures: Shares::new(&maxima) });
            self.kinds.push(Kind { name: kind.name().to_owned(), against: None, seeds });
        }
        Ok(found)
    }

    /// Makes the runs of one encoding, one for each seed.
    fn evolve(
        &mut self,
        encoding: EncodingName,
        elites: &mut Vec<(EncodingName, u64, RebuiltElite)>,
        tell: Tell<'_>,
    ) -> Result<EvolvedRubbish, AuditError> {
        let classes = self.classes();
        let earlier = elites.len();
        let (mut class_confidences, mut decisions, mut to_half, mut areas, mut judged) = (vec![], vec![], vec![], vec![], vec![]);
        let (mut fooled_at_temperature, mut curves) = (Vec::new(), Vec::new());
        for seed in self.seeds.clone() {
            let run = self.run(encoding, seed, tell)?;
            let mut confidences = vec![0.0_f32; classes];
            for elite in &run.elites {
                confidences[elite.cell] = elite.score;
            }
            class_confidences.push(confidences);
            decisions.push(run.decisions);
            to_half.push(run.curve.iter().find(|(_, at_99)| at_99 * 2 >= self.counting()).map(|(scores, _)| *scores));
            areas.push(area(&run.curve, self.plan.budget, self.counting()));
            curves.push(steps(&run.curve));
            let scores = self.score(self.judge, self.subject.model, run.elites.len(), |i| Cow::Borrowed(&run.elites[i].picture))?;
            fooled_at_temperature.extend(self.temperature.map(|temperature| {
                let rows = scores.chunks_exact(self.judge.classes()).zip(&run.elites).filter(|(row, _)| !row[0].is_nan());
                let fooled = rows.filter(|(row, elite)| at_temperature(&row[..classes], elite.cell, temperature) >= FOOLED).count();
                fooled as f64 / self.counting() as f64
            }));
            judged.push(self.judge("evolved pictures", &scores)?);
            elites.extend(run.elites.into_iter().map(|elite| (encoding, seed, elite)));
        }
        self.kinds.push(Kind { name: format!("evolved-{}", encoding.name()), against: None, seeds: judged });
        let counted = |seed: &Vec<f32>| (0..classes).filter(|&class| self.counts(class)).map(|class| seed[class].into()).collect();
        let doubles: Vec<Vec<f64>> = class_confidences.iter().map(counted).collect();
        let classes_where = |holds: fn(f64) -> bool| {
            let always = |class: &usize| self.counts(*class) && class_confidences.iter().all(|seed| holds(seed[*class].into()));
            (0..classes).filter(always).collect()
        };
        Ok(EvolvedRubbish {
            encoding,
            confidence: medians(&doubles),
            classes: Shares::new(&doubles),
            scores_to_half_at_99: to_half,
            area_at_99: Figure::new(areas),
            curves,
            at_99_calibrated: self.temperature.map(|_| Figure::new(fooled_at_temperature)),
            always_fooled: classes_where(|confidence| confidence >= FOOLED),
            never_fooled: classes_where(|confidence| confidence < FOOLED),
            repetition: Some(self.repetition(&elites[earlier..])?),
            class_confidences,
            decisions,
        })
    }

    /// How sure the network is of pictures with a repeated pattern when only one copy is left.
    fn repetition(&self, elites: &[(EncodingName, u64, RebuiltElite)]) -> Result<RepetitionFigures, AuditError> {
        let examined: Vec<&RebuiltElite> =
            elites.iter().map(|(_, _, elite)| elite).filter(|elite| f64::from(elite.score) >= EXAMINED).collect();
        let one_copy = |picture: &Picture| Some(keep(picture, repetition(picture)?, 1));
        let repeated: Vec<(&RebuiltElite, Picture)> =
            examined.iter().filter_map(|&elite| Some((elite, one_copy(&elite.picture)?))).collect();
        let picture = |i: usize| Cow::Borrowed(&repeated[i].1);
        let scores = self.score(self.subject.classifier, self.subject.model, repeated.len(), picture)?;
        let rows = scores.chunks_exact(self.classes()).zip(&repeated);
        let after: Vec<f64> = rows.map(|(row, (elite, _))| f64::from(row[elite.cell])).filter(|score| !score.is_nan()).collect();
        let before: Vec<f64> = repeated.iter().map(|(elite, _)| f64::from(elite.score)).collect();
        let median = |values: &[f64]| crate::stats::median(values).map(|median| median.median);
        Ok(RepetitionFigures {
            pictures: examined.len(),
            repeated: repeated.len(),
            at_50_with_one_copy: after.iter().filter(|&&confidence| confidence >= EXAMINED).count(),
            confidence: median(&before),
            confidence_with_one_copy: median(&after),
        })
    }

    /// Evolves pictures against the score of a detector.
    fn adapt(&mut self, detector: Detector, encoding: EncodingName, tell: Tell<'_>) -> Result<(), AuditError> {
        let scoring = if detector == Detector::Energy { Scoring::Energy } else { Scoring::MaximumLogit };
        let attacked = Rescored::new(self.subject.classifier, scoring)?.expect("the network has logits");
        let mut seeds = Vec::new();
        for seed in self.seeds.clone() {
            let name = format!("{}-{}-{seed}", detector.key(), encoding.name());
            // The scores of this run are not confidences, so it has a journal, but no sheet and no summary.
            let (setup, folder) = self.prepare(&self.plan.out.join("adaptive").join(&name), encoding, seed, &attacked)?;
            let evolve = if folder.journal().exists() { run::resume } else { run::start };
            let mut watch = self.watch(&name, false, &setup.config, tell);
            let mut elites = evolve(&setup, &folder, &mut watch)?.elites.0;
            if watch.interrupted {
                return Err(AuditError::Interrupted);
            }
            elites.retain(|elite| self.counts(elite.cell));
            self.runs_left -= 1;
            let scores = self.score(self.judge, self.subject.model, elites.len(), |i| Cow::Borrowed(&elites[i].picture))?;
            seeds.push(self.judge("pictures evolved against a detector", &scores)?);
        }
        self.kinds.push(Kind { name: format!("adaptive-{}", encoding.name()), against: Some(detector), seeds });
        Ok(())
    }

    /// The setup of a run, and its folder, which may hold a part of the run or all of it.
    fn prepare<'c>(
        &self,
        root: &Path,
        encoding: EncodingName,
        seed: u64,
        classifier: &'c dyn Classifier,
    ) -> Result<(Setup<'c>, Folder), AuditError>
    where
        Self: 'c,
    {
        let model = self.subject.model;
        let (_, channels) = self.subject.model.picture_shape();
        let mut config = RunConfig::defaults(model.name(), Variant::Paper, encoding, channels as u8, false);
        config.seed = seed;
        // A small budget is still spent in several generations.
        let batch = (self.plan.budget / 10).clamp(1, u64::from(config.batch)) as u32;
        (config.initial, config.batch) = (batch, batch);
        config.generations = (self.plan.budget / u64::from(batch)).saturating_sub(1).min(u64::from(u32::MAX - 1)) as u32;
        let setup = Setup { config, model, classifier, threads: self.plan.threads };
        let folder = if root.join("journal.fool").exists() {
            let folder = Folder::open(root)?;
            let there = RunToml::read(&folder)?;
            if there.config != setup.config || there.provenance.model_sha256 != model.digest() {
                return Err(AuditError::OtherRun(root.to_owned()));
            }
            folder
        } else {
            Folder::create(root)?
        };
        Ok((setup, folder))
    }

    fn watch<'w, 't>(
        &self,
        name: &'w str,
        counts: bool,
        config: &RunConfig,
        tell: &'w mut (dyn FnMut(&str) -> ControlFlow<()> + 't),
    ) -> Watch<'w, 't> {
        let later = (self.runs_left - 1) as f64 * self.plan.budget as f64;
        Watch { name, counts, batch: config.batch, later, tell, interrupted: false }
    }

    /// Makes one run, or resumes the one in its folder.
    fn run(&mut self, encoding: EncodingName, seed: u64, tell: Tell<'_>) -> Result<EvolvedRun, AuditError> {
        let name = format!("{}-{seed}", encoding.name());
        let (setup, folder) = self.prepare(&self.plan.out.join("runs").join(&name), encoding, seed, self.subject.classifier)?;
        let mut watch = self.watch(&name, self.plan.rejecting.is_empty(), &setup.config, tell);
        let evolve = if folder.journal().exists() { crate::resume } else { crate::evolve };
        let summary = evolve(&setup, &folder, &mut watch)?;
        if watch.interrupted {
            return Err(AuditError::Interrupted);
        }
        self.runs_left -= 1;
        let (initial, batch) = (u64::from(setup.config.initial), u64::from(setup.config.batch));
        let curve = run::cells_at(&folder, FOOLED as f32, |class| self.counts(class))?;
        let curve = curve.into_iter().map(|(generation, at_99)| (initial + u64::from(generation) * batch, at_99)).collect();
        let mut elites = run::rebuild(&folder)?.elites;
        elites.retain(|elite| self.counts(elite.cell));
        Ok(EvolvedRun { elites, curve, decisions: summary.decisions_digest })
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
                let (side, channels) = other.model.picture_shape();
                let picture = |i: usize| Cow::Owned(shown[i].2.picture.fitted(side, channels));
                let scores = self.score(other.classifier, other.model, shown.len(), picture)?;
                let rows = scores.chunks_exact(other.model.classes()).zip(&shown);
                let score = |row: &[f32], class: usize| Some(row[class]).filter(|score| !score.is_nan());
                rows.map(|(row, (_, _, elite))| score(row, self.class_in(other, elite.cell)?)).collect()
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

    /// The number that a class of the audited network has in another one: that of the class with the same label.
    fn class_in(&self, other: &Subject<'_>, class: usize) -> Option<usize> {
        let (own, others) = (self.subject.model.labels(), other.model.labels());
        let (Some(label), false) = (own.get(class), others.is_empty()) else {
            return Some(class).filter(|_| other.model.classes() == self.classes());
        };
        let same = |class: &usize| others.get(*class) == Some(label);
        Some(class).filter(same).or_else(|| others.iter().position(|other| other == label))
    }

    /// How a second network scores the pictures that fool the first at 99 %.
    fn transfer(&self, elites: &[(EncodingName, u64, RebuiltElite)], other: &Subject<'_>) -> Result<Transfer, AuditError> {
        let classes: Vec<Option<usize>> = (0..self.classes()).map(|class| self.class_in(other, class)).collect();
        if classes.iter().all(Option::is_none) {
            return Err(AuditError::OtherClasses(other.model.name().to_owned()));
        }
        let shown: Vec<_> = elites.iter().filter(|elite| f64::from(elite.2.score) >= FOOLED && classes[elite.2.cell].is_some()).collect();
        let (side, channels) = other.model.picture_shape();
        let picture = |i: usize| Cow::Owned(shown[i].2.picture.fitted(side, channels));
        let scores = self.score(other.classifier, other.model, shown.len(), picture)?;
        let (mut same, mut sure) = (0, 0);
        for (row, (_, _, elite)) in scores.chunks_exact(other.model.classes()).zip(&shown) {
            let (best, confidence) = top(row, 1)[0];
            let agrees = classes[elite.cell] == Some(best) && !confidence.is_nan();
            same += usize::from(agrees);
            sure += usize::from(agrees && f64::from(confidence) >= FOOLED);
        }
        let (name, sha256) = (other.model.name().to_owned(), other.model.digest());
        Ok(Transfer { name, sha256, pictures: shown.len(), same_class: same, at_99: sure })
    }

    /// Figures of real pictures, and of telling rubbish from them.
    fn against_real(&self, judged: &[Judgement], labelled: &[(&[f32], usize)]) -> (RealFigures, Vec<DetectionRow>) {
        // Empty if the detector needs something that is not known.
        let by = |judged: &[Judgement], detector| judged.iter().filter_map(|judgement| judgement.by(detector)).collect::<Vec<f64>>();
        let mut rows = Vec::new();
        for detector in Detector::ALL {
            let real = by(judged, detector);
            if real.is_empty() {
                continue;
            }
            for kind in self.kinds.iter().filter(|kind| kind.against.is_none_or(|against| against == detector)) {
                let seeds: Option<Vec<_>> = kind.seeds.iter().map(|rubbish| detection(&real, &by(rubbish, detector))).collect();
                rows.push(DetectionRow::new(detector, &kind.name, &seeds.expect("all judgements are numbers")));
            }
        }
        let confidences = by(judged, Detector::MaximumProbability);
        let (threshold, _) = passing(&confidences, &[0.0], KEPT).expect("there are real pictures");
        let passed = |rubbish: &Vec<Judgement>| {
            passing(&confidences, &by(rubbish, Detector::MaximumProbability), KEPT).expect("there is rubbish of each kind").1
        };
        let kinds = self.kinds.iter().filter(|kind| kind.against.is_none());
        let passing = kinds.map(|kind| (kind.name.clone(), Figure::new(kind.seeds.iter().map(passed).collect()))).collect();
        let predictions = |temperature: f64| labelled.iter().map(move |(row, class)| prediction(row, *class, temperature));
        let temperature = self.temperature;
        let right = predictions(1.0).filter(|(_, right)| *right).count();
        (
            RealFigures {
                accuracy: (!labelled.is_empty()).then(|| right as f64 / labelled.len() as f64),
                calibration_error: expected_calibration_error(predictions(1.0)),
                temperature,
                calibration_error_at_temperature: temperature.and_then(|temperature| expected_calibration_error(predictions(temperature))),
                threshold,
                passing,
            },
            rows,
        )
    }

    /// The histograms of real pictures, and of each kind of rubbish that was not evolved against a particular detector.
    fn histograms(&self, real: Option<&[Judgement]>) -> Vec<Histogram> {
        let real = real.map(|real| Histogram::new("real", real.iter().map(|judgement| judgement.maximum)));
        let kinds = self.kinds.iter().filter(|kind| kind.against.is_none());
        let rubbish = kinds.map(|kind| Histogram::new(&kind.name, kind.seeds.iter().flatten().map(|judgement| judgement.maximum)));
        real.into_iter().chain(rubbish).collect()
    }
}

/// What an audit needs of a run. Only classes that count are included.
struct EvolvedRun {
    elites: Vec<RebuiltElite>,
    /// Scores spent, and classes at 99 %, after each generation.
    curve: Vec<(u64, usize)>,
    decisions: String,
}

/// The first point of a curve, and the points at which it rises.
fn steps(curve: &[(u64, usize)]) -> Vec<(u64, usize)> {
    let rises = |&i: &usize| i == 0 || curve[i].1 > curve[i - 1].1;
    (0..curve.len()).filter(rises).map(|i| curve[i]).collect()
}

/// Area under the share of classes at 99 % against the share of the budget spent: a generation's classes count until the next one.
fn area(curve: &[(u64, usize)], budget: u64, classes: usize) -> f64 {
    let ends = curve.iter().skip(1).map(|(scores, _)| *scores).chain([budget]);
    let steps = curve.iter().zip(ends).map(|(&(from, at_99), to)| to.saturating_sub(from) as f64 * at_99 as f64);
    steps.sum::<f64>() / (budget.max(1) as f64 * classes.max(1) as f64)
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

/// Reports the progress of a run.
struct Watch<'w, 't> {
    name: &'w str,
    /// Whether classes at 99 % are shown: scores must be confidences, and the run's own count includes rejecting classes.
    counts: bool,
    batch: u32,
    /// Scores that the runs after this one need, to estimate the time left.
    later: f64,
    tell: &'w mut (dyn FnMut(&str) -> ControlFlow<()> + 't),
    interrupted: bool,
}

impl Observer for Watch<'_, '_> {
    fn started(&mut self, _: u32, warning: Option<&str>) {
        if let Some(warning) = warning {
            self.interrupted |= (self.tell)(&format!("{}: warning: {warning}", self.name)).is_break();
        }
    }

    fn generation(&mut self, progress: &Progress) -> ControlFlow<()> {
        let Progress { generation, generations, elapsed, stats, pictures, .. } = progress;
        let left = f64::from(generations - generation) * f64::from(self.batch) + self.later;
        let left = elapsed.as_secs_f64() / (*pictures).max(1) as f64 * left;
        let found = if self.counts { format!("{} of {} classes at 99 %, ", stats.at_99, stats.filled) } else { String::new() };
        let text = format!("evolving {}: generation {generation} of {generations}, {found}about {left:.0} s left for all runs", self.name);
        let flow = (self.tell)(&text);
        // An interrupt after the last generation comes too late: the run is finished.
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
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| unlike(&error))?;
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(schema) if schema == u64::from(SCHEMA) => {}
        Some(schema) => {
            return Err(format!("its format is version {schema}, and this program reads version {SCHEMA}; run the audit again"));
        }
        None => return Err("it is not an audit.json: it has no `schema`".into()),
    }
    let result: AuditResult = serde_json::from_value(value).map_err(|error| unlike(&error))?;
    result.check().map_err(|problem| format!("it is not an audit.json: {problem}"))?;
    Ok(result)
}

/// The message for a file with another structure. It may quote the file, which may come from a stranger, so it is made safe to print.
fn unlike(error: &serde_json::Error) -> String {
    format!("it is not an audit.json: {}", printable(&error.to_string()))
}

#[cfg(test)]
mod tests;
