//! `mnist-direct` and `mnist-cppn`: ten digits, both LeNets, both variants.

use super::networks::Network;
use super::results::{Finding, SheetPicture, Table, confidence, generation};
use super::workspace::{Run, Workspace};
use super::{ExperimentError, Figure, Outcome};
use crate::model::short_name;
use crate::report::{Curve, FRAMES, VerticalAxis, percent};
use crate::run::{Ancestor, EncodingName, Folder, Lineage, RebuiltElite, Stats, Variant, lineages};

/// The paper's threshold of near certainty.
pub(super) const SURE: f64 = 0.9999;
/// The generations in the table.
const MARKS: [u32; 4] = [10, 50, 100, 200];

/// Other settings of the direct encoding: name, factor for pictures per generation, eta, rate.
const VARIANTS: [(&str, u32, u8, f64); 6] = [
    ("paper", 1, 15, 0.1),
    ("twice", 2, 15, 0.1),
    ("rate-0.3", 1, 15, 0.3),
    ("eta-5", 1, 5, 0.1),
    ("eta-2", 1, 2, 0.1),
    ("twice-eta-5", 2, 5, 0.1),
];
/// The number of elites whose lineages are shown.
pub(super) const FILMS: usize = 2;

/// The runs of one network and variant.
struct Group {
    title: String,
    runs: Vec<Run>,
}

pub(super) fn run(workspace: &mut Workspace<'_>, encoding: EncodingName) -> Result<Outcome, ExperimentError> {
    let mut groups = Vec::new();
    for network in workspace.lenets()? {
        for variant in [Variant::Paper, Variant::Released] {
            groups.push(group(workspace, &network, encoding, variant)?);
        }
    }
    if let Some(folder) = &workspace.plan.models {
        groups.push(group(workspace, &Network::less_mean(folder, workspace.plan.device)?, encoding, Variant::Released)?);
    }
    let mut found = Outcome::default();
    let last = groups[0].runs[0].generations();
    found.method.push(format!(
        "MAP-Elites over the ten digits, {} encoding: {} pictures in the initial batch, then {last} generations of {}; seeds 1 to {}.",
        encoding.name(),
        groups[0].runs[0].rebuilt.run.config.initial,
        groups[0].runs[0].rebuilt.run.config.batch,
        workspace.plan.seeds,
    ));
    found.method.push(
        "Medians and lowest confidences are over the ten digits of a run. A figure over runs is their median, with its interval in \
         brackets; for five runs that is their range, which contains the true median with a probability of 93.75 %."
            .to_owned(),
    );
    if encoding == EncodingName::Cppn {
        found.method.push(
            "The variants differ in how colours are read and in the direct encoding. A grey CPPN picture is the same in both, so their \
             runs must be equal here, which this experiment verifies."
                .to_owned(),
        );
    }
    for group in &groups {
        found.findings.extend(findings(group, encoding, last));
        found.tables.push(marks(group, last));
        found.exhibits.push(curves(group));
    }
    if encoding == EncodingName::Direct {
        found.tables.push(variants(workspace)?);
    }
    found.tables.push(speeds(&groups));
    for group in &groups {
        found.exhibits.push(sheet(group));
        found.exhibits.extend(films(&group.runs[0], FILMS)?);
    }
    Ok(found)
}

fn group(workspace: &mut Workspace<'_>, network: &Network, encoding: EncodingName, variant: Variant) -> Result<Group, ExperimentError> {
    let word = variant.name();
    let mut runs = Vec::new();
    for seed in workspace.seeds() {
        let config = workspace.config(network, encoding, variant, seed);
        runs.push(workspace.evolve(&format!("{}-{}-{word}-{seed}", network.key, encoding.name()), network, config)?);
    }
    Ok(Group { title: format!("{}, {word} variant", network.title), runs })
}

fn findings(group: &Group, encoding: EncodingName, last: u32) -> Vec<Finding> {
    let of = |value: &dyn Fn(&Run) -> f64| group.runs.iter().map(value).collect::<Vec<f64>>();
    let what = |text: &str| format!("{text} ({})", group.title);
    let mut findings = Vec::new();
    match encoding {
        EncodingName::Direct => {
            let reached = group.runs.iter().filter(|run| run.at(50).lowest >= SURE).count();
            let digits: Vec<String> = group.runs.iter().map(|run| run.at(50).at_9999.to_string()).collect();
            findings.push(Finding::of_words(
                what("runs in which every digit is at 99.99 % by generation 50"),
                "all of 5",
                format!("{reached} of {}; digits at 99.99 % there: {}", group.runs.len(), digits.join(", ")),
            ));
            let all = of(&|run| run.first(|stats| stats.lowest >= SURE));
            findings.push(Finding::of_values(what("generation in which the last digit reaches 99.99 %"), "at most 50", all, generation));
        }
        EncodingName::Cppn => {
            let any = of(&|run| run.first(|stats| stats.highest >= SURE));
            findings.push(Finding::of_values(
                what("generation of the first picture at 99.99 %"),
                "within a few generations",
                any,
                generation,
            ));
        }
    }
    let half = of(&|run| run.first(|stats| stats.median >= SURE));
    findings.push(Finding::of_values(what("generation in which the median reaches 99.99 %"), "at most 200", half, generation));
    let name = what(&format!("median confidence at generation {last}"));
    findings.push(Finding::of_values(name, "99.99 % at 200", of(&|run| run.at(last).median), confidence));
    findings
}

/// One row for each seed: median and lowest confidence at some generations.
fn marks(group: &Group, last: u32) -> Table {
    let marks: Vec<u32> = MARKS.into_iter().filter(|mark| *mark <= last).collect();
    let heads = marks.iter().flat_map(|mark| [format!("{mark}: median"), format!("{mark}: lowest")]);
    let row = |run: &Run| {
        let cells = marks.iter().flat_map(|mark| [confidence(run.at(*mark).median), confidence(run.at(*mark).lowest)]);
        [run.rebuilt.run.config.seed.to_string()].into_iter().chain(cells).collect()
    };
    Table {
        title: format!("Confidence over the digits after generations, {}", group.title),
        heads: ["seed".to_owned()].into_iter().chain(heads).collect(),
        rows: group.runs.iter().map(row).collect(),
    }
}

/// Other settings of the direct encoding: what it takes to have every digit by generation 50.
fn variants(workspace: &mut Workspace<'_>) -> Result<Table, ExperimentError> {
    let network = workspace.lenets()?.pop().expect("there is at least the shipped one");
    let mut rows = Vec::new();
    for (name, factor, eta, rate) in VARIANTS {
        let mut runs = Vec::new();
        for seed in workspace.seeds() {
            let mut config = workspace.config(&network, EncodingName::Direct, Variant::Paper, seed);
            (config.initial, config.batch, config.eta, config.rates.gene) = (config.initial * factor, config.batch * factor, eta, rate);
            runs.push(workspace.evolve(&format!("{}-direct-{name}-{seed}", network.key), &network, config)?);
        }
        let of = |value: &dyn Fn(&Run) -> f64| {
            let values: Vec<f64> = runs.iter().map(value).collect();
            crate::stats::median(&values).map_or(f64::NAN, |median| median.median)
        };
        let batch = runs[0].rebuilt.run.config.batch;
        let there = runs.iter().filter(|run| run.at(50).lowest >= SURE).count();
        rows.push(vec![
            batch.to_string(),
            eta.to_string(),
            rate.to_string(),
            format!("{there} of {}", runs.len()),
            format!("{}", of(&|run| run.at(50).at_9999 as f64)),
            confidence(of(&|run| run.at(50).lowest)),
            generation(of(&|run| run.first(|stats| stats.median >= SURE))),
            generation(of(&|run| run.first(|stats| stats.lowest >= SURE))),
        ]);
    }
    let heads = [
        "pictures per generation",
        "eta",
        "rate",
        "runs with every digit at 99.99 % by generation 50",
        "digits there",
        "lowest digit",
        "generation of the median at 99.99 %",
        "of the last digit",
    ];
    Ok(Table {
        title: format!("Other settings, {}, paper variant (medians over the seeds; the first row is the paper's)", network.title),
        heads: heads.map(str::to_owned).to_vec(),
        rows,
    })
}

fn speeds(groups: &[Group]) -> Table {
    let heads = ["runs", "images/s", "seconds per run", "mutate", "render", "infer", "archive", "write"];
    let row = |group: &Group| {
        let middle = |of: &dyn Fn(&Run) -> f64| {
            let values: Vec<f64> = group.runs.iter().map(of).collect();
            crate::stats::median(&values).map_or(0.0, |median| median.median)
        };
        let part = |of: &dyn Fn(&Run) -> f64| format!("{:.1} %", middle(of) * 100.0);
        vec![
            group.title.clone(),
            format!("{:.0}", middle(&|run| run.summary.images_per_second)),
            format!("{:.1}", middle(&|run| run.summary.seconds)),
            part(&|run| run.summary.shares.mutate),
            part(&|run| run.summary.shares.render),
            part(&|run| run.summary.shares.infer),
            part(&|run| run.summary.shares.archive),
            part(&|run| run.summary.shares.write),
        ]
    };
    Table {
        title: "Speed, and share of thread time (medians over runs)".to_owned(),
        heads: heads.map(str::to_owned).to_vec(),
        rows: groups.iter().map(row).collect(),
    }
}

/// The median over runs of a figure, by generation, with a faint line for each run.
pub(super) fn over_runs(runs: &[Run], name: &str, colour: usize, of: &dyn Fn(&Stats) -> f64) -> Vec<Curve> {
    let points = |run: &Run| run.curve.iter().map(|(generation, stats)| (f64::from(*generation), of(stats))).collect();
    let mut curves: Vec<Curve> = runs.iter().map(|run| Curve { name: String::new(), points: points(run), colour, faint: true }).collect();
    let shortest = runs.iter().map(|run| run.curve.len()).min().unwrap_or(0);
    let middle = |at: usize| {
        let values: Vec<f64> = runs.iter().map(|run| of(&run.curve[at].1)).collect();
        Some((f64::from(runs[0].curve[at].0), crate::stats::median(&values)?.median))
    };
    curves.push(Curve { name: name.to_owned(), points: (0..shortest).filter_map(middle).collect(), colour, faint: false });
    curves
}

fn curves(group: &Group) -> Figure {
    let median = over_runs(&group.runs, "median of the digits", 0, &|stats| stats.median);
    let lowest = over_runs(&group.runs, "lowest of the digits", 1, &|stats| stats.lowest);
    let title = format!("Confidence, {} (median of the runs, and each run)", group.title);
    Figure::Chart(title, "generation".into(), "confidence".into(), VerticalAxis::Nines, median.into_iter().chain(lowest).collect())
}

fn sheet(group: &Group) -> Figure {
    Figure::Sheet(format!("Elites of seed 1, {}", group.title), shown(&group.runs[0], 10))
}

/// The elites of a run, or the `most` with the highest confidence if there are more.
pub(super) fn shown(run: &Run, most: usize) -> Vec<SheetPicture> {
    let shown = |elite: &RebuiltElite| SheetPicture {
        picture: elite.picture.clone(),
        lines: vec![
            short_name(run.rebuilt.class(elite.cell).1).to_owned(),
            percent(elite.score.into(), 2),
            format!("generation {}", elite.birth.generation),
        ],
    };
    run.rebuilt.most_confident(most).into_iter().map(shown).collect()
}

/// The lineages of the `most` elites with the highest confidence, each from its first ancestor.
pub(super) fn films(run: &Run, most: usize) -> Result<Vec<Figure>, ExperimentError> {
    let cells: Vec<usize> = run.rebuilt.most_confident(most).iter().map(|elite| elite.cell).collect();
    let name = |cell| short_name(run.rebuilt.class(cell).1);
    let shown = |ancestor: Ancestor| SheetPicture {
        picture: ancestor.picture,
        lines: vec![name(ancestor.cell).to_owned(), percent(ancestor.score.into(), 2), format!("gen. {}", ancestor.birth.generation)],
    };
    let film = |Lineage { cell, length, film }: Lineage| {
        let title = format!("Lineage of {}: {} of {length} pictures, from the first ancestor to the elite", name(cell), film.len());
        Figure::Film(title, film.into_iter().map(shown).collect())
    };
    let folder = Folder::open(&run.root)?;
    Ok(lineages(&folder, &cells, FRAMES)?.into_iter().map(film).collect())
}
