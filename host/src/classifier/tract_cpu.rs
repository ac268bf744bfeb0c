//! Runs the network on the CPU with tract.
//!
//! tract plans a graph for one input shape and runs it on the calling thread. A run uses all cores by giving each worker a session; all
//! sessions share the plans and their weights.
//!
//! A network is run in two parts. Its **body**, convolutions and pooling, processes one crop after another: for a single picture tract
//! multiplies in place and fuses biases and activations, for more it transposes before and after each convolution (in a batch of 16,
//! SqueezeNet takes 1.7 times as long per picture, MobileNet twice as long). Its **head**, the dense layers at the end, processes the whole
//! batch at once, so that their weights (235 MB of AlexNet's 244) are read once per batch.
//!
//! The final softmax is removed and computed in [`scores`](super::scores): tract's own differs between CPUs, while the layers before it
//! give the same bits on all x86-64 CPUs with FMA, for fixed batches of body and head.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::TypedOp;
use tract_onnx::tract_core::plan::SimpleState;

use super::scores::{Finisher, RawScores};
use super::{Classifier, ClassifyError, Refusals, Scoring, Session, check_call};
use crate::model::{Model, ModelError};
use crate::onnx::Network;
use crate::onnx::tract::{Planned, check_optimised, compile};

const ENGINE: &str = "tract";
/// A test compares this with Cargo.lock.
pub(super) const TRACT_VERSION: &str = "0.23.9";
/// The number of crops that the body processes at once; see the module documentation.
const BODY_BATCH: usize = 1;

type State = SimpleState<TypedFact, Box<dyn TypedOp>>;

/// A network on the CPU.
#[derive(Debug)]
pub struct TractCpu {
    body: Planned,
    head: Option<Planned>,
    batch: usize,
    crops: usize,
    raw: RawScores,
}

impl TractCpu {
    /// Prepares a model for batches of `batch` pictures. 16 is a good choice for all networks tried: small enough to share a generation
    /// evenly among threads, large enough for the dense layers of AlexNet.
    ///
    /// # Errors
    ///
    /// [`ModelError`]: the file has changed since the model was loaded; tract does not support an operator, shape or type; the number of
    /// classes is not the number of labels; tensors or work exceed the limits.
    ///
    /// # Panics
    ///
    /// If `batch` is 0.
    pub fn new(model: &Model, batch: usize) -> Result<Self, ModelError> {
        Self::build(model, batch, BODY_BATCH)
    }

    fn build(model: &Model, batch: usize, body_batch: usize) -> Result<Self, ModelError> {
        assert!(batch > 0, "a batch holds at least one picture");
        let crops = model.preprocess().crops();
        let mut network = model.network()?;
        network.widen();
        let file = network.file().to_owned();
        let as_it_is = network.clone();
        network.fold();
        let shape = network.input_shape(body_batch);
        let (body, head) = network.split();
        let body = compile(body, &shape)?;
        let rows = batch.saturating_mul(crops);
        let head = head.map(|head| compile(head, &[&[rows], &body.output[..]].concat())).transpose()?;
        let last = head.as_ref().unwrap_or(&body);
        let raw = RawScores::new(model.card().output, last.outputs(), last.softmax_cut);
        model.check_classes(&file, raw.width)?;
        let cpu = Self { body, head, batch, crops, raw };
        cpu.check_buffers().map_err(|problem| ModelError::network(&file, "batch", problem))?;
        if cpu.body.rewritten || cpu.head.as_ref().is_some_and(|head| head.rewritten) {
            cpu.probe().map_err(|problem| ModelError::network(&file, "batch", problem))?;
        }
        cpu.check_optimised(&as_it_is, &model.preprocess().test_pictures())?;
        Ok(cpu)
    }

    /// Compares a few scores before the softmax with those of the unoptimised graph.
    fn check_optimised(&self, network: &Network, pictures: &[Vec<f32>]) -> Result<(), ModelError> {
        let softmax_cut = self.head.as_ref().unwrap_or(&self.body).softmax_cut;
        let fail = |error: ClassifyError| ModelError::network(network.file(), "engine (tract)", error.to_string());
        let mut session = self.start(Scoring::Probabilities).map_err(fail)?;
        let mut outputs = Vec::with_capacity(pictures.len());
        for picture in pictures {
            session.slot(0)[..picture.len()].copy_from_slice(picture);
            session.infer(1).map_err(fail)?;
            outputs.push(session.raw[..self.raw.width].to_vec());
        }
        check_optimised(network, pictures, softmax_cut, &outputs)
    }

    /// Checks that the pictures and scores of a batch fit into the memory that a session may use.
    fn check_buffers(&self) -> Result<(), String> {
        let crop = self.crop_len().max(self.raw.width);
        let numbers = crop.checked_mul(self.crops).and_then(|picture| picture.checked_mul(self.batch));
        if numbers.is_some_and(|numbers| numbers <= crate::onnx::MAX_ELEMENTS) {
            return Ok(());
        }
        Err(format!("{} pictures at once are too large; choose a smaller batch", self.batch))
    }

    fn crop_len(&self) -> usize {
        self.body.shape[1..].iter().product()
    }

    fn start(&self, scoring: Scoring) -> Result<TractSession<'_>, ClassifyError> {
        Ok(TractSession {
            cpu: self,
            pictures: vec![0.0; self.batch * self.slot_len()],
            body: Part::new(&self.body)?,
            head: self.head.as_ref().map(Part::new).transpose()?,
            raw: vec![0.0; self.batch * self.crops * self.raw.width],
            finisher: Finisher::new(self.raw, scoring),
        })
    }

    /// Tests that the pictures of a batch are independent, for a graph that was exported for another batch size: a picture must get the
    /// same bits in another slot with other neighbours.
    fn probe(&self) -> Result<(), String> {
        if self.batch == 1 {
            return Ok(());
        }
        let mut session = self.start(Scoring::Probabilities).map_err(|error| error.to_string())?;
        let mut score = |first: f32, last: f32, at: usize| {
            (0..self.batch).for_each(|slot| session.slot(slot).fill(0.0));
            fill_pattern(session.slot(0), first);
            fill_pattern(session.slot(self.batch - 1), last);
            let classes = self.raw.classes();
            let mut scores = vec![0.0; self.batch * classes];
            // A refused picture gets NaN in both runs; the search will meet it again and count it.
            let _refusals = session.run(self.batch, &mut scores).map_err(|error| error.to_string())?;
            let scores = &scores[at * classes..][..classes];
            Ok::<_, String>(scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>())
        };
        if score(1.0, -0.5, 0)? == score(0.0, 1.0, self.batch - 1)? {
            return Ok(());
        }
        Err("the network was exported for one picture at a time, and the pictures of a batch influence each other; export it with a \
             symbolic batch size"
            .into())
    }
}

/// A picture for [`TractCpu::probe`].
fn fill_pattern(slot: &mut [f32], factor: f32) {
    for (i, number) in (0..=255_u8).cycle().zip(slot) {
        *number = factor * f32::from(i.wrapping_mul(37)) / 256.0;
    }
}

impl Classifier for TractCpu {
    fn classes(&self) -> usize {
        self.raw.classes()
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn slot_len(&self) -> usize {
        self.crops * self.crop_len()
    }

    fn description(&self) -> String {
        let head = if self.head.is_some() { ", dense layers separate" } else { "" };
        format!("tract {TRACT_VERSION} on the CPU, batch {} x {} crops{head}", self.batch, self.crops)
    }

    fn session(&self) -> Result<Box<dyn Session + '_>, ClassifyError> {
        Ok(Box::new(self.start(Scoring::Probabilities)?))
    }

    fn session_for(&self, scoring: Scoring) -> Result<Option<Box<dyn Session + '_>>, ClassifyError> {
        if scoring.fits(self.raw) { Ok(Some(Box::new(self.start(scoring)?))) } else { Ok(None) }
    }
}

fn failure(problem: String) -> ClassifyError {
    ClassifyError::Engine { engine: ENGINE, problem }
}

/// tract's own message is about its internals.
fn engine_error(_: &TractError) -> ClassifyError {
    failure("it cannot run the network".into())
}

struct TractSession<'a> {
    cpu: &'a TractCpu,
    /// The input of all slots.
    pictures: Vec<f32>,
    body: Part<'a>,
    head: Option<Part<'a>>,
    /// The network's output for all crops of all slots.
    raw: Vec<f32>,
    finisher: Finisher,
}

impl TractSession<'_> {
    /// Runs the body over the first `filled` pictures, and the head, if there is one, over the whole batch.
    fn infer(&mut self, filled: usize) -> Result<(), ClassifyError> {
        let crop_len = self.cpu.crop_len();
        let crops = filled * self.cpu.crops;
        let step = self.cpu.body.shape[0];
        let outputs = self.cpu.body.outputs();
        for first in (0..crops).step_by(step) {
            let count = step.min(crops - first);
            let pictures = &self.pictures[first * crop_len..][..count * crop_len];
            self.body.input()[..pictures.len()].copy_from_slice(pictures);
            let to = self.head.as_mut().map_or(&mut self.raw[..], Part::input);
            self.body.run(&mut to[first * outputs..][..count * outputs])?;
        }
        match &mut self.head {
            Some(head) => head.run(&mut self.raw),
            None => Ok(()),
        }
    }
}

impl Session for TractSession<'_> {
    fn slot(&mut self, picture: usize) -> &mut [f32] {
        let len = self.cpu.slot_len();
        &mut self.pictures[picture * len..][..len]
    }

    fn run(&mut self, filled: usize, scores: &mut [f32]) -> Result<Refusals, ClassifyError> {
        let (raw, crops) = (self.cpu.raw, self.cpu.crops);
        let classes = self.finisher.width();
        check_call(filled, self.cpu.batch, classes, scores);
        if filled == 0 {
            return Ok(Refusals::default());
        }
        self.infer(filled)?;
        let mut refusals = Refusals::default();
        let rows = self.raw.chunks_exact(crops * raw.width).zip(scores.chunks_exact_mut(classes));
        for (slot, (raw, scores)) in rows.enumerate() {
            if let Err(what) = self.finisher.finish(raw, scores) {
                refusals.add(slot, what);
            }
        }
        Ok(refusals)
    }
}

/// A part of the network with its state.
struct Part<'a> {
    planned: &'a Planned,
    /// `None` after a panic inside the engine.
    state: Option<State>,
    /// The engine borrows it for a run and returns it, so it is allocated only once.
    input: Arc<Tensor>,
}

impl<'a> Part<'a> {
    fn new(planned: &'a Planned) -> Result<Self, ClassifyError> {
        let state = planned.plan.spawn().map_err(|error| engine_error(&error))?;
        let input = Tensor::zero::<f32>(&planned.shape).map_err(|error| engine_error(&error))?;
        Ok(Self { planned, state: Some(state), input: input.into_arc_tensor() })
    }

    fn input(&mut self) -> &mut [f32] {
        // Other references to the tensor exist only after a failed run, and then a copy does no harm.
        let input = Arc::make_mut(&mut self.input);
        let numbers = input.to_plain_array_view_mut::<f32>().expect("made of f32 in plain memory");
        numbers.into_slice().expect("made contiguous")
    }

    /// Runs the part and writes the first numbers of its output to `to`.
    fn run(&mut self, to: &mut [f32]) -> Result<(), ClassifyError> {
        let output = self.eval()?;
        let output = output.try_as_plain_ram().map_err(|error| engine_error(&error))?;
        let numbers = output.as_slice::<f32>().map_err(|error| engine_error(&error))?;
        let expected = self.planned.shape[0] * self.planned.outputs();
        if numbers.len() != expected {
            return Err(ClassifyError::ScoreCount { engine: ENGINE, expected, found: numbers.len() });
        }
        to.copy_from_slice(&numbers[..to.len()]);
        Ok(())
    }

    fn eval(&mut self) -> Result<TValue, ClassifyError> {
        let Some(state) = &mut self.state else {
            return Err(failure("it panicked in an earlier batch".into()));
        };
        let input = self.input.clone().into_tvalue();
        let _quiet = crate::util::panics::silence();
        match catch_unwind(AssertUnwindSafe(|| state.run(tvec![input]))) {
            Ok(Ok(mut outputs)) => outputs.pop().ok_or_else(|| failure("no output".into())),
            Ok(Err(error)) => Err(engine_error(&error)),
            Err(_) => {
                self.state = None;
                Err(failure("it panicked, which is a bug in tract".into()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
