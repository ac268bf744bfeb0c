//! Runs the network on a GPU with tract.
//!
//! The whole graph processes the whole batch, hundreds of rows in each launch. It is rewritten first so that no node is left to the CPU
//! (see `onnx::device`). The final softmax is removed and computed in [`scores`](super::scores), as on the CPU.
//!
//! tract keeps a stream, library handles and scratch memory for convolutions in each thread. So every session has a thread of its own
//! ([`worker`]), which lives as long as the session and only talks to the device. While it waits, other threads draw: two or more sessions
//! overlap.

#[cfg(feature = "cuda")]
mod export;
#[cfg(feature = "cuda")]
mod planning;
mod report;
mod worker;

// Nothing in this crate is named. It registers its runtime when it is linked.
#[cfg(all(feature = "metal", target_os = "macos"))]
use tract_metal as _;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::runtime::{Runnable, Runtime};

use super::scores::{Finisher, RawScores};
use super::tract_cpu::TRACT_VERSION;
use super::{Classifier, ClassifyError, Device, Refusals, Scoring, Session, check_call};
use crate::model::{Model, ModelError};
use crate::onnx::MAX_ELEMENTS;
use crate::onnx::tract::{Refusal, Typed, concrete, contained, refusal, typed};
#[cfg(feature = "cuda")]
pub(crate) use export::export;
use report::Report;
use worker::Worker;

const ENGINE: &str = "tract on the GPU";
/// Rows (pictures times crops) in a batch: hundreds keep a device busy, and this number divides the default batch sizes of a run.
const ROWS: usize = 200;

/// A network on a GPU.
#[cfg_attr(not(any(feature = "cuda", feature = "metal")), allow(unreachable_pub, reason = "public with a GPU only"))]
#[derive(Debug)]
pub struct TractGpu {
    device: Device,
    runnable: Arc<dyn Runnable>,
    /// The shape of the input; its first axis is rows.
    shape: Vec<usize>,
    batch: usize,
    crops: usize,
    raw: RawScores,
    report: Report,
}

/// A graph ready for a backend.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) typed: Typed,
    /// What was changed for the device.
    #[cfg_attr(not(any(test, feature = "cuda")), expect(dead_code, reason = "for exports"))]
    pub(crate) changes: Vec<String>,
    /// The changed graph.
    #[cfg_attr(not(any(test, feature = "cuda")), expect(dead_code, reason = "for exports"))]
    pub(crate) graph: fooling_engine::Graph,
    /// The last softmax in single precision, even if the rest is in half precision.
    #[cfg_attr(not(any(test, feature = "cuda")), expect(dead_code, reason = "for exports"))]
    pub(crate) softmax: Option<crate::onnx::Softmax>,
}

/// Rewrites a model's graph for a number of rows, and infers its types.
pub(crate) fn prepare(model: &Model, rows: usize) -> Result<Prepared, ModelError> {
    let network = model.network()?;
    let (file, softmax) = (network.file().to_owned(), network.softmax().cloned());
    let shape = network.input_shape(rows);
    let (graph, changes) = network.for_device(&shape)?;
    let (rewritten, end) = (&graph, softmax.as_ref());
    let typed = contained(move || {
        let Typed { model, output, softmax_cut } = typed(rewritten, end, &shape)?;
        let model = model.into_decluttered().map_err(|error| refusal(&error))?;
        Ok(Typed { model, output, softmax_cut })
    });
    let typed = typed.map_err(|refusal| refusal.at(&file))?;
    Ok(Prepared { typed, changes, graph, softmax })
}

/// Pictures in a batch for a model: enough for [`ROWS`], or fewer if a tensor would be too large.
pub(crate) fn batch_for(model: &Model) -> Result<usize, ModelError> {
    let one = prepare(model, 1)?.typed.model;
    let volume = |fact: &TypedFact| concrete(fact).map_or(0, |shape| shape.iter().product::<usize>());
    let largest = one.nodes().iter().flat_map(|node| &node.outputs).map(|output| volume(&output.fact)).max().unwrap_or(1);
    let rows = (MAX_ELEMENTS / largest.max(1)).clamp(1, ROWS);
    Ok((rows / model.preprocess().crops()).max(1))
}

impl TractGpu {
    /// Prepares a model for batches of `batch` pictures on a GPU, or of the number that suits it.
    ///
    /// # Errors
    ///
    /// [`OpenError`](super::OpenError): the device or the network cannot be used.
    ///
    /// # Panics
    ///
    /// If `batch` is 0.
    #[cfg(any(feature = "cuda", feature = "metal"))]
    pub fn new(model: &Model, device: Device, batch: Option<usize>) -> Result<Self, super::OpenError> {
        device.check()?;
        let runtime = tract_onnx::tract_core::runtime::runtime_for_name(device.name());
        let runtime = runtime
            .ok()
            .flatten()
            .ok_or_else(|| super::Unavailable { device, missing: "this build of tract does not have the runtime".into() })?;
        let batch = batch.map_or_else(|| batch_for(model), Ok)?;
        Ok(Self::with_runtime(model, device, runtime, batch)?)
    }

    fn with_runtime(model: &Model, device: Device, runtime: &dyn Runtime, batch: usize) -> Result<Self, ModelError> {
        assert!(batch > 0, "a batch holds at least one picture");
        let crops = model.preprocess().crops();
        let network = model.network()?;
        let file = network.file().to_owned();
        let rows = batch.saturating_mul(crops);
        if rows.saturating_mul(model.preprocess().slot_len() / crops) > MAX_ELEMENTS {
            let problem = format!("a batch of {batch} pictures is too large; choose a smaller batch");
            return Err(ModelError::network(&file, "batch", problem));
        }
        // Most of tract's optimisation passes are the same on every device. What they break is found on the CPU.
        super::TractCpu::new(model, 1)?;
        let Typed { model: graph, output, softmax_cut } = prepare(model, rows)?.typed;
        let raw = RawScores::new(model.card().output, output.iter().product(), softmax_cut);
        model.check_classes(&file, raw.width)?;
        let shape = network.input_shape(rows);
        // Nothing in it is used after a panic.
        let prepared = contained(AssertUnwindSafe(move || runtime.prepare(graph).map_err(|error| Refusal::of(error_text(&error)))));
        let runnable: Arc<dyn Runnable> =
            Arc::from(prepared.map_err(|problem| ModelError::network(&file, "engine (tract on the GPU)", problem.to_string()))?);
        let report = runnable.typed_model().map(|model| Report::of(model)).unwrap_or_default();
        Ok(Self { device, runnable, shape, batch, crops, raw, report })
    }
}

/// A device error with all its causes, as one line of at most 400 characters: it is about drivers and libraries, not about the network.
fn error_text(error: &TractError) -> String {
    let text = format!("{error:#}");
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = line.take(400).collect();
    if text.len() > line.len() {
        line.push_str(" ...");
    }
    line
}

impl Classifier for TractGpu {
    fn classes(&self) -> usize {
        self.raw.classes()
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn slot_len(&self) -> usize {
        self.crops * self.shape[1..].iter().product::<usize>()
    }

    fn description(&self) -> String {
        // Starts with the device, so it cannot be mistaken for an engine of the CPU.
        format!("{} through tract {TRACT_VERSION}, batch {} x {} crops", self.device, self.batch, self.crops)
    }

    fn device(&self) -> Device {
        self.device
    }

    fn remark(&self) -> Option<String> {
        let slow = self.report.slow();
        (!slow.is_empty()).then(|| {
            format!(
                "{} of the network's nodes run slowly on {}, or not on it: {}; list them with: fooling models export --device {0}",
                slow.len(),
                self.device,
                slow.join(", ")
            )
        })
    }

    fn session(&self) -> Result<Box<dyn Session + '_>, ClassifyError> {
        Ok(Box::new(self.start(Scoring::Probabilities)?))
    }

    fn session_for(&self, scoring: Scoring) -> Result<Option<Box<dyn Session + '_>>, ClassifyError> {
        if scoring.fits(self.raw) { Ok(Some(Box::new(self.start(scoring)?))) } else { Ok(None) }
    }
}

impl TractGpu {
    fn start(&self, scoring: Scoring) -> Result<GpuSession<'_>, ClassifyError> {
        let input = Tensor::zero::<f32>(&self.shape).map_err(|error| failure(error_text(&error)))?;
        let worker = Worker::new(self.runnable.clone(), &self.shape).map_err(failure)?;
        let finisher = Finisher::new(self.raw, scoring);
        Ok(GpuSession { gpu: self, worker, input: input.into_arc_tensor(), drawn: false, finisher })
    }
}

fn failure(problem: String) -> ClassifyError {
    ClassifyError::Engine { engine: ENGINE, problem }
}

struct GpuSession<'a> {
    gpu: &'a TractGpu,
    worker: Worker,
    /// The input of all slots. The worker borrows it for a run and returns it.
    input: Arc<Tensor>,
    /// Whether the pictures are already on the device.
    drawn: bool,
    finisher: Finisher,
}

impl Session for GpuSession<'_> {
    fn slot(&mut self, picture: usize) -> &mut [f32] {
        self.drawn = false;
        let len = self.gpu.slot_len();
        // Other references to the tensor exist only after a failed run, and then a copy does no harm.
        let input = Arc::make_mut(&mut self.input);
        let numbers = input.to_plain_array_view_mut::<f32>().expect("made of f32 in plain memory");
        &mut numbers.into_slice().expect("made contiguous")[picture * len..][..len]
    }

    fn run(&mut self, filled: usize, scores: &mut [f32]) -> Result<Refusals, ClassifyError> {
        let (width, crops, classes) = (self.gpu.raw.width, self.gpu.crops, self.finisher.width());
        check_call(filled, self.gpu.batch, classes, scores);
        if filled == 0 {
            return Ok(Refusals::default());
        }
        let input = (!self.drawn).then(|| self.input.clone());
        let raw = self.worker.infer(input).map_err(failure)?;
        let expected = self.gpu.batch * crops * width;
        if raw.len() != expected {
            return Err(ClassifyError::ScoreCount { engine: ENGINE, expected, found: raw.len() });
        }
        let mut refusals = Refusals::default();
        let rows = raw.chunks_exact(crops * width).zip(scores.chunks_exact_mut(classes));
        for (slot, (raw, scores)) in rows.enumerate() {
            if let Err(what) = self.finisher.finish(raw, scores) {
                refusals.add(slot, what);
            }
        }
        Ok(refusals)
    }

    #[cfg(feature = "cuda")]
    fn painter(&mut self) -> Option<&mut dyn super::Painter> {
        if self.gpu.device == Device::Cuda { Some(self) } else { None }
    }
}

#[cfg(feature = "cuda")]
impl super::Painter for GpuSession<'_> {
    fn draw(
        &mut self,
        genomes: &[&fooling_core::StandardGenome],
        picture: fooling_core::PictureSpec,
        preprocess: &crate::model::Preprocess,
    ) -> Result<(), ClassifyError> {
        assert!(genomes.len() <= self.gpu.batch, "{} pictures in a batch of {}", genomes.len(), self.gpu.batch);
        self.worker.draw(genomes, picture, preprocess).map_err(failure)?;
        self.drawn = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
