//! `ablate`: removes copies of a repeated pattern, one after another.
//!
//! Copies are found by autocorrelation along x and along y. The period is the smallest shift of at least three pixels at which the
//! correlation of the picture with itself has a peak of 0.6 or more; the axis with the higher peak counts. The picture then consists of
//! whole copies side by side, plus a rest at the edge. Copies are removed from the far end, including the rest, by painting them over with
//! the picture's mean colour. The paper removed copies by hand.

use super::networks::Network;
use super::results::{Finding, SheetPicture, Table, confidence, share};
use super::workspace::Workspace;
use super::{ExperimentError, Figure, Outcome};
use crate::picture::Picture;
use crate::report::{Curve, VerticalAxis, percent};
use crate::run::{EncodingName, Variant};
use crate::stats::{median, wilcoxon};

/// The smallest shift that counts as a period, in pixels.
const SHORTEST: usize = 3;
/// The lowest correlation between copies.
const ALIKE: f64 = 0.6;
/// Pictures on the page.
const SHOWN: usize = 6;

/// The direction in which copies repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    Across,
    Down,
}

/// A pattern that repeats.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Repetition {
    axis: Axis,
    /// Width (or height) of a copy in pixels.
    period: usize,
    /// Whole copies; at least 2.
    copies: usize,
    /// Correlation of the picture with itself, shifted by one period.
    correlation: f64,
}

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

/// The repeated pattern of a picture, if it has one.
fn repetition(picture: &Picture) -> Option<Repetition> {
    let across = period(picture, Axis::Across);
    let down = period(picture, Axis::Down);
    [across, down].into_iter().flatten().max_by(|a, b| a.correlation.total_cmp(&b.correlation))
}

fn period(picture: &Picture, axis: Axis) -> Option<Repetition> {
    let side = picture.side();
    let lines = lines(picture, axis);
    let correlations: Vec<f64> = (0..=side / 2 + 1).map(|shift| correlation(&lines, shift)).collect();
    let peak = |&shift: &usize| {
        let here = correlations[shift];
        here >= ALIKE && here > correlations[shift - 1] && here >= correlations[shift + 1]
    };
    let period = (SHORTEST..=side / 2).find(peak)?;
    Some(Repetition { axis, period, copies: side / period, correlation: correlations[period] })
}

/// The columns (or rows) of a picture, minus the mean along this axis: a pattern that changes only in the other direction does not repeat
/// along this one.
fn lines(picture: &Picture, axis: Axis) -> Vec<Vec<f64>> {
    let side = picture.side();
    let place = |along: usize, over: usize| if axis == Axis::Across { (along, over) } else { (over, along) };
    let mut lines: Vec<Vec<f64>> = (0..side)
        .map(|along| {
            let pixel = |over| {
                let (x, y) = place(along, over);
                picture.rgb(x, y).map(f64::from)
            };
            (0..side).flat_map(pixel).collect()
        })
        .collect();
    for at in 0..lines[0].len() {
        let mean = lines.iter().map(|line| line[at]).sum::<f64>() / side as f64;
        lines.iter_mut().for_each(|line| line[at] -= mean);
    }
    lines
}

/// Correlation of lines with those `shift` further on, in [-1, 1].
fn correlation(lines: &[Vec<f64>], shift: usize) -> f64 {
    let (mut product, mut first, mut second) = (0.0, 0.0, 0.0);
    for (a, b) in lines.iter().zip(&lines[shift..]) {
        for (a, b) in a.iter().zip(b) {
            product += a * b;
            first += a * a;
            second += b * b;
        }
    }
    let scale = f64::sqrt(first * second);
    if scale > 0.0 { product / scale } else { 0.0 }
}

/// The picture with only the first `left` copies; with all of them it is unchanged.
fn keep(picture: &Picture, repetition: Repetition, left: usize) -> Picture {
    let mut kept = picture.clone();
    if left >= repetition.copies {
        return kept;
    }
    let (side, channels) = (picture.side(), picture.channels());
    let mean: Vec<u8> = (0..channels)
        .map(|channel| {
            let sum: usize = picture.bytes().iter().skip(channel).step_by(channels).map(|byte| usize::from(*byte)).sum();
            (sum / (side * side)) as u8
        })
        .collect();
    let edge = left * repetition.period;
    for y in 0..side {
        let mut row = picture.bytes()[y * side * channels..][..side * channels].to_vec();
        let from = if repetition.axis == Axis::Across {
            edge
        } else if y >= edge {
            0
        } else {
            side
        };
        row.chunks_exact_mut(channels).skip(from).for_each(|pixel| pixel.copy_from_slice(&mean));
        kept.put_row(y, &row);
    }
    kept
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of stripes: `bright` is called for each place.
    fn picture(side: usize, channels: usize, bright: impl Fn(usize, usize) -> u8) -> Picture {
        let pixel = |at: usize| bright(at / channels % side, at / channels / side);
        Picture::from_bytes(side, channels, (0..side * side * channels).map(pixel).collect()).unwrap()
    }

    #[test]
    fn a_repeated_pattern_is_found_with_its_period_and_axis() {
        for period in [4, 5, 9] {
            let down = picture(28, 1, |_, y| if y % period < 2 { 255 } else { 0 });
            let found = repetition(&down).unwrap();
            assert_eq!((found.axis, found.period, found.copies), (Axis::Down, period, 28 / period));
            let across = picture(64, 3, |x, y| ((x % period) * 20 + y) as u8);
            let found = repetition(&across).unwrap();
            assert_eq!((found.axis, found.period, found.copies), (Axis::Across, period, 64 / period));
            assert!(found.correlation > 0.99);
        }
    }

    #[test]
    fn pictures_without_repetition_are_unchanged() {
        let ramp = picture(28, 1, |x, y| (x * 5 + y * 4) as u8);
        assert_eq!(repetition(&ramp), None);
        assert_eq!(repetition(&Picture::new(28, 1)), None);
        // A multiple of x and y would repeat; SplitMix64's finaliser does not.
        let mix = |x: u64| (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let noise = picture(28, 1, |x, y| (mix(mix((x * 28 + y + 1) as u64).rotate_left(17)) >> 56) as u8);
        assert_eq!(repetition(&noise), None);
    }

    #[test]
    fn copies_are_removed_from_the_far_end() {
        let stripes = picture(28, 1, |x, _| if x % 7 < 2 { 210 } else { 0 });
        let found = repetition(&stripes).unwrap();
        assert_eq!(keep(&stripes, found, 4), stripes);
        let two = keep(&stripes, found, 2);
        for y in 0..28 {
            assert_eq!(two.bytes()[y * 28..][..14], stripes.bytes()[y * 28..][..14]);
            assert!(two.bytes()[y * 28 + 14..][..14].iter().all(|byte| *byte == 60), "the mean of 2 of 7 at 210");
        }
        let rows = picture(28, 3, |_, y| if y % 7 < 2 { 210 } else { 0 });
        let one = keep(&rows, repetition(&rows).unwrap(), 1);
        assert_eq!((one.rgb(5, 6), one.rgb(5, 7)), ([0; 3], [60; 3]));
    }
}
