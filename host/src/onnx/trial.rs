//! Runs a few pictures through a network before it is used, to find the number of outputs and their meaning.

use fooling_engine::simd::Instructions;

use super::{Network, classes_in};
use crate::model::card::Output;
use crate::model::error::ModelError;

/// The result of a trial.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trial {
    /// The number of outputs for one picture.
    pub(crate) width: usize,
    /// The outputs for each picture.
    pub(crate) outputs: Vec<Vec<f32>>,
}

/// Tolerances: how far a sum of probabilities may be from 1, and one of them outside 0 to 1.
const TOLERANCE: f64 = 1e-3;

impl Trial {
    /// The meaning of the numbers: in 0..1 with a sum of 1, probabilities; otherwise in 0..1, sigmoids; at most 0 with exponentials that
    /// sum to 1, log-probabilities; otherwise logits. `None` if nothing is finite.
    pub(crate) fn output(&self) -> Option<Output> {
        let finite: Vec<_> = self.outputs.iter().filter(|output| output.iter().all(|number| number.is_finite())).collect();
        let all = |holds: &dyn Fn(&[f32]) -> bool| finite.iter().all(|output| holds(output));
        let sums_to_one = |numbers: &mut dyn Iterator<Item = f64>| (numbers.sum::<f64>() - 1.0).abs() <= TOLERANCE;
        let within = |output: &[f32]| output.iter().all(|&number| (-TOLERANCE..=1.0 + TOLERANCE).contains(&f64::from(number)));
        Some(match () {
            () if finite.is_empty() => return None,
            () if all(&|output| within(output) && sums_to_one(&mut output.iter().map(|&number| number.into()))) => Output::Probabilities,
            () if all(&within) => Output::Sigmoid,
            () if all(&|output| sums_to_one(&mut output.iter().map(|&number| libm::exp(number.into())))) => Output::LogProbabilities,
            () => Output::Logits,
        })
    }
}

impl Network {
    /// Runs pictures, in the form of the network's input, through the whole graph, including the softmax.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if no engine can run the network, or if its output is not a list of scores.
    pub(crate) fn try_pictures(&self, pictures: &[Vec<f32>]) -> Result<Trial, ModelError> {
        let (shape, outputs) = match self.run_exact(pictures) {
            Ok(done) => done,
            Err(refusal) => self.run_tract(pictures, refusal)?,
        };
        let shape: Vec<_> = shape.into_iter().map(Some).collect();
        match classes_in(&shape) {
            Ok(Some(width)) => Ok(Trial { width, outputs }),
            Ok(None) => self.fail("output", "has a shape that cannot be inferred"),
            Err(problem) => self.fail("output", problem),
        }
    }

    fn run_exact(&self, pictures: &[Vec<f32>]) -> Result<(Vec<usize>, Vec<Vec<f32>>), String> {
        let layers = fooling_engine::Layers::new(self.graph.clone(), &self.graph.outputs[0], &self.input_shape(1))
            .map_err(|error| error.to_string())?;
        let network = fooling_engine::Network::new(&layers, 1, Instructions::widest()).map_err(|error| error.to_string())?;
        let mut workspace = network.workspace();
        let run = |picture: &Vec<f32>| {
            let mut output = vec![0.0; network.outputs()];
            network.run(picture, 1, &mut workspace);
            network.output(0, &workspace, &mut output);
            output
        };
        Ok((layers.output_shape().to_vec(), pictures.iter().map(run).collect()))
    }

    #[cfg(feature = "tract")]
    fn run_tract(&self, pictures: &[Vec<f32>], refusal: String) -> Result<(Vec<usize>, Vec<Vec<f32>>), ModelError> {
        let exact = ModelError::network(&self.file, "engine (exact)", refusal);
        super::tract::try_pictures(self, pictures).map_err(|tract| super::refused_by_both(exact, tract))
    }

    #[cfg(not(feature = "tract"))]
    fn run_tract(&self, _: &[Vec<f32>], refusal: String) -> Result<(Vec<usize>, Vec<Vec<f32>>), ModelError> {
        self.fail("engine (exact)", refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_reveal_their_meaning() {
        let of = |outputs: &[&[f32]]| {
            Trial { width: outputs[0].len(), outputs: outputs.iter().map(|output| output.to_vec()).collect() }.output()
        };
        assert_eq!(of(&[&[0.25, 0.75], &[1.0, 0.0]]), Some(Output::Probabilities));
        assert_eq!(of(&[&[0.25, 0.75], &[0.9, 0.8]]), Some(Output::Sigmoid));
        assert_eq!(of(&[&[0.5_f64, 0.5].map(|p| p.ln() as f32), &[0.25_f64, 0.75].map(|p| p.ln() as f32)]), Some(Output::LogProbabilities));
        assert_eq!(of(&[&[0.5, 0.5], &[-0.5, 1.5]]), Some(Output::Logits));
        assert_eq!(of(&[&[f32::NAN, 0.5], &[0.5, 0.5]]), Some(Output::Probabilities));
        assert_eq!(of(&[&[f32::NAN, 0.5]]), None);
    }
}
