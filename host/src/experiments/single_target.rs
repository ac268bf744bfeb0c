//! `single-vs-map`: the single-objective EA, once for each class, compared with MAP-Elites for the same total number of evaluations.

use super::mnist::{films, shown};
use super::networks::Network;
use super::results::{Finding, Table, confidence, significant};
use super::workspace::{Run, Workspace};
use super::{ExperimentError, Figure, Outcome};
use crate::report::{Curve, VerticalAxis};
use crate::run::{EncodingName, RunConfig, Variant};
use crate::stats::{mann_whitney, median};

/// Ten varied classes of ImageNet: goldfish, hen, tabby, lion, bee, balloon, cello, school bus, strawberry, volcano.
const CLASSES: [usize; 10] = [1, 8, 281, 291, 309, 417, 486, 779, 949, 980];

/// A comparison on one network.
struct Contest<'c> {
    network: &'c Network,
    encoding: EncodingName,
    /// The classes; all if empty.
    classes: Vec<usize>,
    generations: Option<u32>,
}

/// The runs of one seed.
struct Pair {
    map: Run,
    /// One run for each class.
    singles: Vec<Run>,
}

pub(super) fn run(workspace: &mut Workspace<'_>) -> Result<Outcome, ExperimentError> {
    let mut found = Outcome::default();
    found.method.push(
        "MAP-Elites over ten classes compared with ten runs of the single-objective EA, one for each class, which share the same number \
         of evaluations evenly (paper variant); each run has its own seed. A run's figure is the median confidence over the ten \
         classes; the rank test compares the runs' figures. The EA has a population of 100 of which 60 are kept, and a smaller one if a \
         class's share of the evaluations is under 400. On ImageNet, MAP-Elites has cells for the ten classes only."
            .to_owned(),
    );
    let lenets = workspace.lenets()?;
    let generations = workspace.quick_or(None, Some(200));
    for network in &lenets {
        for encoding in [EncodingName::Cppn, EncodingName::Direct] {
            contest(workspace, &mut found, &Contest { network, encoding, classes: Vec::new(), generations })?;
        }
    }
    if let Some(network) = super::imagenet::network_if_there(workspace)? {
        let generations = Some(workspace.quick_or(2, 50));
        contest(
            workspace,
            &mut found,
            &Contest { network: &network, encoding: EncodingName::Cppn, classes: CLASSES.to_vec(), generations },
        )?;
    }
    Ok(found)
}

fn contest(workspace: &mut Workspace<'_>, found: &mut Outcome, contest: &Contest<'_>) -> Result<(), ExperimentError> {
    let title = format!("{}, {}", contest.network.title, contest.encoding.name());
    let mut pairs = Vec::new();
    for seed in workspace.seeds() {
        pairs.push(pair(workspace, contest, seed)?);
    }
    let mut table = Table {
        title: format!("Median confidence over the classes after evaluations, {title}"),
        heads: ["evaluations", "MAP-Elites", "single-objective", "U", "p"].map(str::to_owned).to_vec(),
        rows: Vec::new(),
    };
    let total = pairs[0].map_evaluations(u32::MAX);
    for budget in [total / 10, total / 4, total / 2, total] {
        let map: Vec<f64> = pairs.iter().map(|pair| pair.map_at(budget)).collect();
        let single: Vec<f64> = pairs.iter().map(|pair| pair.singles_at(budget)).collect();
        let (Some(of_map), Some(of_single), test) = (median(&map), median(&single), mann_whitney(&map, &single)) else { continue };
        let (u, p) = test.map_or_else(Default::default, |test| (test.statistic.to_string(), significant(test.p)));
        table.rows.push(vec![budget.to_string(), confidence(of_map.median), confidence(of_single.median), u, p]);
        if budget == total {
            for (name, values) in [("MAP-Elites", &map), ("single-objective", &single)] {
                let what = format!("median confidence after {total} evaluations: {name} ({title})");
                found.findings.push(Finding::of_values(what, "no figure", values.clone(), confidence));
            }
            let words = format!("{} against {}", confidence(of_map.median), confidence(of_single.median));
            let what = format!("median confidence after {total} evaluations: MAP-Elites against single-objective ({title})");
            found.findings.push(Finding::of_test(what, "no figure", &words, test));
        }
    }
    found.tables.push(table);
    found.exhibits.push(chart(&title, &pairs));
    let Pair { map, singles } = &pairs[0];
    found.exhibits.push(Figure::Sheet(format!("MAP-Elites, seed 1, {title}"), shown(map, 10)));
    let singles = singles.iter().flat_map(|run| shown(run, 1)).collect();
    found.exhibits.push(Figure::Sheet(format!("Single-objective, one run for each class, {title}"), singles));
    found.exhibits.extend(films(map, 1)?);
    Ok(())
}

fn pair(workspace: &mut Workspace<'_>, contest: &Contest<'_>, seed: u64) -> Result<Pair, ExperimentError> {
    let Contest { network, encoding, classes, generations } = contest;
    let name = format!("{}-{}", network.key, encoding.name());
    let mut config = workspace.config(network, *encoding, Variant::Paper, seed);
    config.classes.clone_from(classes);
    if !workspace.plan.quick {
        (config.initial, config.batch) = (200, 200);
    }
    config.generations = generations.unwrap_or(config.generations);
    let evaluations = config.initial + config.batch * config.generations;
    let map = workspace.evolve(&format!("{name}-map-{seed}"), network, config)?;
    let targets = if classes.is_empty() { (0..network.model.classes()).collect() } else { classes.clone() };
    let share = evaluations / targets.len() as u32;
    let mut singles = Vec::new();
    for target in targets {
        let config = single(network, *encoding, seed, target, share);
        singles.push(workspace.evolve(&format!("{name}-single-{target}-{seed}"), network, config)?);
    }
    Ok(Pair { map, singles })
}

/// The single-objective EA for one class, with this many evaluations (or slightly fewer, to complete a generation).
fn single(network: &Network, encoding: EncodingName, seed: u64, target: usize, evaluations: u32) -> RunConfig {
    let mut config = RunConfig::defaults(&network.key, Variant::Paper, encoding, network.channels(), true);
    // A different seed for each: runs with the same seed start with the same random genomes.
    (config.seed, config.target) = (1000 * (1 + target as u64) + seed, Some(target));
    if evaluations < 4 * config.initial {
        (config.initial, config.batch) = ((evaluations / 4).max(1), (evaluations / 10).max(1));
    }
    config.generations = (evaluations - config.initial) / config.batch;
    config
}

fn evaluations(run: &Run, generation: u32) -> u32 {
    let config = &run.rebuilt.run.config;
    config.initial + config.batch * generation.min(run.generations())
}

/// The last generation that a run had finished after this many evaluations.
fn generation_at(run: &Run, evaluations: u32) -> u32 {
    let config = &run.rebuilt.run.config;
    evaluations.saturating_sub(config.initial) / config.batch
}

impl Pair {
    fn map_evaluations(&self, generation: u32) -> u32 {
        evaluations(&self.map, generation)
    }

    fn map_at(&self, budget: u32) -> f64 {
        self.map.at(generation_at(&self.map, budget)).median
    }

    /// The median over the classes, each after its share of the evaluations.
    fn singles_at(&self, budget: u32) -> f64 {
        let share = budget / self.singles.len() as u32;
        let scores: Vec<f64> = self.singles.iter().map(|run| run.at(generation_at(run, share)).highest).collect();
        median(&scores).map_or(0.0, |median| median.median)
    }
}

fn chart(title: &str, pairs: &[Pair]) -> Figure {
    let total = pairs[0].map_evaluations(u32::MAX);
    let budgets: Vec<u32> = (1..=100).map(|part| (u64::from(total) * part / 100) as u32).collect();
    let curves = |name: &str, colour, of: &dyn Fn(&Pair, u32) -> f64| {
        let line = |of: &dyn Fn(u32) -> f64| budgets.iter().map(|&budget| (f64::from(budget), of(budget))).collect();
        let mut curves: Vec<Curve> =
            pairs.iter().map(|pair| Curve { name: String::new(), points: line(&|b| of(pair, b)), colour, faint: true }).collect();
        let middle = |budget| median(&pairs.iter().map(|pair| of(pair, budget)).collect::<Vec<_>>()).map_or(0.0, |m| m.median);
        curves.push(Curve { name: name.to_owned(), points: line(&middle), colour, faint: false });
        curves
    };
    let mut all = curves("MAP-Elites", 0, &Pair::map_at);
    all.extend(curves("single-objective, one run for each class", 1, &Pair::singles_at));
    Figure::Chart(format!("Median of the classes, {title}"), "evaluations".into(), "confidence".into(), VerticalAxis::Nines, all)
}
