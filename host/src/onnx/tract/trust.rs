//! Whether tract can be trusted with a network: its optimised graph must give the scores of the original.
//!
//! tract 0.23.9 moves a strided slice before a convolution, which changes the result (docs/ENGINE.md has the case). So every network that
//! it will run scores a few pictures once without any of its optimisations.

use fooling_engine::Graph;
use tract_onnx::prelude::*;

use super::{Refusal, as_it_is, contained, refusal};
use crate::model::error::ModelError;
use crate::onnx::{Network, rewrite};

/// The tolerated difference of an output, relative to the largest output: a hundred times the rounding errors of the networks that were
/// tried.
const TOLERANCE: f32 = 2e-4;

/// Runs pictures through the unoptimised graph, one at a time, and returns the output shape for one picture, and the outputs for each.
fn run(graph: &Graph, shape: &[usize], pictures: &[Vec<f32>]) -> Result<(Vec<usize>, Vec<Vec<f32>>), Refusal> {
    let typed = as_it_is(graph, None, shape)?;
    let plan = typed.model.into_runnable().map_err(|error| refusal(&error))?;
    let picture = |picture: &Vec<f32>| {
        let input = Tensor::from_shape(shape, picture)?;
        let output = plan.run(tvec!(input.into()))?.remove(0);
        let output = output.cast_to::<f32>()?;
        Ok(output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
    };
    let outputs = pictures.iter().map(picture).collect::<TractResult<_>>().map_err(|error| refusal(&error))?;
    Ok((std::iter::once(shape[0]).chain(typed.output).collect(), outputs))
}

/// Runs pictures through a network up to the value `end` without optimisation: through the graph as it is, or with its constants folded if
/// tract does not accept it otherwise.
fn run_network(network: &Network, softmax_cut: bool, pictures: &[Vec<f32>]) -> Result<(Vec<usize>, Vec<Vec<f32>>), Refusal> {
    let shape = network.input_shape(1);
    let run = |network: &Network| {
        let mut graph = network.graph.clone();
        rewrite::keep_output(&mut graph, if softmax_cut { network.end() } else { &network.graph.outputs[0] });
        rewrite::widen(&mut graph);
        contained(std::panic::AssertUnwindSafe(|| run(&graph, &shape, pictures)))
    };
    // A softmax that is found only after folding cannot be cut off the graph as it is.
    let as_it_is = if softmax_cut && network.softmax.is_none() { None } else { run(network).ok() };
    as_it_is.map_or_else(
        || {
            let mut folded = network.clone();
            folded.fold();
            run(&folded)
        },
        Ok,
    )
}

/// The outputs of a network for pictures without any optimisation, including the softmax.
pub(crate) fn try_pictures(network: &Network, pictures: &[Vec<f32>]) -> Result<(Vec<usize>, Vec<Vec<f32>>), ModelError> {
    run_network(network, false, pictures).map_err(|refusal| refusal.at(&network.file))
}

/// Compares the outputs of an optimised plan with those of the original graph; both before the softmax, if it was removed.
///
/// # Errors
///
/// [`ModelError`], with both figures, if they differ by more than rounding.
pub(crate) fn check_optimised(
    network: &Network,
    pictures: &[Vec<f32>],
    softmax_cut: bool,
    optimised: &[Vec<f32>],
) -> Result<(), ModelError> {
    let fail = |refusal: Refusal| refusal.at(&network.file);
    let (_, plain) = run_network(network, softmax_cut, pictures).map_err(fail)?;
    for (plain, optimised) in plain.iter().zip(optimised) {
        if let Some(class) = difference(plain, optimised) {
            let (plain, optimised) = (plain[class], optimised[class]);
            let problem = format!(
                "changes the result when it optimises this network: {optimised} for class {class} of a test picture, but the original \
                 graph gives {plain}. Export the network without strided slices, or report it"
            );
            return Err(fail(Refusal::of(problem)));
        }
    }
    Ok(())
}

/// The first class for which two outputs differ by more than rounding.
fn difference(one: &[f32], other: &[f32]) -> Option<usize> {
    let largest = one.iter().filter(|number| number.is_finite()).fold(1.0, |largest: f32, number| largest.max(number.abs()));
    let same = |(one, other): (&f32, &f32)| one == other || (one - other).abs() <= TOLERANCE * largest || (one.is_nan() && other.is_nan());
    one.iter().zip(other).position(|pair| !same(pair))
}

/// Whether a graph that was exported for several pictures gives other scores than the network made from it for one. A graph that tract
/// cannot run counts as equal.
pub(crate) fn differ(mut exported: Graph, batch: usize, network: &Network) -> bool {
    let pattern = |seed: usize, at: usize| ((at * 37 + seed * 101) % 251) as f32 / 251.0;
    let shape = network.input_shape(batch);
    let len = shape[1..].iter().product::<usize>();
    let pictures: Vec<f32> = (0..batch).flat_map(|picture| (0..len).map(move |at| pattern(picture, at))).collect();
    let first = pictures[..len].to_vec();
    rewrite::widen(&mut exported);
    let together = contained(std::panic::AssertUnwindSafe(|| run(&exported, &shape, &[pictures])));
    let (Ok((_, together)), Ok((_, alone))) = (together, try_pictures(network, &[first])) else { return false };
    difference(&alone[0], &together[0][..alone[0].len().min(together[0].len())]).is_some()
}
