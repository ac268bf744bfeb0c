//! `ablate`: removes copies of a repeated pattern, one after another; `repetition` finds and removes them.

use super::networks::Network;
use super::results::{Finding, SheetPicture, Table, confidence, share};
use super::workspace::Workspace;
use super::{ExperimentError, Figure, Outcome};
use crate::picture::Picture;
use crate::repetition::{Axis, Repetition, keep, repetition};
use crate::report::{Curve, VerticalAxis, percent};
use crate::run::{EncodingName, Variant};
use crate::stats::{median, wilcoxon};

/// Pictures on the page.
const SHOWN: usize = 6;

/// How a picture's confidence changes.
struct Ablated {
    class: usize,
    repetition: Repetition,
    /// Confidence with all copies, with one less, and so on down to one.
    confidences: Vec<f32>,
    /// The picture with all copies, half of them, and one.
    stages: [Picture; 3],
}

pub(super) fn run(workspace: &mut Workspace<'_>) -> Result<Outcome, ExperimentError> {
    let mut found = Outcome::default();
    found.method.push(
        "Pictures are evolved with CPPNs (MAP-Elites, paper variant); those at 99 % (ImageNet: 50 %) or more are examined. A pattern \
         repeats if the picture's autocorrelation along x or y has a peak of 0.6 or more at a shift of 3 pixels to half the side; the \
         smallest such shift is the period. Copies are painted over with the mean colour, from the far end, until one is left. (The \
         paper removed copies by hand.) The rank test is Wilcoxon's, over the pictures. ImageNet: the runs of imagenet-cppn in the \
         neighbouring folder are used and resumed."
            .to_owned(),
    );
    for network in workspace.lenets()? {
        let mut ablated = Vec::new();
        let mut pictures = 0;
        for seed in workspace.seeds() {
            let config = workspace.config(&network, EncodingName::Cppn, Variant::Paper, seed);
            let run = workspace.evolve(&format!("{}-{seed}", network.key), &network, config)?;
            let wanted: Vec<(usize, Picture)> = above(run.pictures(), 0.99);
            pictures += wanted.len();
            ablated.extend(ablate_all(workspace, &network, &wanted)?);
        }
        report(&mut found, &network, pictures, &ablated);
    }
    if let Some(network) = super::imagenet::network_if_there(workspace)? {
        let mut wanted = Vec::new();
        for run in super::imagenet::cppn_runs(workspace, &network)? {
            wanted.extend(above(run.pictures(), workspace.quick_or(0.05, 0.5)));
        }
        let ablated = ablate_all(workspace, &network, &wanted)?;
        report(&mut found, &network, wanted.len(), &ablated);
    }
    Ok(found)
}

fn above<'p>(pictures: impl Iterator<Item = (usize, &'p Picture, f32)>, least: f32) -> Vec<(usize, Picture)> {
    pictures.filter(|(.., score)| *score >= least).map(|(class, picture, _)| (class, picture.clone())).collect()
}

fn ablate_all(workspace: &Workspace<'_>, network: &Network, pictures: &[(usize, Picture)]) -> Result<Vec<Ablated>, ExperimentError> {
    let mut all = Vec::new();
    for (class, picture) in pictures {
        let Some(repetition) = repetition(picture) else { continue };
        let stages: Vec<Picture> = (1..=repetition.copies).rev().map(|left| keep(picture, repetition, left)).collect();
        let confidences: Vec<f32> = workspace.ask(network, &stages)?.iter().map(|scores| scores[*class]).collect();
        let half = repetition.copies - repetition.copies.div_ceil(2);
        let stages = [0, half, repetition.copies - 1].map(|at| stages[at].clone());
        all.push(Ablated { class: *class, repetition, confidences, stages });
    }
    Ok(all)
}

fn report(found: &mut Outcome, network: &Network, pictures: usize, ablated: &[Ablated]) {
    let title = &network.title;
    let count = ablated.len();
    let what = |text: &str| format!("{text} ({title})");
    let repeated = format!("{count} of {pictures}");
    found.findings.push(Finding::of_words(what("pictures with a repeated pattern"), "many", repeated));
    if ablated.is_empty() {
        return;
    }
    let at = |of: &dyn Fn(&Ablated) -> f32| ablated.iter().map(|a| f64::from(of(a))).collect::<Vec<f64>>();
    let all = at(&|a| a.confidences[0]);
    let half = at(&|a| a.confidences[a.repetition.copies - a.repetition.copies.div_ceil(2)]);
    let one = at(&|a| a.confidences[a.repetition.copies - 1]);
    let part = |counts: &dyn Fn(f64, f64) -> bool| {
        let counted = all.iter().zip(&one).filter(|(all, one)| counts(**all, **one)).count();
        format!("{counted} of {count} ({})", share(counted as f64 / count as f64))
    };
    found.findings.extend([
        Finding::of_words(what("pictures whose confidence is lower with one copy than with all"), "most", part(&|all, one| one < all)),
        Finding::of_words(what("pictures that keep nine tenths of it with one copy"), "some classes", part(&|all, one| one >= 0.9 * all)),
        Finding::of_values(what("confidence with all copies"), "no figure", all.clone(), confidence),
        Finding::of_values(what("confidence with half of them"), "lower in most cases", half, confidence),
        Finding::of_values(what("confidence with one copy"), "lower in most cases", one.clone(), confidence),
        Finding::of_test(
            what("one copy compared with all, for each picture"),
            "lower in most cases",
            "over the pictures",
            wilcoxon(&one, &all),
        ),
    ]);
    found.tables.push(Table {
        title: format!("Every picture, {title}"),
        heads: ["class", "axis", "period", "copies", "correlation", "all", "half", "one"].map(str::to_owned).to_vec(),
        rows: ablated.iter().map(|ablated| row(network, ablated)).collect(),
    });
    found.exhibits.push(chart(title, ablated));
    let shown = ablated.iter().take(SHOWN).flat_map(|ablated| shown(network, ablated)).collect();
    found.exhibits.push(Figure::Sheet(format!("All copies, half of them, one: {title}"), shown));
}

fn row(network: &Network, ablated: &Ablated) -> Vec<String> {
    let Repetition { axis, period, copies, correlation } = ablated.repetition;
    let axis = if axis == Axis::Across { "x" } else { "y" };
    let half = copies - copies.div_ceil(2);
    let confidences = [0, half, copies - 1].map(|at| confidence(f64::from(ablated.confidences[at])));
    let front = [
        crate::model::short_name(&network.model.labels()[ablated.class]).to_owned(),
        axis.to_owned(),
        period.to_string(),
        copies.to_string(),
        format!("{correlation:.2}"),
    ];
    front.into_iter().chain(confidences).collect()
}

/// The median confidence by the share of copies that are left.
fn chart(title: &str, ablated: &[Ablated]) -> Figure {
    let line = |a: &Ablated| -> Vec<(f64, f64)> {
        let copies = a.repetition.copies as f64;
        a.confidences.iter().enumerate().map(|(gone, score)| (100.0 - 100.0 * gone as f64 / copies, f64::from(*score) * 100.0)).collect()
    };
    let mut curves: Vec<Curve> = ablated
        .iter()
        .map(|a| Curve { name: String::new(), points: line(a).into_iter().rev().collect(), colour: 0, faint: true })
        .collect();
    let nearest = |a: &Ablated, left: f64| {
        let gone = ((1.0 - left) * a.repetition.copies as f64).round() as usize;
        f64::from(a.confidences[gone.min(a.repetition.copies - 1)]) * 100.0
    };
    let middle = |tenth: u32| {
        let left = f64::from(tenth) / 10.0;
        Some((left * 100.0, median(&ablated.iter().map(|a| nearest(a, left)).collect::<Vec<_>>())?.median))
    };
    curves.push(Curve { name: "median".into(), points: (1..=10).filter_map(middle).collect(), colour: 1, faint: false });
    let title = format!("Confidence by the share of copies left, {title}");
    Figure::Chart(title, "per cent of the copies".into(), "confidence in per cent".into(), VerticalAxis::UpTo(100.0), curves)
}

fn shown(network: &Network, ablated: &Ablated) -> Vec<SheetPicture> {
    let copies = ablated.repetition.copies;
    let left = [copies, copies.div_ceil(2), 1];
    let name = crate::model::short_name(&network.model.labels()[ablated.class]);
    let shown = |(stage, left): (&Picture, usize)| SheetPicture {
        picture: stage.clone(),
        lines: vec![name.to_owned(), percent(ablated.confidences[copies - left].into(), 2), format!("{left} of {copies} copies")],
    };
    ablated.stages.iter().zip(left).map(shown).collect()
}
