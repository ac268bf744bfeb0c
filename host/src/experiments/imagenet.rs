//! `imagenet-cppn` and `imagenet-direct`: a thousand classes, within the time limit `--hours`.

use std::collections::BTreeMap;
use std::path::Path;

use super::mnist::{films, over_runs, shown};
use super::networks::Network;
use super::results::{Finding, Table, confidence};
use super::workspace::{Run, Workspace};
use super::{Experiment, ExperimentError, Figure, Outcome};
use crate::report::VerticalAxis;
use crate::run::{EncodingName, RunConfig, Variant};
use crate::stats::{mann_whitney, median};

/// The network to fool; with `--quick` the smallest one.
pub(super) fn network(workspace: &Workspace<'_>) -> Result<Network, ExperimentError> {
    workspace.network(workspace.quick_or("mobilenet_v1_025_128", "squeezenet_v1_1"))
}

/// [`network`] for an experiment that also has a part with LeNets: none, with a message, if the folder of networks does not contain it.
pub(super) fn network_if_there(workspace: &mut Workspace<'_>) -> Result<Option<Network>, ExperimentError> {
    match network(workspace) {
        Ok(network) => Ok(Some(network)),
        Err(ExperimentError::NoNetwork { path }) => {
            workspace.watcher.says(&format!("without {}: skipping the ImageNet part", path.display()));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The default configuration for a network with a thousand classes.
pub(super) fn config(workspace: &Workspace<'_>, network: &Network, encoding: EncodingName, seed: u64) -> RunConfig {
    let mut config = workspace.config(network, encoding, Variant::Paper, seed);
    if workspace.plan.quick {
        (config.generations, config.initial, config.batch) = (3, 16, 16);
    } else {
        config.generations = if encoding == EncodingName::Cppn { 5000 } else { 20_000 };
    }
    config
}

/// The CPPN runs of the experiment `imagenet-cppn` in the neighbouring folder: long runs are shared by all experiments. They are resumed
/// within the time limit `--hours`; with 0, existing runs are used as they are.
pub(super) fn cppn_runs(workspace: &mut Workspace<'_>, network: &Network) -> Result<Vec<Run>, ExperimentError> {
    let folder = Experiment::ImagenetCppn.name().to_owned() + workspace.quick_or("-quick", "");
    let root = workspace.plan.out.parent().unwrap_or(&workspace.plan.out).join(folder);
    evolve(workspace, network, EncodingName::Cppn, &root.join("runs"))
}

fn evolve(workspace: &mut Workspace<'_>, network: &Network, encoding: EncodingName, root: &Path) -> Result<Vec<Run>, ExperimentError> {
    let limit = workspace.share_of_hours(workspace.plan.seeds as usize);
    let mut runs = Vec::new();
    for seed in workspace.seeds() {
        let name = format!("{}-{}-{seed}", network.key, encoding.name());
        let folder = root.join(&name);
        if limit.is_zero() && !folder.exists() && seed > 1 {
            workspace.watcher.says(&format!("{name}: missing, and --hours 0 leaves no time to run it"));
            continue;
        }
        let config = config(workspace, network, encoding, seed);
        runs.push(workspace.evolve_at(folder, &name, network, config, Some(limit))?);
    }
    Ok(runs)
}

pub(super) fn run(workspace: &mut Workspace<'_>, encoding: EncodingName) -> Result<Outcome, ExperimentError> {
    let network = network(workspace)?;
    let root = workspace.plan.out.join("runs");
    let runs = evolve(workspace, &network, encoding, &root)?;
    let (reported_median, [reported_99, reported_9999], full) = match encoding {
        EncodingName::Cppn => ("88.11 % at 5000", ["no figure", "many"], 5000),
        EncodingName::Direct => ("21.59 % at 20 000", ["45 classes", "no figure"], 20_000),
    };
    let done: Vec<String> = runs.iter().map(|run| run.generations().to_string()).collect();
    let of = |value: &dyn Fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
    let classes = |count: f64| format!("{count} classes");
    let what = |text: &str| format!("{text} ({}, after {} generations)", network.title, done.join(", "));
    let mut found = Outcome::default();
    found.method.push(format!(
        "MAP-Elites over 1000 classes on {}, one centre crop, {} encoding, paper variant. The paper's runs have {full} generations on \
         AlexNet with ten crops; these ended after {} because of --hours {}. The same command continues them.",
        network.title,
        encoding.name(),
        done.join(", "),
        workspace.plan.hours,
    ));
    let last = |run: &Run| *run.at(u32::MAX);
    found.findings = vec![
        Finding::of_values(what("median confidence over the classes"), reported_median, of(&|run| last(run).median), confidence),
        Finding::of_values(what("classes at 99 % or more"), reported_99, of(&|run| last(run).at_99 as f64), classes),
        Finding::of_values(what("classes at 99.99 % or more"), reported_9999, of(&|run| last(run).at_9999 as f64), classes),
    ];
    found.findings.extend(pets(&runs, &what("dogs and cats"), encoding));
    found.tables.push(Table {
        title: "Runs".to_owned(),
        heads: ["seed", "generations", "median", "lowest", "at 50 %", "at 90 %", "at 99 %", "at 99.99 %", "images/s"]
            .map(str::to_owned)
            .to_vec(),
        rows: runs.iter().map(row).collect(),
    });
    let median = over_runs(&runs, "median of the classes", 0, &|stats| stats.median * 100.0);
    found.exhibits.push(Figure::Chart(
        "Median confidence".into(),
        "generation".into(),
        "per cent".into(),
        VerticalAxis::UpTo(100.0),
        median,
    ));
    let sure = over_runs(&runs, "classes at 99 %", 1, &|stats| stats.at_99 as f64);
    found.exhibits.push(Figure::Chart("Classes at 99 %".into(), "generation".into(), "classes".into(), VerticalAxis::UpTo(1000.0), sure));
    found.exhibits.push(Figure::Sheet("Highest confidence of seed 1".into(), shown(&runs[0], 60)));
    found.exhibits.extend(films(&runs[0], 5)?);
    Ok(found)
}

/// Dogs (domestic ones, Chihuahua to Mexican hairless) and cats (tabby to Egyptian cat) among ImageNet's thousand classes.
fn is_pet(class: usize) -> bool {
    (151..=268).contains(&class) || (281..=285).contains(&class)
}

/// Compares the classes of dogs and cats with the others, each class by its median over the runs.
fn pets(runs: &[Run], what: &str, encoding: EncodingName) -> [Finding; 2] {
    let mut scores: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (class, _, score) in runs.iter().flat_map(Run::pictures) {
        scores.entry(class).or_default().push(score.into());
    }
    let middles = |pets: bool| -> Vec<f64> {
        let chosen = scores.iter().filter(|(class, _)| is_pet(**class) == pets);
        chosen.filter_map(|(_, scores)| Some(median(scores)?.median)).collect()
    };
    let (pets, others) = (middles(true), middles(false));
    let reported = if encoding == EncodingName::Cppn { "stay low" } else { "no figure" };
    let middle = |values: &[f64]| median(values).map_or_else(|| "nothing".to_owned(), |m| confidence(m.median));
    let words = format!("{} against {}", middle(&pets), middle(&others));
    let test = mann_whitney(&pets, &others);
    [
        Finding::of_values(format!("confidence in {what}, over the classes"), reported, pets, confidence),
        Finding::of_test(format!("{what} compared with the other classes"), reported, &words, test),
    ]
}

fn row(run: &Run) -> Vec<String> {
    let stats = run.at(u32::MAX);
    let counts = [stats.at_50, stats.at_90, stats.at_99, stats.at_9999].map(|count| count.to_string());
    let front =
        [run.rebuilt.run.config.seed.to_string(), run.generations().to_string(), confidence(stats.median), confidence(stats.lowest)];
    front.into_iter().chain(counts).chain([format!("{:.0}", run.summary.images_per_second)]).collect()
}
