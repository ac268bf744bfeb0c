//! Runs the network on the CPU with this project's engine: the same scores to the last bit on every machine.
//!
//! An engine that picks its kernels by CPU adds in another order on another CPU, and its scores differ in their last bits. In
//! [`fooling_engine`] the order of every sum is fixed, and all operations are IEEE 754 operations. So a run is the same everywhere,
//! whatever the CPU, the number of threads or the batch size. It is also faster than a general engine on the networks that it supports.
//! [`Exact::new`] refuses all others, and [`open`](super::open) then uses tract.

#[cfg(all(test, feature = "tract"))]
mod random_graphs;
#[cfg(test)]
mod stored;
#[cfg(test)]
mod tests;

use fooling_engine::simd::{F32x16, Instructions};
use fooling_engine::{Layers, MAX_ELEMENTS, Network};

use super::scores::{Finisher, RawScores};
use super::{BATCH, Classifier, ClassifyError, Refusals, Scoring, Session, check_call};
use crate::model::{Model, ModelError};

/// The beginning of the engine's name, which the version of its arithmetic follows.
pub(crate) const EXACT: &str = "exact ";

/// A network on the CPU, run by this crate's engine.
#[derive(Debug)]
pub struct Exact {
    network: Network,
    batch: usize,
    crops: usize,
    raw: RawScores,
}

impl Exact {
    /// Prepares a model, with the batch size that suits it.
    ///
    /// # Errors
    ///
    /// [`ModelError`]: the file has changed since the model was loaded; a layer is not supported; the number of classes is not the number
    /// of labels; tensors or work exceed the limits.
    pub fn new(model: &Model) -> Result<Self, ModelError> {
        Self::build(model, None, Instructions::widest())
    }

    /// As [`Exact::new`], for batches of `batch` pictures and with a given instruction set. Neither changes a bit of the scores.
    ///
    /// # Errors
    ///
    /// As [`Exact::new`].
    ///
    /// # Panics
    ///
    /// If `batch` is 0.
    pub fn with(model: &Model, batch: usize, instructions: Instructions) -> Result<Self, ModelError> {
        assert!(batch > 0, "a batch holds at least one picture");
        Self::build(model, Some(batch), instructions)
    }

    /// The model as an image that a target without an allocator uses in place: `fooling_engine::Image`.
    ///
    /// # Errors
    ///
    /// [`ModelError`]: as [`Exact::new`]; the image cannot contain a layer, the preprocessing or the kind of output, which is named.
    pub fn image(model: &Model) -> Result<Vec<u8>, ModelError> {
        let network = model.network()?;
        let (layers, raw) = prepare(model, &network)?;
        let fail = |problem: String| ModelError::network(network.file(), "export for the engine", problem);
        if !raw.are_logits() || raw.width < 2 {
            let output = model.card().output.name();
            return Err(fail(format!("its output ({output}) is not a softmax over the classes, the only one that an image supports")));
        }
        let input =
            model.preprocess().image_input().map_err(|what| fail(format!("its card asks for {what}, which an image does not support")))?;
        layers.image(&input).map_err(|unsupported| fail(unsupported.to_string()))
    }

    /// The prepared network, for measurements.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    fn build(model: &Model, batch: Option<usize>, instructions: Instructions) -> Result<Self, ModelError> {
        let network = model.network()?;
        let (layers, raw) = prepare(model, &network)?;
        let fail = |problem: String| ModelError::network(network.file(), "engine (exact)", problem + &network.advice());
        let crops = model.preprocess().crops();
        let batch = batch.unwrap_or(if layers.wants_batch() { BATCH } else { 1 });
        let rows = batch.saturating_mul(crops);
        if rows.saturating_mul(network.input_shape(1).iter().product::<usize>()) > MAX_ELEMENTS {
            return Err(fail(format!("a batch of {batch} pictures is too large; choose a smaller batch")));
        }
        let network = Network::new(&layers, rows, instructions).map_err(|unsupported| fail(unsupported.to_string()))?;
        Ok(Self { network, batch, crops, raw })
    }

    fn start(&self, scoring: Scoring) -> ExactSession<'_> {
        ExactSession {
            exact: self,
            pictures: vec![0.0; self.batch * self.slot_len()],
            workspace: self.network.workspace(),
            raw: vec![0.0; self.crops * self.raw.width],
            finisher: Finisher::new(self.raw, scoring),
        }
    }
}

/// The layers of a model without a softmax at the end, and the meaning of their outputs.
fn prepare(model: &Model, network: &crate::onnx::Network) -> Result<(Layers, RawScores), ModelError> {
    let file = network.file().to_owned();
    let advice = network.advice();
    let fail = |problem: String| ModelError::network(&file, "engine (exact)", problem + &advice);
    let input = network.input_shape(1);
    let layers = |end: &str| Layers::new(network.graph().clone(), end, &input).map_err(|unsupported| fail(unsupported.to_string()));
    let mut logits = network.softmax().is_some();
    let mut prepared = layers(network.end())?;
    if network.softmax().is_some_and(|softmax| !softmax.spans(prepared.output_shape())) {
        // A softmax that does not run over the classes is a layer like any other.
        prepared = layers(&network.graph().outputs[0])?;
        logits = false;
    }
    let raw = RawScores::new(model.card().output, prepared.outputs(), logits);
    model.check_classes(&file, raw.width)?;
    Ok((prepared, raw))
}

impl Classifier for Exact {
    fn classes(&self) -> usize {
        self.raw.classes()
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn slot_len(&self) -> usize {
        self.crops * self.network.inputs()
    }

    fn description(&self) -> String {
        // The version is part of a run's provenance.
        format!("{EXACT}{} on the CPU, {} crops", self.network.arithmetic(), self.crops)
    }

    fn same_everywhere(&self) -> bool {
        true
    }

    fn session(&self) -> Result<Box<dyn Session + '_>, ClassifyError> {
        Ok(Box::new(self.start(Scoring::Probabilities)))
    }

    fn session_for(&self, scoring: Scoring) -> Result<Option<Box<dyn Session + '_>>, ClassifyError> {
        Ok(scoring.fits(self.raw).then(|| Box::new(self.start(scoring)) as Box<dyn Session>))
    }
}

struct ExactSession<'a> {
    exact: &'a Exact,
    /// The input of all slots of the batch.
    pictures: Vec<f32>,
    workspace: Vec<F32x16>,
    /// The network's output for all crops of a picture.
    raw: Vec<f32>,
    finisher: Finisher,
}

impl Session for ExactSession<'_> {
    fn slot(&mut self, picture: usize) -> &mut [f32] {
        let len = self.exact.slot_len();
        &mut self.pictures[picture * len..][..len]
    }

    fn run(&mut self, filled: usize, scores: &mut [f32]) -> Result<Refusals, ClassifyError> {
        let Exact { raw, crops, batch, .. } = *self.exact;
        let classes = self.finisher.width();
        check_call(filled, batch, classes, scores);
        let mut refusals = Refusals::default();
        if filled == 0 {
            return Ok(refusals);
        }
        let network = &self.exact.network;
        network.run(&self.pictures, filled * crops, &mut self.workspace);
        for (slot, scores) in scores.chunks_exact_mut(classes).enumerate() {
            for (crop, numbers) in self.raw.chunks_exact_mut(raw.width).enumerate() {
                network.output(slot * crops + crop, &self.workspace, numbers);
            }
            if let Err(what) = self.finisher.finish(&self.raw, scores) {
                refusals.add(slot, what);
            }
        }
        Ok(refusals)
    }
}
