//! The network on the CPU, in arithmetic of our own: the same scores to the last bit on every machine.
//!
//! An engine that picks its kernels by CPU adds in another order on another CPU, and its scores differ in their last bits. Here the order
//! of every sum is fixed (see [`convolution`]), and all operations are IEEE's. So a run is the same run everywhere, whatever the
//! CPU, the number of threads, or the batch. It is also faster than the general engine on what it knows: the layers of picture classifiers.
//! What it does not know, [`Exact::new`] refuses, and [`open`](super::open) goes on with tract.

mod convolution;
mod graph;
mod layers;
mod layout;
mod plan;
#[cfg(test)]
mod random_graphs;
#[cfg(test)]
mod tests;

use super::scores::{Finisher, Raw};
use super::{BATCH, Classifier, ClassifyError, Refusals, Session, check_call};
use crate::model::network::MAX_ELEMENTS;
use crate::model::{Layout as Axes, Model, ModelError, Output};
use convolution::Convolve;
use fooling_engine::simd::{F32x16, Instructions, LANES, dispatch};
use layers::{Average, Combine, Deepen, Normalise, Shrink};
use layout::Layout;
use plan::{HeadStep, Place, Plan, Step};

/// Goes up when the bits of the scores change.
const VERSION: u32 = 1;

/// A network on the CPU, by the engine of this crate.
#[derive(Debug)]
pub struct Exact {
    plan: Plan,
    batch: usize,
    crops: usize,
    classes: usize,
    raw: Raw,
    instructions: Instructions,
}

impl Exact {
    /// Prepares a model, for as many pictures at once as suit it.
    ///
    /// # Errors
    ///
    /// [`ModelError`]: the file has changed since the model was loaded; a layer that this engine does not have; another number of classes than
    /// there are labels; tensors or work beyond all bounds.
    pub fn new(model: &Model) -> Result<Self, ModelError> {
        Self::build(model, None, Instructions::widest())
    }

    /// The same for batches of `batch` pictures, and with certain instructions. Neither changes a bit of the scores.
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
            return Err(fail("the input's channels come last".into()));
        }
        let crops = model.preprocess().crops();
        let [_, channels, height, width] = model.preprocess().shape(1);
        let graph = graph::lower(network.graph(), network.facts().softmax.as_ref(), [channels, height, width]);
        let graph = graph.map_err(|unsupported| fail(unsupported.0))?;
        let classes = graph.shapes[graph.output].len();
        model.check_classes(&file, classes)?;
        // Dense layers want a batch, to read their weights but once for it. Else a picture is best scored while it is in the cache.
        let has_head = graph.layers.iter().any(|layer| matches!(layer.operation, graph::Operation::Dense(_)));
        let batch = batch.unwrap_or(if has_head { BATCH } else { 1 });
        let rows = batch.saturating_mul(crops);
        if rows.saturating_mul(channels * height * width) > MAX_ELEMENTS {
            return Err(fail(format!("{batch} pictures at once are too large; choose a smaller batch")));
        }
        let logits = graph.softmax_cut || model.card().output == Output::Logits;
        let raw = if logits { Raw::Logits } else { Raw::Probabilities };
        let plan = plan::plan(&graph, rows, instructions).map_err(|unsupported| fail(unsupported.0))?;
        Ok(Self { plan, batch, crops, classes, raw, instructions })
    }

    fn crop_len(&self) -> usize {
        let Layout { channels, height, width, .. } = self.plan.input;
        channels * height * width
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
        self.crops * self.crop_len()
    }

    fn description(&self) -> String {
        format!("exact {VERSION} on the CPU, {} crops", self.crops)
    }

    fn same_everywhere(&self) -> bool {
        true
    }

    fn session(&self) -> Result<Box<dyn Session + '_>, ClassifyError> {
        let plan = &self.plan;
        Ok(Box::new(ExactSession {
            exact: self,
            pictures: vec![0.0; self.batch * self.slot_len()],
            padded: if plan.input.len() == self.crop_len() { Vec::new() } else { vec![0.0; plan.input.len()] },
            slots: plan.slots.iter().map(|&lines| vec![F32x16::ZERO; lines]).collect(),
            vectors: plan.vectors.iter().map(|&len| vec![F32x16::ZERO; layout::blocks_of(len) * plan.rows]).collect(),
            scratch: vec![0.0; plan.scratch],
            raw: vec![0.0; self.crops * self.classes],
            finisher: Finisher::new(self.raw, self.classes),
        }))
    }
}

struct ExactSession<'a> {
    exact: &'a Exact,
    /// The input of all slots of the batch.
    pictures: Vec<f32>,
    /// A picture with its halo; empty if it has none.
    padded: Vec<f32>,
    /// What the body's layers make.
    slots: Vec<Vec<F32x16>>,
    /// Vectors: for each block a line for each row.
    vectors: Vec<Vec<F32x16>>,
    scratch: Vec<f32>,
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
        (0..filled * crops).for_each(|row| self.run_body(row));
        self.run_head();
        for (slot, scores) in scores.chunks_exact_mut(classes).enumerate() {
            self.fetch(slot);
            if let Err(what) = self.finisher.finish(&self.raw, scores) {
                refusals.add(slot, what);
            }
        }
        Ok(refusals)
    }
}

impl ExactSession<'_> {
    /// Runs the body for one crop.
    fn run_body(&mut self, row: usize) {
        self.pad(row);
        for step in &self.exact.plan.body {
            self.step(step, row);
        }
    }

    /// Gives a crop its halo, if it needs one.
    fn pad(&mut self, row: usize) {
        if self.padded.is_empty() {
            return;
        }
        let (layout, len) = (self.exact.plan.input, self.exact.crop_len());
        for (number, pixels) in self.pictures[row * len..][..len].chunks_exact(layout.width).enumerate() {
            let at = layout.at(number / layout.height, number % layout.height, 0);
            self.padded[at..][..layout.width].copy_from_slice(pixels);
        }
    }

    fn step(&mut self, step: &Step, row: usize) {
        let set = self.exact.instructions;
        match step {
            Step::ClearHalo(place) => place.layout.clear_halo(&mut self.slots[place.slot], F32x16::ZERO),
            Step::First(convolution, to) => {
                let mut output = std::mem::take(&mut self.slots[to.slot]);
                let len = self.exact.crop_len();
                let input = if self.padded.is_empty() { &self.pictures[row * len..][..len] } else { &self.padded };
                dispatch(set, Convolve { convolution, input, output: &mut output[to.at..] });
                self.slots[to.slot] = output;
            }
            Step::Convolution(convolution, from, to) => self.make(*to, |session, output| {
                dispatch(set, Convolve { convolution, input: session.at(*from), output });
            }),
            Step::Depthwise(layer, from, to) => self.make(*to, |session, output| {
                dispatch(set, Deepen { layer, input: session.at(*from), output });
            }),
            Step::Pool(layer, from, to) => self.make(*to, |session, output| {
                dispatch(set, Shrink { layer, input: session.at(*from), output });
            }),
            Step::Lrn(lrn, from, to) => {
                let mut squares = std::mem::take(&mut self.scratch);
                self.make(*to, |session, output| {
                    squares.fill(0.0);
                    let input = session.at(*from);
                    dispatch(set, Normalise { lrn: *lrn, from: from.layout, to: to.layout, input, output, squares: &mut squares });
                });
                self.scratch = squares;
            }
            Step::Combine(range, from, other, to) => self.make(*to, |session, output| {
                let other = other.map(|other| (other.layout, session.at(other)));
                let input = session.at(*from);
                dispatch(set, Combine { range: *range, from: from.layout, to: to.layout, input, other, output });
            }),
            Step::Copy(from, to, channel) => {
                self.make(*to, |session, output| copy(session.at(*from), from.layout, output, to.layout, *channel));
            }
            Step::GlobalAverage(from, vector) => {
                let mut output = std::mem::take(&mut self.vectors[*vector]);
                let step = self.exact.plan.rows;
                dispatch(set, Average { layout: from.layout, input: self.at(*from), output: &mut output[row..], step });
                self.vectors[*vector] = output;
            }
            Step::Flatten(from, vector) => {
                let mut output = std::mem::take(&mut self.vectors[*vector]);
                flatten(self.at(*from), from.layout, &mut output[row..], self.exact.plan.rows);
                self.vectors[*vector] = output;
            }
        }
    }

    /// The lines of a picture, from its first block on.
    fn at(&self, place: Place) -> &[F32x16] {
        &self.slots[place.slot][place.at..]
    }

    /// Lets `work` write the picture at a place; it reads others, which lie in other slots.
    fn make(&mut self, to: Place, work: impl FnOnce(&Self, &mut [F32x16])) {
        let mut output = std::mem::take(&mut self.slots[to.slot]);
        work(self, &mut output[to.at..]);
        self.slots[to.slot] = output;
    }

    fn run_head(&mut self) {
        let set = self.exact.instructions;
        for step in &self.exact.plan.head {
            let (HeadStep::Dense(_, _, to) | HeadStep::Combine(_, _, _, to)) = step;
            let mut output = std::mem::take(&mut self.vectors[*to]);
            match step {
                HeadStep::Dense(convolution, from, _) => {
                    dispatch(set, Convolve { convolution, input: &self.vectors[*from][..], output: &mut output });
                }
                HeadStep::Combine(range, from, other, to) => {
                    let layout = Layout::bare(self.exact.plan.vectors[*to], 1, self.exact.plan.rows);
                    let other = other.map(|other| (layout, &self.vectors[other][..]));
                    let input = &self.vectors[*from];
                    dispatch(set, Combine { range: *range, from: layout, to: layout, input, other, output: &mut output });
                }
            }
            self.vectors[*to] = output;
        }
    }

    /// Takes the output for all crops of a picture out of its vector.
    fn fetch(&mut self, slot: usize) {
        let Exact { plan, classes, crops, .. } = self.exact;
        let vector = &self.vectors[plan.output];
        for (crop, raw) in self.raw.chunks_exact_mut(*classes).enumerate() {
            let lines = vector[slot * crops + crop..].iter().step_by(plan.rows);
            for (raw, line) in raw.chunks_mut(LANES).zip(lines) {
                raw.copy_from_slice(&line.0[..raw.len()]);
            }
        }
    }
}

/// Puts the channels of one picture into another, where they begin with number `channel`.
fn copy(from: &[F32x16], from_layout: Layout, to: &mut [F32x16], to_layout: Layout, channel: usize) {
    for here in 0..from_layout.channels {
        let there = channel + here;
        for y in 0..from_layout.height {
            let pixels = &from[from_layout.at(here / LANES, y, 0)..][..from_layout.width];
            let places = &mut to[to_layout.at(there / LANES, y, 0)..][..from_layout.width];
            for (place, pixel) in places.iter_mut().zip(pixels) {
                place.0[there % LANES] = pixel.0[here % LANES];
            }
        }
    }
}

/// Writes a picture as channels x rows x columns into a vector's row: a lane of a line every `step` lines.
fn flatten(picture: &[F32x16], layout: Layout, vector: &mut [F32x16], step: usize) {
    let mut number = 0;
    for channel in 0..layout.channels {
        for y in 0..layout.height {
            for pixel in &picture[layout.at(channel / LANES, y, 0)..][..layout.width] {
                vector[number / LANES * step].0[number % LANES] = pixel.0[channel % LANES];
                number += 1;
            }
        }
    }
}
