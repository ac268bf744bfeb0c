//! `retrain`: networks are trained to recognise evolved pictures as "fooling", and evolution continues against them.
//!
//! Round i: pictures are evolved against network i, some of them join the training set as an eleventh class, and network i + 1 is trained
//! from scratch. The pictures are elites from the whole course of a run, not only its last ones: a run of 200 generations has a few hundred
//! at 90 % or more, while the paper's 6000 last elites would need 600 runs.

use super::networks::Network;
use super::results::{Finding, SheetPicture, Table, confidence, generation, share};
use super::training::{self, Trained, TrainingJob, TrainingRecord};
use super::workspace::{Run, Workspace};
use super::{ExperimentError, Figure, Outcome};
use crate::mnist::{CLASSES, Mnist};
use crate::picture::Picture;
use crate::report::{Curve, VerticalAxis};
use crate::run::{EncodingName, Folder, Stats, Variant, placements_above};
use crate::score::top;
use crate::stats::{mann_whitney, median};
use crate::train::Examples;

/// The label of evolved pictures.
const FOOLING: u8 = CLASSES as u8;
/// The confidence at which a picture counts as fooling.
const LEAST: f32 = 0.9;
const SURE: f64 = 0.9999;
/// Generations of a run: more than the paper's, because retrained networks are harder to fool.
const GENERATIONS: u32 = 500;
/// The paper's number.
const PAPERS: u32 = 200;
const ENCODINGS: [EncodingName; 2] = [EncodingName::Cppn, EncodingName::Direct];

/// The results of a round.
#[derive(Debug)]
struct Round {
    /// Runs against the network of this round, by encoding.
    runs: [Vec<Run>; 2],
    /// Errors of the network on the test set.
    errors: usize,
    /// Pictures of class "fooling" in its training set, and how many of them it classifies as such; none for the first network.
    fooling: usize,
    recalled: usize,
    /// How it was trained; the first one was not trained here.
    course: Option<TrainingRecord>,
}

pub(super) fn run(workspace: &mut Workspace<'_>) -> Result<Outcome, ExperimentError> {
    let Mnist { train, test } = training::mnist(workspace)?;
    let rounds = workspace.plan.rounds as usize;
    let mut examples = Examples::new(CLASSES + 1)?;
    examples.append(&train.images, &train.labels)?;
    let mut fooling: Vec<Picture> = Vec::new();
    let (mut network, mut course) = (Network::shipped(workspace.plan.device)?, None);
    let mut history = Vec::new();
    for round in 0..=rounds {
        let runs = [evolve(workspace, &network, round, ENCODINGS[0])?, evolve(workspace, &network, round, ENCODINGS[1])?];
        let recalled = workspace.ask(&network, &fooling)?.iter().filter(|scores| top(scores, 1)[0].0 == CLASSES).count();
        let errors = training::errors(workspace, &network, &test)?;
        history.push(Round { errors, fooling: fooling.len(), recalled, runs, course });
        if round == rounds {
            break;
        }
        let wanted = workspace.quick_or(100, if round == 0 { 6000 } else { 1000 });
        let fresh = collect(&history[round].runs, wanted)?;
        let bytes: Vec<u8> = fresh.iter().flat_map(Picture::bytes).copied().collect();
        examples.append(&bytes, &vec![FOOLING; fresh.len()])?;
        fooling.extend(fresh);
        let number = round + 1;
        let (key, title) = (format!("round_{number:02}"), format!("network {number}"));
        let job = TrainingJob { key, title, seed: number as u64, examples: &examples, test: &test };
        let trained = training::learn(workspace, &job)?;
        let Trained { network: next, course: passed } = trained;
        (network, course) = (next, Some(passed));
    }
    report(workspace, &history, test.len())
}

/// Evolves pictures of the ten digits; the class "fooling" has no cell.
fn evolve(workspace: &mut Workspace<'_>, network: &Network, round: usize, encoding: EncodingName) -> Result<Vec<Run>, ExperimentError> {
    let mut runs = Vec::new();
    for seed in workspace.seeds() {
        // Other seeds in each round, or the same random pictures would come up again and again.
        let mut config = workspace.config(network, encoding, Variant::Paper, seed + 1000 * round as u64);
        config.classes = (0..CLASSES).collect();
        config.generations = workspace.quick_or(config.generations, GENERATIONS);
        runs.push(workspace.evolve(&format!("round-{round:02}-{}-{seed}", encoding.name()), network, config)?);
    }
    Ok(runs)
}

/// Pictures of high confidence from a round's runs, about the same number from each run.
fn collect(runs: &[Vec<Run>; 2], wanted: usize) -> Result<Vec<Picture>, ExperimentError> {
    let count: usize = runs.iter().map(Vec::len).sum();
    let mut pictures = Vec::new();
    for run in runs.iter().flatten() {
        let folder = Folder::open(&run.root)?;
        pictures.extend(placements_above(&folder, LEAST, wanted.div_ceil(count))?.into_iter().map(|placed| placed.picture));
    }
    pictures.truncate(wanted);
    Ok(pictures)
}

/// The median confidence of each run at a generation.
fn reached(runs: &[Run], generation: u32) -> Vec<f64> {
    runs.iter().map(|run| run.at(generation).median).collect()
}

/// The generation in which the median of each run reached 99.99 %.
fn effort(runs: &[Run]) -> Vec<f64> {
    runs.iter().map(|run| run.first(|stats| stats.median >= SURE)).collect()
}

fn middle(values: &[f64]) -> f64 {
    median(values).map_or(f64::NAN, |m| m.median)
}

fn report(workspace: &Workspace<'_>, history: &[Round], tested: usize) -> Result<Outcome, ExperimentError> {
    let mut found = Outcome::default();
    let config = &history[0].runs[0][0].rebuilt.run.config;
    found.method.push(format!(
        "Network 0 is the shipped LeNet. Each round evolves pictures of the ten digits against the newest network ({} seeds and both \
         encodings, paper variant, {} generations of {}). Of all elites that had 90 % or more, some are taken, evenly over time, as \
         class \"fooling\" (6000 in the first round, then 1000 per round). The next network is trained from scratch on MNIST and all of \
         these: {} epochs.",
        workspace.plan.seeds,
        config.generations,
        config.batch,
        training::epochs(workspace)
    ));
    for which in 0..ENCODINGS.len() {
        found.findings.extend(findings(history, which));
    }
    let worst = history.iter().skip(1).map(|round| round.errors).max().unwrap_or_default();
    let error = |errors: usize| format!("{:.2} %", 100.0 * errors as f64 / tested as f64);
    found.findings.push(Finding::of_words("highest test error of a network trained here".to_owned(), "no figure", error(worst)));
    let rows = history.iter().enumerate().map(|(number, round)| row(number, round, &error(round.errors))).collect();
    found.tables.push(Table {
        title: "Round by round (medians over the seeds)".into(),
        heads: heads(history[0].runs[0][0].generations()),
        rows,
    });
    found.exhibits.extend(charts(history));
    let last = history.len() - 1;
    for (which, encoding) in ENCODINGS.iter().enumerate() {
        let mut shown_of = vec![0, 1, last];
        shown_of.dedup();
        for number in shown_of {
            let shown: Vec<SheetPicture> = super::mnist::shown(&history[number].runs[which][0], CLASSES);
            found.exhibits.push(Figure::Sheet(format!("Against network {number}, {}", encoding.name()), shown));
        }
        found.exhibits.extend(super::mnist::films(&history[last].runs[which][0], 1)?);
    }
    Ok(found)
}

/// What evolution reaches with one encoding against the first network, the second, and the last.
fn findings(history: &[Round], which: usize) -> Vec<Finding> {
    let last = history.len() - 1;
    let name = ENCODINGS[which].name();
    let runs = |number: usize| &history[number].runs[which];
    let mut numbers = vec![0, 1, last];
    numbers.dedup();
    let mut findings = Vec::new();
    let all = runs(0)[0].generations();
    for &number in &numbers {
        for (generation, reported) in [(PAPERS.min(all), "99.99 %, in each of 15 rounds"), (all, "no figure")] {
            let what = format!("median confidence of new pictures after {generation} generations, network {number} ({name})");
            findings.push(Finding::of_values(what, reported, reached(runs(number), generation), confidence));
        }
    }
    for &number in &numbers {
        let what = format!("generation in which the median reaches 99.99 % against network {number} ({name})");
        findings.push(Finding::of_values(what, "no figure", effort(runs(number)), generation));
    }
    let paper = |runs: &[Run]| reached(runs, PAPERS);
    let mut compare = |what: &str, of: &dyn Fn(&[Run]) -> Vec<f64>, show: fn(f64) -> String| {
        let (after, before) = (of(runs(last)), of(runs(0)));
        let words = format!("{} against {}", show(middle(&after)), show(middle(&before)));
        let what = format!("{what}: network {last} against network 0 ({name})");
        findings.push(Finding::of_test(what, "no figure", &words, mann_whitney(&after, &before)));
    };
    compare("generations to 99.99 %", &effort, generation);
    compare(&format!("median confidence after {} generations", PAPERS.min(all)), &paper, confidence);
    findings
}

fn heads(all: u32) -> Vec<String> {
    let mut heads =
        ["network", "test error", "fooling pictures in training", "of these, classified as fooling"].map(str::to_owned).to_vec();
    for encoding in ENCODINGS.map(EncodingName::name) {
        heads.push(format!("{encoding}: median after {}", PAPERS.min(all)));
        heads.push(format!("{encoding}: after {all}"));
        heads.push(format!("{encoding}: lowest digit"));
        heads.push(format!("{encoding}: generation of 99 %"));
        heads.push(format!("{encoding}: of 99.99 %"));
    }
    heads.extend(["seconds training", "seconds evolving"].map(str::to_owned));
    heads
}

fn row(number: usize, round: &Round, error: &str) -> Vec<String> {
    let recall = if round.fooling == 0 { "-".to_owned() } else { share(round.recalled as f64 / round.fooling as f64) };
    let mut row = vec![number.to_string(), error.to_owned(), round.fooling.to_string(), recall];
    for runs in &round.runs {
        let of = |value: &dyn Fn(&Run) -> f64| middle(&runs.iter().map(value).collect::<Vec<_>>());
        row.push(confidence(of(&|run| run.at(PAPERS).median)));
        row.push(confidence(of(&|run| run.at(u32::MAX).median)));
        row.push(confidence(of(&|run| run.at(u32::MAX).lowest)));
        row.push(generation(of(&|run| run.first(|stats: &Stats| stats.median >= 0.99))));
        row.push(generation(middle(&effort(runs))));
    }
    let evolving: f64 = round.runs.iter().flatten().map(|run| run.summary.seconds).sum();
    row.push(round.course.map_or_else(|| "-".to_owned(), |course| format!("{:.0}", course.seconds)));
    row.push(format!("{evolving:.0}"));
    row
}

/// What evolution reaches, in how many generations, and how networks classify earlier pictures, by network.
fn charts(history: &[Round]) -> [Figure; 3] {
    let last = history[0].runs[0][0].generations();
    let curve = |name: &str, colour, of: &dyn Fn(&Round) -> f64| {
        let points = history.iter().enumerate().map(|(number, round)| (number as f64, of(round))).filter(|point| point.1.is_finite());
        Curve { name: name.to_owned(), points: points.collect(), colour, faint: false }
    };
    let both = |of: &dyn Fn(&[Run]) -> f64| {
        let one = |which: usize| curve(ENCODINGS[which].name(), which, &|round| of(&round.runs[which]));
        vec![one(0), one(1)]
    };
    let chart =
        |title: &str, up: &str, vertical, curves| Figure::Chart(title.to_owned(), "network".into(), up.to_owned(), vertical, curves);
    let recalled = |round: &Round| if round.fooling == 0 { f64::NAN } else { 100.0 * round.recalled as f64 / round.fooling as f64 };
    [
        chart(
            &format!("Median confidence that evolution reaches in {} generations", PAPERS.min(last)),
            "confidence",
            VerticalAxis::Nines,
            both(&|runs| middle(&reached(runs, PAPERS))),
        ),
        chart(
            "Generation in which the median reaches 99.99 % (no point if it does not)",
            "generation",
            VerticalAxis::UpTo(f64::from(last)),
            both(&|runs| middle(&effort(runs))),
        ),
        chart(
            "Earlier rounds' pictures that a network classifies as fooling",
            "per cent",
            VerticalAxis::UpTo(100.0),
            vec![curve("called fooling", 2, &recalled)],
        ),
    ]
}
