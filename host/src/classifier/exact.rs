//! Runs the network on the CPU with our own arithmetic: the same scores to the last bit on every machine.
//!
//! An engine that picks its kernels by CPU adds in another order on another CPU, and its scores differ in their last bits. In
//! [`fooling_engine`] the order of every sum is fixed, and all operations are IEEE's. So a run is the same run everywhere, whatever the
//! CPU, the number of threads, or the batch. It is also faster than the general engine on what it knows: the layers of picture classifiers.
//! What it does not know, [`Exact::new`] refuses, and [`open`](super::open) continues with tract.

mod convert;
#[cfg(test)]
mod random_graphs;
#[cfg(test)]
mod tests;

use fooling_engine::simd::{F32x16, Instructions};
use fooling_engine::{Layers, MAX_ELEMENTS, Network};

use super::scores::{Finisher, Raw};
use super::{BATCH, Classifier, ClassifyError, Refusals, Session, check_call};
use crate::model::{Layout as Axes, Model, ModelError, Output};

/// Increased when the bits of the scores change.
const VERSION: u32 = 1;

/// A network on the CPU, run by this crate's engine.
#[derive(Debug)]
pub struct Exact {
    network: Network,
    batch: usize,
    crops: usize,
    classes: usize,
    raw: Raw,
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

    /// The same for batches of `batch` pictures, and with a given instruction set. Neither changes a bit of the scores.
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

    fn build(model: &Model, batch: Option<usize>, instructions: Instructions) -> Result<Self, ModelError> {
        let network = model.network()?;
        let file = network.file().to_owned();
        let fail = |problem: String| ModelError::network(&file, "engine (exact)", problem);
        if model.card().input.layout != Axes::Nchw {
            return Err(fail("the input is channels-last".into()));
        }
        let crops = model.preprocess().crops();
        let [_, channels, height, width] = model.preprocess().shape(1);
        let graph = convert::graph(network.graph(), network.opset());
        let softmax = network.facts().softmax.as_ref();
        let end = softmax.map_or(&network.graph().output[0].name, |softmax| &softmax.logits);
        let layers = Layers::new(&graph, end, [channels, height, width]).map_err(|unsupported| fail(unsupported.to_string()))?;
        if softmax.is_some_and(|softmax| !softmax.spans(layers.output_shape())) {
            return Err(fail("the softmax is not over the classes".into()));
        }
        let classes = layers.outputs();
        model.check_classes(&file, classes)?;
        let batch = batch.unwrap_or(if layers.wants_batch() { BATCH } else { 1 });
        let rows = batch.saturating_mul(crops);
        if rows.saturating_mul(channels * height * width) > MAX_ELEMENTS {
            return Err(fail(format!("a batch of {batch} pictures is too large; choose a smaller batch")));
        }
        let logits = softmax.is_some() || model.card().output == Output::Logits;
        let raw = if logits { Raw::Logits } else { Raw::Probabilities };
        let network = Network::new(&layers, rows, instructions).map_err(|unsupported| fail(unsupported.to_string()))?;
        Ok(Self { network, batch, crops, classes, raw })
    }
}

impl Classifier for Exact {
    fn classes(&self) -> usize {
        self.classes
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn slot_len(&self) -> usize {
        self.crops * self.network.inputs()
    }

    fn description(&self) -> String {
        format!("exact {VERSION} on the CPU, {} crops", self.crops)
    }

    fn same_everywhere(&self) -> bool {
        true
    }

    fn session(&self) -> Result<Box<dyn Session + '_>, ClassifyError> {
        Ok(Box::new(ExactSession {
            exact: self,
            pictures: vec![0.0; self.batch * self.slot_len()],
            workspace: self.network.workspace(),
            raw: vec![0.0; self.crops * self.classes],
            finisher: Finisher::new(self.raw, self.classes),
        }))
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
        let Exact { classes, crops, batch, .. } = *self.exact;
        check_call(filled, batch, classes, scores);
        let mut refusals = Refusals::default();
        if filled == 0 {
            return Ok(refusals);
        }
        let network = &self.exact.network;
        network.run(&self.pictures, filled * crops, &mut self.workspace);
        for (slot, scores) in scores.chunks_exact_mut(classes).enumerate() {
            for (crop, raw) in self.raw.chunks_exact_mut(classes).enumerate() {
                network.output(slot * crops + crop, &self.workspace, raw);
            }
            if let Err(what) = self.finisher.finish(&self.raw, scores) {
                refusals.add(slot, what);
            }
        }
        Ok(refusals)
    }
}
