//! `single-vs-map`: the single-objective EA, once a class, against MAP-Elites with as many evaluations in all.

use super::lab::{Lab, Run};
use super::mnist::{films, shown};
use super::networks::Network;
use super::results::{Finding, Table, confidence, significant};
use super::stats::{mann_whitney, median};
use super::{Exhibit, Found, ReproduceError};
use crate::report::{Curve, Upright};
use crate::run::{Choices, EncodingName, Face};

/// Ten classes of ImageNet of many kinds: goldfish, hen, tabby, lion, bee, balloon, cello, school bus, strawberry, volcano.
const CLASSES: [usize; 10] = [1, 8, 281, 291, 309, 417, 486, 779, 949, 980];

/// A contest on one network.
struct Contest<'c> {
    network: &'c Network,
    encoding: EncodingName,
    /// The classes; all if empty.
    classes: Vec<usize>,
    generations: Option<u32>,
}

/// One seed's runs.
struct Pair {
    map: Run,
    /// A run a class.
    singles: Vec<Run>,
}

pub(super) fn run(lab: &mut Lab<'_>) -> Result<Found, ReproduceError> {
    let mut found = Found::default();
    found.method.push(
        "MAP-Elites over ten classes against ten runs of the single-objective EA, one a class, that share the same number of evaluations \
         evenly (paper variant), each run with a seed of its own. A run's figure is the median confidence over the ten classes; the rank test \
         compares the runs' figures. The EA is METHOD's, a population of 100 of which 60 are kept, and smaller where a class's share of the \
         evaluations is under 400. On ImageNet, MAP-Elites has cells for the ten classes alone."
            .to_owned(),
    );
    let lenets = lab.lenets()?;
    let generations = lab.quick_or(None, Some(200));
    for network in &lenets {
        for encoding in [EncodingName::Cppn, EncodingName::Direct] {
            contest(lab, &mut found, &Contest { network, encoding, classes: Vec::new(), generations })?;
        }
    }
    if let Some(network) = super::imagenet::network_if_there(lab)? {
        let generations = Some(lab.quick_or(2, 50));
        contest(lab, &mut found, &Contest { network: &network, encoding: EncodingName::Cppn, classes: CLASSES.to_vec(), generations })?;
    }
    Ok(found)
}

fn contest(lab: &mut Lab<'_>, found: &mut Found, contest: &Contest<'_>) -> Result<(), ReproduceError> {
    let title = format!("{}, {}", contest.network.title, contest.encoding.name());
    let mut pairs = Vec::new();
    for seed in lab.seeds() {
        pairs.push(pair(lab, contest, seed)?);
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
    found.exhibits.push(Exhibit::Sheet(format!("MAP-Elites, seed 1, {title}"), shown(map, 10)));
    let singles = singles.iter().flat_map(|run| shown(run, 1)).collect();
    found.exhibits.push(Exhibit::Sheet(format!("Single-objective, a run a class, {title}"), singles));
    found.exhibits.extend(films(map, 1)?);
    Ok(())
}

fn pair(lab: &mut Lab<'_>, contest: &Contest<'_>, seed: u64) -> Result<Pair, ReproduceError> {
    let Contest { network, encoding, classes, generations } = contest;
    let name = format!("{}-{}", network.key, encoding.name());
    let mut choices = lab.choices(network, *encoding, Face::Paper, seed);
    choices.classes.clone_from(classes);
    if !lab.plan.quick {
        (choices.initial, choices.batch) = (200, 200);
    }
    choices.generations = generations.unwrap_or(choices.generations);
    let evaluations = choices.initial + choices.batch * choices.generations;
    let map = lab.evolve(&format!("{name}-map-{seed}"), network, choices)?;
    let targets = if classes.is_empty() { (0..network.model.classes()).collect() } else { classes.clone() };
    let share = evaluations / targets.len() as u32;
    let mut singles = Vec::new();
    for target in targets {
        let choices = single(network, *encoding, seed, target, share);
        singles.push(lab.evolve(&format!("{name}-single-{target}-{seed}"), network, choices)?);
    }
    Ok(Pair { map, singles })
}

/// METHOD's single-objective EA for one class, with so many evaluations (or a few fewer, to a whole generation).
fn single(network: &Network, encoding: EncodingName, seed: u64, target: usize, evaluations: u32) -> Choices {
    let mut choices = Choices::of_method(&network.key, Face::Paper, encoding, network.channels(), true);
    // A seed of its own for each: runs of one seed begin with the same random genomes.
    (choices.seed, choices.target) = (1000 * (1 + target as u64) + seed, Some(target));
    if evaluations < 4 * choices.initial {
        (choices.initial, choices.batch) = ((evaluations / 4).max(1), (evaluations / 10).max(1));
    }
    choices.generations = (evaluations - choices.initial) / choices.batch;
    choices
}

fn evaluations(run: &Run, generation: u32) -> u32 {
    let choices = &run.rebuilt.run.choices;
    choices.initial + choices.batch * generation.min(run.generations())
}

/// The last generation that a run had finished with so many evaluations.
fn generation_at(run: &Run, evaluations: u32) -> u32 {
    let choices = &run.rebuilt.run.choices;
    evaluations.saturating_sub(choices.initial) / choices.batch
}

impl Pair {
    fn map_evaluations(&self, generation: u32) -> u32 {
        evaluations(&self.map, generation)
    }

    fn map_at(&self, budget: u32) -> f64 {
        self.map.at(generation_at(&self.map, budget)).median
    }

    /// The median over the classes, each having had its share of the evaluations.
    fn singles_at(&self, budget: u32) -> f64 {
        let share = budget / self.singles.len() as u32;
        let scores: Vec<f64> = self.singles.iter().map(|run| run.at(generation_at(run, share)).highest).collect();
        median(&scores).map_or(0.0, |median| median.median)
    }
}

fn chart(title: &str, pairs: &[Pair]) -> Exhibit {
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
    all.extend(curves("single-objective, a run a class", 1, &Pair::singles_at));
    Exhibit::Chart(format!("Median of the classes, {title}"), "evaluations".into(), "confidence".into(), Upright::Nines, all)
}
