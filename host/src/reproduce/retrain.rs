//! `retrain`: networks that are taught that evolved pictures are "fooling", and evolution against them.
//!
//! Round i: pictures are evolved against network i, some join the training set as an eleventh class, and network i + 1 learns from
//! scratch. The pictures are elites of their time, not only the last ones: a run of 200 generations has some hundreds of them at 90 % or
//! more, and the paper's 6000 would otherwise take 600 runs.

use std::path::{Path, PathBuf};

use super::lab::{Lab, Run};
use super::networks::Network;
use super::results::{Finding, Shown, Table, confidence, generation, share};
use super::stats::{mann_whitney, median};
use super::{Exhibit, Found, ReproduceError};
use crate::mnist::{CLASSES, Dataset, Mnist, PIXELS};
use crate::model::Model;
use crate::picture::Picture;
use crate::report::{Curve, Upright};
use crate::run::{EncodingName, Face, champions};
use crate::score::top;
use crate::train::{Card, Examples, Observer, Settings, Step, fit, onnx};

/// The label of evolved pictures.
const FOOLING: u8 = CLASSES as u8;
/// The confidence at which a picture counts as fooling.
const LEAST: f32 = 0.9;
const SURE: f64 = 0.9999;
const ENCODINGS: [EncodingName; 2] = [EncodingName::Cppn, EncodingName::Direct];

/// What became of a round.
struct Round {
    /// Runs against the network of this round, by encoding.
    runs: [Vec<Run>; 2],
    /// Errors of the network on the test set.
    errors: usize,
    /// Pictures in its training set that are "fooling", and how many of them it calls so; none for the first network.
    fooling: usize,
    recalled: usize,
}

pub(super) fn run(lab: &mut Lab<'_>) -> Result<Found, ReproduceError> {
    let data = lab.plan.data.clone().ok_or(ReproduceError::NoData)?;
    let Mnist { mut train, mut test } = Mnist::load(&data).map_err(crate::train::TrainError::from)?;
    if lab.plan.quick {
        (train, test) = (first(&train, 3000), first(&test, 1000));
    }
    let rounds = lab.quick_or(2, 15);
    let mut examples = Examples::new(CLASSES + 1)?;
    examples.append(&train.images, &train.labels)?;
    let mut fooling: Vec<Picture> = Vec::new();
    let mut network = Network::shipped(lab.plan.device)?;
    let mut history = Vec::new();
    for round in 0..=rounds {
        let runs = [evolve(lab, &network, round, ENCODINGS[0])?, evolve(lab, &network, round, ENCODINGS[1])?];
        let recalled = lab.ask(&network, &fooling)?.iter().filter(|scores| top(scores, 1)[0].0 == CLASSES).count();
        history.push(Round { errors: errors(lab, &network, &test)?, fooling: fooling.len(), recalled, runs });
        if round == rounds {
            break;
        }
        let wanted = lab.quick_or(100, if round == 0 { 6000 } else { 1000 });
        let fresh = collect(&history[round].runs, wanted)?;
        let bytes: Vec<u8> = fresh.iter().flat_map(|picture| picture.bytes()).copied().collect();
        examples.append(&bytes, &vec![FOOLING; fresh.len()])?;
        fooling.extend(fresh);
        network = learn(lab, &examples, &test, round + 1)?;
    }
    Ok(report(lab, &history, test.len()))
}

fn first(set: &Dataset, count: usize) -> Dataset {
    Dataset { images: set.images[..count * PIXELS].to_vec(), labels: set.labels[..count].to_vec() }
}

/// Evolves pictures of the ten digits; the class "fooling" has no cell.
fn evolve(lab: &mut Lab<'_>, network: &Network, round: usize, encoding: EncodingName) -> Result<Vec<Run>, ReproduceError> {
    let mut runs = Vec::new();
    for seed in lab.seeds() {
        // Other seeds each round, or the same random pictures would come again and again.
        let mut choices = lab.choices(network, encoding, Face::Paper, seed + 1000 * round as u64);
        choices.classes = (0..CLASSES).collect();
        runs.push(lab.evolve(&format!("round-{round:02}-{}-{seed}", encoding.name()), network, choices)?);
    }
    Ok(runs)
}

/// Sure pictures of a round's runs, about as many of each run.
fn collect(runs: &[Vec<Run>; 2], wanted: usize) -> Result<Vec<Picture>, ReproduceError> {
    let count: usize = runs.iter().map(Vec::len).sum();
    let mut pictures = Vec::new();
    for run in runs.iter().flatten() {
        pictures.extend(champions(&run.folder, LEAST, wanted.div_ceil(count))?.into_iter().map(|champion| champion.picture));
    }
    pictures.truncate(wanted);
    Ok(pictures)
}

/// Tells how training goes on, and ends it when asked to.
struct Lesson<'l>(&'l mut dyn super::Watcher, usize);

impl Observer for Lesson<'_> {
    fn step(&mut self, _: &Step) {}

    fn epoch(&mut self, epoch: &crate::train::Epoch) {
        self.0.says(&format!(
            "network {}: epoch {}, {:.0} s, {:.2} % test error",
            self.1,
            epoch.epoch,
            epoch.seconds,
            epoch.error_percent()
        ));
    }
}

/// Trains the network of a round from scratch, or takes the one that is there.
fn learn(lab: &mut Lab<'_>, examples: &Examples, test: &Dataset, round: usize) -> Result<Network, ReproduceError> {
    let path = lab.plan.out.join("networks").join(format!("round_{round:02}.onnx"));
    let card = path.with_extension("toml");
    // The card is written last: with it, the network is whole.
    if !card.exists() {
        let settings = Settings { epochs: lab.quick_or(2, 5), seed: round as u64, threads: Some(lab.plan.threads), ..Settings::default() };
        let fitted = fit(examples, test, &settings, &mut Lesson(lab.watcher, round))?;
        let bytes = onnx::encode(&fitted.network)?;
        let origin = format!("fooling reproduce retrain, round {round}: {} epochs on {} pictures", settings.epochs, examples.len());
        let text = Card::lenet(&path, &bytes, CLASSES + 1, origin).to_toml();
        write(&path, &bytes)?;
        write(&card, text.as_bytes())?;
    }
    Network::of(&format!("round_{round:02}"), &format!("network {round}"), Model::load(&path)?, lab.plan.device)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ReproduceError> {
    crate::run::write_file(path, bytes).map_err(|source| ReproduceError::Write { path: PathBuf::from(path), source })
}

fn errors(lab: &Lab<'_>, network: &Network, test: &Dataset) -> Result<usize, ReproduceError> {
    let pictures: Vec<Picture> =
        test.images.chunks_exact(PIXELS).map(|image| Picture::from_bytes(28, 1, image.to_vec()).expect("28 x 28")).collect();
    let scores = lab.ask(network, &pictures)?;
    Ok(scores.iter().zip(&test.labels).filter(|(scores, label)| top(scores, 1)[0].0 != usize::from(**label)).count())
}

fn report(lab: &Lab<'_>, history: &[Round], tested: usize) -> Found {
    let rounds = history.len() - 1;
    let mut found = Found::default();
    found.method.push(format!(
        "Network 0 is the shipped LeNet. Each round evolves pictures of the ten digits against the newest network ({} seeds and both encodings, \
         paper face), takes those of all their elites that had 90 % or more, evenly over time, as class \"fooling\" (6000 in the first \
         round, then 1000 a round), and trains the next network from scratch on MNIST and all of them: {} epochs.",
        lab.plan.seeds,
        lab.quick_or(2, 5)
    ));
    let median_of = |runs: &[Run]| runs.iter().map(|run| run.at(u32::MAX).median).collect::<Vec<_>>();
    let effort = |runs: &[Run]| runs.iter().map(|run| run.first(|stats| stats.median >= SURE)).collect::<Vec<_>>();
    for (which, encoding) in ENCODINGS.iter().enumerate() {
        let (before, after) = (&history[0].runs[which], &history[rounds].runs[which]);
        let name = encoding.name();
        let what = format!("median confidence of fresh pictures against network {rounds} ({name})");
        found.findings.push(Finding::of_values(what, "99.99 % after 15 rounds", median_of(after), confidence));
        for (number, runs) in [(0, before), (rounds, after)] {
            let what = format!("generation in which the median reaches 99.99 % against network {number} ({name})");
            found.findings.push(Finding::of_values(what, "no figure", effort(runs), generation));
        }
        let test = mann_whitney(&effort(after), &effort(before));
        let what = format!("generations to 99.99 %: network {rounds} against network 0 ({name})");
        found.findings.push(Finding::of_test(what, "no figure", "effort of the runs", test));
    }
    let mut heads = ["network", "test error", "fooling pictures learnt", "of them called fooling"].map(str::to_owned).to_vec();
    heads.extend(ENCODINGS.map(|e| format!("{}: median after the run", e.name())));
    heads.extend(ENCODINGS.map(|e| format!("{}: generation of 99.99 %", e.name())));
    let row = |(number, round): (usize, &Round)| {
        let middle = |values: Vec<f64>| median(&values).map_or(f64::NAN, |m| m.median);
        let recall = if round.fooling == 0 { "-".to_owned() } else { share(round.recalled as f64 / round.fooling as f64) };
        let error = format!("{:.2} %", 100.0 * round.errors as f64 / tested as f64);
        let mut row = vec![number.to_string(), error, round.fooling.to_string(), recall];
        row.extend(round.runs.iter().map(|runs| confidence(middle(median_of(runs)))));
        row.extend(round.runs.iter().map(|runs| generation(middle(effort(runs)))));
        row
    };
    found.tables.push(Table {
        title: "Round by round (medians over the seeds)".into(),
        heads,
        rows: history.iter().enumerate().map(row).collect(),
    });
    let curve = |which: usize| {
        let middle = |round: &Round| median(&median_of(&round.runs[which])).map_or(0.0, |m| m.median);
        let points = history.iter().enumerate().map(|(number, round)| (number as f64, middle(round))).collect();
        Curve { name: ENCODINGS[which].name().to_owned(), points, colour: which, faint: false }
    };
    let curves = vec![curve(0), curve(1)];
    let title = "Median confidence that fresh evolution reaches".to_owned();
    found.exhibits.push(Exhibit::Chart(title, "network".into(), "confidence".into(), Upright::Nines, curves));
    for (which, encoding) in ENCODINGS.iter().enumerate() {
        let shown: Vec<Shown> = super::mnist::shown(&history[rounds].runs[which][0], CLASSES);
        found.exhibits.push(Exhibit::Sheet(format!("Against network {rounds}, {}", encoding.name()), shown));
    }
    found
}
