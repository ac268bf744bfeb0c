//! `search`: the tuned search compared with the paper's, for the same number of scores.

use super::mnist::{over_runs, shown};
use super::networks::Network;
use super::results::{Finding, Table, confidence, significant};
use super::workspace::{Run, Workspace};
use super::{ExperimentError, Figure, Outcome};
use crate::report::VerticalAxis;
use crate::run::{EncodingName, RunConfig, SearchName, Stats, Variant};
use crate::stats::{RankTest, holm, mann_whitney, median};

/// A figure over a run: its name and its value, smaller is better if it counts scores.
type Measure = (&'static str, fn(&Run) -> f64, fn(f64) -> String);

const MEASURES: [Measure; 4] = [
    ("scores until the median is at 50 %", |run| scores_until(run, |stats, _| stats.median >= 0.5), count),
    ("scores until half of the classes are at 99 %", |run| scores_until(run, |stats, cells| 2 * stats.at_99 >= cells), count),
    ("mean of the median confidence over the run", area, confidence),
    ("distinct elites for each class at the end", diversity, |value| format!("{value:.3}")),
];

fn count(scores: f64) -> String {
    if scores.is_finite() { format!("{scores}") } else { "not reached".to_owned() }
}

/// The number of pictures made until a generation after which the figures satisfy a condition.
fn scores_until(run: &Run, wanted: impl Fn(&Stats, usize) -> bool) -> f64 {
    let (settings, cells) = (&run.rebuilt.settings, run.rebuilt.run.cells.len());
    f64::from(settings.sizes.initial) + run.first(|stats| wanted(stats, cells)) * f64::from(settings.sizes.batch)
}

/// Scores until the tuned search has the median that the paper's has at the end, divided by those of the paper's.
fn share_for_the_same_median(paper: &Run, tuned: &Run) -> f64 {
    let wanted = paper.at(paper.generations()).median;
    scores_until(tuned, |stats, _| stats.median >= wanted) / scores_until(paper, |stats, _| stats.median >= wanted)
}

fn share(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "not reached".to_owned() }
}

fn area(run: &Run) -> f64 {
    run.curve.iter().map(|(_, stats)| stats.median).sum::<f64>() / run.curve.len().max(1) as f64
}

fn diversity(run: &Run) -> f64 {
    let births: std::collections::BTreeSet<_> = run.rebuilt.elites.iter().map(|elite| elite.birth).collect();
    births.len() as f64 / run.rebuilt.run.cells.len().max(1) as f64
}

/// Networks with a thousand classes, in `--models`.
const LARGE_NETWORKS: [&str; 2] = ["mobilenet_v1_025_128", "squeezenet_v1_1"];
/// Of a run on a network with a thousand classes: 80 400 scores with the default batch. The paper's 5000 would take days.
const GENERATIONS: u32 = 200;

/// The runs of both searches on one network with one encoding.
struct Pair {
    title: String,
    paper: Vec<Run>,
    tuned: Vec<Run>,
}

pub(super) fn run(workspace: &mut Workspace<'_>) -> Result<Outcome, ExperimentError> {
    let mut pairs = Vec::new();
    let lenet = Network::shipped(workspace.plan.device)?;
    for encoding in [EncodingName::Cppn, EncodingName::Direct] {
        pairs.push(pair(workspace, &lenet, encoding)?);
    }
    if workspace.plan.models.is_some() {
        for key in LARGE_NETWORKS {
            let network = workspace.network(key)?;
            pairs.push(pair(workspace, &network, EncodingName::Cppn)?);
        }
    } else {
        workspace.watcher.says("without --models: only the shipped LeNet, no network with a thousand classes");
    }
    let mut found = Outcome::default();
    found.method.push(
        "MAP-Elites as in the paper and with --search tuned, with equal numbers of pictures and the same seeds. p belongs to two-sided \
         Mann-Whitney tests over the runs, corrected by Holm for all tests of the experiment."
            .to_owned(),
    );
    compare(&mut found, &pairs);
    for Pair { title, paper, tuned } in &pairs {
        let mut curves = over_runs(paper, "as in the paper", 0, &|stats| stats.median * 100.0);
        curves.extend(over_runs(tuned, "tuned", 1, &|stats| stats.median * 100.0));
        let axis = VerticalAxis::UpTo(100.0);
        found.exhibits.push(Figure::Chart(format!("Median confidence, {title}"), "generation".into(), "per cent".into(), axis, curves));
        for (name, runs) in [("as in the paper", paper), ("tuned", tuned)] {
            found.exhibits.push(Figure::Sheet(format!("Elites of seed 1, {title}, {name}"), shown(&runs[0], 20)));
        }
    }
    Ok(found)
}

fn pair(workspace: &mut Workspace<'_>, network: &Network, encoding: EncodingName) -> Result<Pair, ExperimentError> {
    let mut runs = [Vec::new(), Vec::new()];
    for seed in workspace.seeds() {
        for ((name, search), runs) in [("paper", SearchName::Paper), ("tuned", SearchName::Tuned)].into_iter().zip(&mut runs) {
            let mut config = workspace.config(network, encoding, Variant::Paper, seed).with_search(search);
            if network.channels() > 1 {
                config.generations = GENERATIONS;
                if workspace.plan.quick {
                    config = RunConfig { generations: 3, initial: 16, batch: 16, ..config };
                }
            }
            runs.push(workspace.evolve(&format!("{}-{}-{name}-{seed}", network.key, encoding.name()), network, config)?);
        }
    }
    let [paper, tuned] = runs;
    Ok(Pair { title: format!("{}, {}", network.title, encoding.name()), paper, tuned })
}

/// One row for each pair and measure: medians over the runs, and the test between them.
fn compare(found: &mut Outcome, pairs: &[Pair]) {
    let mut rows = Vec::new();
    let mut tests: Vec<Option<RankTest>> = Vec::new();
    for Pair { title, paper, tuned } in pairs {
        for (what, value, show) in MEASURES {
            let of = |runs: &[Run]| runs.iter().map(value).collect::<Vec<f64>>();
            let (paper, tuned) = (of(paper), of(tuned));
            let test = mann_whitney(&tuned, &paper);
            tests.push(test);
            let middle = |values: &[f64]| median(values).map_or_else(String::new, |median| show(median.median));
            rows.push(vec![title.clone(), what.to_owned(), middle(&paper), middle(&tuned)]);
            found.findings.push(Finding::of_values(format!("{what} ({title}, tuned)"), "no figure", tuned, show));
        }
        let shares: Vec<f64> = paper.iter().zip(tuned).map(|(paper, tuned)| share_for_the_same_median(paper, tuned)).collect();
        let what = format!("scores until the paper's last median, divided by those of the paper's search ({title})");
        found.findings.push(Finding::of_values(what, "no figure", shares, share));
    }
    let corrected = holm(&tests.iter().map(|test| test.map_or(1.0, |test| test.p)).collect::<Vec<f64>>());
    rows.iter_mut().zip(corrected).for_each(|(row, p)| row.push(significant(p)));
    let heads = ["network and encoding", "figure", "as in the paper", "tuned", "p (Holm)"];
    found.tables.push(Table { title: "Comparison (medians)".to_owned(), heads: heads.map(str::to_owned).to_vec(), rows });
}
