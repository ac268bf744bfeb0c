//! `ascent`: the paper's third kind of picture, made by gradient ascent from noise.

use rand_core::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

use super::networks::Network;
use super::results::{Finding, SheetPicture, Table, confidence, generation};
use super::workspace::Workspace;
use super::{ExperimentError, Figure, Outcome};
use crate::mnist::{CLASSES, PIXELS, SIDE};
use crate::model::BUILTINS;
use crate::picture::Picture;
use crate::report::{Curve, VerticalAxis, percent};
use crate::stats::median;
use crate::train::{LeNet, SCALE, onnx};

/// Length of a step, in network inputs, which are in [0, 1).
const STEP: f32 = 0.25;
/// Share of the picture that the L2 decay removes in each step.
const DECAY: f32 = 0.01;
const STEPS: u32 = 200;
const SURE: f64 = 0.9999;
/// Steps shown in the filmstrip, besides the last.
const FRAMES: [u32; 9] = [0, 2, 4, 6, 8, 10, 15, 20, 50];
/// The digits whose filmstrips are shown.
const FILMED: [usize; 2] = [3, 8];

/// One picture for each digit, over the steps.
struct Climb {
    /// The confidence of each digit's picture at each step.
    confidences: Vec<Vec<f32>>,
    pictures: Vec<Picture>,
    /// The steps of the filmstrip, and the digits' pictures at each.
    film: Vec<(u32, Vec<Picture>)>,
    /// Confidence of the pictures rounded to 8 bits.
    final_scores: Vec<f32>,
}

pub(super) fn run(workspace: &mut Workspace<'_>) -> Result<Outcome, ExperimentError> {
    let steps = workspace.quick_or(30, STEPS);
    let mut found = Outcome::default();
    found.method.push(format!(
        "Gradient ascent on the log probability of the class, starting from uniform noise, one picture for each digit: {steps} steps of \
         length {STEP} along the gradient. After each step, the L2 decay removes {DECAY} of every pixel and pixels are clamped to their \
         range. At the end they are rounded to 8 bits and scored like evolved pictures. Seeds 1 to {}.",
        workspace.plan.seeds
    ));
    for network in workspace.lenets()? {
        let lenet = lenet(workspace, &network)?;
        let mut climbs = Vec::new();
        for seed in workspace.seeds() {
            climbs.push(climb(workspace, &network, &lenet, seed, steps)?);
        }
        report(&mut found, &network, &climbs, steps);
    }
    Ok(found)
}

/// The network in the training framework, which computes gradients.
fn lenet(workspace: &Workspace<'_>, network: &Network) -> Result<LeNet, ExperimentError> {
    match &workspace.plan.models {
        Some(folder) if network.key == "lenet_paper" => Ok(onnx::read(&folder.join("lenet.onnx"))?),
        _ => Ok(onnx::decode(BUILTINS[0].files[0].1)?),
    }
}

fn climb(workspace: &Workspace<'_>, network: &Network, lenet: &LeNet, seed: u64, steps: u32) -> Result<Climb, ExperimentError> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut inputs: Vec<f32> = (0..CLASSES * PIXELS).map(|_| (rng.next_u32() >> 24) as f32 * SCALE).collect();
    let classes: Vec<u8> = (0..CLASSES as u8).collect();
    let (mut confidences, mut film) = (Vec::new(), Vec::new());
    for step in 0..=steps {
        let found = lenet.input_gradient(&inputs, &classes)?;
        confidences.push((0..CLASSES).map(|class| found.probabilities[class * lenet.classes() + class]).collect());
        if FRAMES.contains(&step) || step == steps {
            film.push((step, pictures(&inputs)));
        }
        if step < steps {
            inputs.chunks_exact_mut(PIXELS).zip(found.gradient.chunks_exact(PIXELS)).for_each(|(picture, up)| ascend(picture, up));
        }
    }
    let pictures = pictures(&inputs);
    let final_scores = workspace.ask(network, &pictures)?.iter().enumerate().map(|(class, scores)| scores[class]).collect();
    Ok(Climb { confidences, pictures, film, final_scores })
}

/// Inputs of the network as pictures of 8-bit pixels.
fn pictures(inputs: &[f32]) -> Vec<Picture> {
    let bytes = |picture: &[f32]| picture.iter().map(|value| (value / SCALE).round().clamp(0.0, 255.0) as u8).collect();
    inputs.chunks_exact(PIXELS).map(|picture| Picture::from_bytes(SIDE, 1, bytes(picture)).expect("28 x 28")).collect()
}

/// A step along the gradient, followed by the decay. A gradient of zero does not move.
fn ascend(picture: &mut [f32], gradient: &[f32]) {
    let length = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
    let scale = if length > 0.0 { STEP / length } else { 0.0 };
    for (value, up) in picture.iter_mut().zip(gradient) {
        *value = ((*value + scale * up) * (1.0 - DECAY)).clamp(0.0, 255.0 * SCALE);
    }
}

fn report(found: &mut Outcome, network: &Network, climbs: &[Climb], steps: u32) {
    let middle = |scores: &[f32]| median(&scores.iter().map(|score| f64::from(*score)).collect::<Vec<_>>()).map_or(0.0, |m| m.median);
    let lowest = |scores: &[f32]| scores.iter().copied().fold(1.0, f32::min).into();
    let what = |text: &str| format!("{text} ({})", network.title);
    let first = |climb: &Climb| {
        let step = climb.confidences.iter().position(|scores| middle(scores) >= SURE);
        step.map_or(f64::INFINITY, |step| step as f64)
    };
    let of = |value: &dyn Fn(&Climb) -> f64| climbs.iter().map(value).collect::<Vec<f64>>();
    let after = |text: &str| what(&format!("{text} confidence of the digits after {steps} steps"));
    found.findings.extend([
        Finding::of_values(after("median"), "high, no figure", of(&|climb| middle(&climb.final_scores)), confidence),
        Finding::of_values(after("lowest"), "high, no figure", of(&|climb| lowest(&climb.final_scores)), confidence),
        Finding::of_values(what("step in which the median reaches 99.99 %"), "no figure", of(&first), generation),
    ]);
    let line = |climb: &Climb, of: &dyn Fn(&[f32]) -> f64| climb.confidences.iter().enumerate().map(|(s, c)| (s as f64, of(c))).collect();
    let curves = climbs.iter().enumerate().flat_map(|(number, climb)| {
        let name = |text: &str| if number == 0 { text.to_owned() } else { String::new() };
        [
            Curve { name: name("median of the digits, one line for each seed"), points: line(climb, &middle), colour: 0, faint: false },
            Curve { name: name("lowest of the digits"), points: line(climb, &lowest), colour: 1, faint: false },
        ]
    });
    let title = format!("Confidence, {}", network.title);
    found.exhibits.push(Figure::Chart(title, "step".into(), "confidence".into(), VerticalAxis::Nines, curves.collect()));
    let shown = climbs[0].pictures.iter().zip(&climbs[0].final_scores).enumerate();
    let shown = shown.map(|(class, (picture, score))| SheetPicture {
        picture: picture.clone(),
        lines: vec![class.to_string(), percent((*score).into(), 2), format!("{steps} steps")],
    });
    found.exhibits.push(Figure::Sheet(format!("Pictures of seed 1, {}", network.title), shown.collect()));
    found.exhibits.extend(FILMED.map(|class| film(&climbs[0], class, &network.title)));
    found.tables.push(Table {
        title: what("Confidence of each digit's picture"),
        heads: ["seed".to_owned()].into_iter().chain((0..CLASSES).map(|class| class.to_string())).collect(),
        rows: (1..)
            .zip(climbs)
            .map(|(seed, climb): (u32, _)| {
                [seed.to_string()].into_iter().chain(climb.final_scores.iter().map(|score| confidence((*score).into()))).collect()
            })
            .collect(),
    });
}

/// The picture of a digit at one step.
fn film(climb: &Climb, class: usize, title: &str) -> Figure {
    let shown = |(step, pictures): &(u32, Vec<Picture>)| SheetPicture {
        picture: pictures[class].clone(),
        lines: vec![class.to_string(), percent(climb.confidences[*step as usize][class].into(), 2), format!("step {step}")],
    };
    Figure::Film(format!("From noise to {class}, {title}"), climb.film.iter().map(shown).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_goes_up_the_gradient_and_decays_within_the_range_of_pixels() {
        let mut picture = [0.5, 0.5, 0.0, 255.0 * SCALE];
        // Of length 5: a step of 0.25 moves by 0.05 of it.
        ascend(&mut picture, &[3.0, -4.0, 0.0, 0.0]);
        let expected = [0.65 * 0.99, 0.3 * 0.99, 0.0, 255.0 * SCALE * 0.99];
        assert!(picture.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{picture:?}");
        ascend(&mut picture, &[0.0; 4]);
        assert!((picture[0] - 0.65 * 0.99 * 0.99).abs() < 1e-6, "without a gradient only the decay remains");
        let mut edges = [0.0, 255.0 * SCALE];
        ascend(&mut edges, &[-1.0, 1.0]);
        assert_eq!(edges, [0.0, 255.0 * SCALE]);
    }

    #[test]
    fn inputs_become_the_nearest_bytes() {
        let mut inputs = vec![0.0; PIXELS];
        (inputs[0], inputs[1], inputs[2], inputs[3]) = (2.0, -1.0, 100.4 * SCALE, 100.6 * SCALE);
        assert_eq!(pictures(&inputs)[0].bytes()[..5], [255, 0, 100, 101, 0]);
    }
}
