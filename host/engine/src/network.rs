//! A prepared network, and how its steps are run in a workspace.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use crate::error::Result;
use crate::graph::Graph;
use crate::ir::LayerKind;
use crate::kernels::convolution::ConvolutionKernel;
use crate::kernels::copy::{copy_channels, flatten};
use crate::kernels::depthwise::DepthwiseKernel;
use crate::kernels::lrn::LrnKernel;
use crate::kernels::pointwise::AddKernel;
use crate::kernels::pool::{GlobalAverageKernel, PoolKernel};
use crate::lower::{Lowered, lower};
use crate::plan::{BodyStep, Buffer, HeadStep, Plan, plan};
use crate::simd::{F32x16, Instructions, LANES, dispatch, floats_mut};

/// A network as layers, not yet laid out for a number of pictures and a set of instructions.
#[derive(Debug)]
pub struct Layers(Lowered);

impl Layers {
    /// Makes layers of a graph, up to the value `output`, for pictures of `input` channels, rows and columns.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::Unsupported): a layer that the engine does not have; tensors or work beyond all bounds.
    pub fn new(graph: &Graph, output: &str, input: [usize; 3]) -> Result<Self> {
        lower(graph, output, input).map(Self)
    }

    /// How many numbers come out for a picture.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.0.shapes[self.0.output].len()
    }

    /// The shape of the output as ONNX has it, with a batch of 1.
    #[must_use]
    pub fn output_shape(&self) -> &[usize] {
        &self.0.output_dims
    }

    /// Whether several pictures at once are faster: weights of dense layers are then read once for all. Without dense layers a picture is
    /// best scored while it is in the cache.
    #[must_use]
    pub fn wants_batch(&self) -> bool {
        self.0.layers.iter().any(|layer| matches!(layer.kind, LayerKind::Dense(_)))
    }
}

/// A network ready to run, for a fixed number of pictures at once. Neither that number nor the instructions change a bit of what comes out.
#[derive(Debug)]
pub struct Network {
    plan: Plan,
    instructions: Instructions,
}

impl Network {
    /// Lays a network out for `rows` pictures at once.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::Unsupported) if that takes more memory than any network may.
    pub fn new(layers: &Layers, rows: usize, instructions: Instructions) -> Result<Self> {
        Ok(Self { plan: plan(&layers.0, rows, instructions)?, instructions })
    }

    /// Numbers of a picture: channels x rows x columns.
    #[must_use]
    pub fn inputs(&self) -> usize {
        let layout = self.plan.input;
        layout.channels * layout.height * layout.width
    }

    /// Numbers that come out for a picture.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.plan.output.layout.channels
    }

    /// Pictures at once.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.plan.rows
    }

    /// The memory that [`Self::run`] takes, in units of sixteen numbers.
    #[must_use]
    pub fn workspace_len(&self) -> usize {
        self.plan.workspace
    }

    /// That memory.
    #[must_use]
    pub fn workspace(&self) -> Vec<F32x16> {
        vec![F32x16::ZERO; self.workspace_len()]
    }

    /// Runs the network on the first `filled` of `pictures`, one after another. What comes out is to be fetched by [`Self::output`].
    /// Allocates nothing.
    ///
    /// # Panics
    ///
    /// If the workspace is smaller than [`Self::workspace_len`], if `filled` is more than [`Self::rows`], or if there are fewer pictures.
    pub fn run(&self, pictures: &[f32], filled: usize, workspace: &mut [F32x16]) {
        assert!(filled <= self.plan.rows, "{filled} pictures in {} rows", self.plan.rows);
        let inputs = self.inputs();
        for row in 0..filled {
            self.run_body(&pictures[row * inputs..][..inputs], row, workspace);
        }
        for (step, to) in &self.plan.head {
            let (output, workspace) = Workspace::split(workspace, to.range());
            self.run_head_step(step, *to, &workspace, output);
        }
    }

    /// Writes what came out for a picture.
    ///
    /// # Panics
    ///
    /// If there is no such row, or if `output` has not [`Self::outputs`] numbers.
    pub fn output(&self, row: usize, workspace: &[F32x16], output: &mut [f32]) {
        assert!(row < self.plan.rows && output.len() == self.outputs(), "one row's outputs");
        let vector = &workspace[self.plan.output.range()];
        for (numbers, from) in output.chunks_mut(LANES).zip(vector[row..].iter().step_by(self.plan.rows)) {
            numbers.copy_from_slice(&from.0[..numbers.len()]);
        }
    }

    fn run_body(&self, picture: &[f32], row: usize, workspace: &mut [F32x16]) {
        let (scratch, workspace) = workspace.split_at_mut(self.plan.scratch);
        let (padded, workspace) = workspace.split_at_mut(self.plan.padded);
        let input = if padded.is_empty() { picture } else { self.pad(picture, padded) };
        let first = self.plan.scratch + self.plan.padded;
        for (step, to) in &self.plan.body {
            let range = to.range();
            let (output, workspace) = Workspace::split_from(workspace, first, range);
            self.run_body_step(step, *to, row, Memory { input, scratch, workspace, output });
        }
    }

    /// Gives a picture its halo, which nothing else writes.
    fn pad<'w>(&self, picture: &[f32], padded: &'w mut [F32x16]) -> &'w [f32] {
        let layout = self.plan.input;
        let padded = &mut floats_mut(padded)[..layout.len()];
        layout.clear_halo(padded, 0.0);
        for (number, pixels) in picture.chunks_exact(layout.width).enumerate() {
            let at = layout.at(number / layout.height, number % layout.height, 0);
            padded[at..][..layout.width].copy_from_slice(pixels);
        }
        padded
    }

    fn run_body_step(&self, step: &BodyStep, to: Buffer, row: usize, memory: Memory<'_>) {
        let Memory { input, scratch, workspace, output } = memory;
        let (set, rows) = (self.instructions, self.plan.rows);
        match step {
            BodyStep::ClearHalo => to.layout.clear_halo(output, F32x16::ZERO),
            BodyStep::First(convolution) => dispatch(set, ConvolutionKernel { convolution, input, output }),
            BodyStep::Convolution(convolution, from) => {
                dispatch(set, ConvolutionKernel { convolution, input: workspace.at(from), output });
            }
            BodyStep::Depthwise(layer, from) => dispatch(set, DepthwiseKernel { layer, input: workspace.at(from), output }),
            BodyStep::Pool(layer, from) => dispatch(set, PoolKernel { layer, input: workspace.at(from), output }),
            BodyStep::Lrn(lrn, from) => {
                let squares = &mut floats_mut(scratch)[..LrnKernel::scratch(*lrn, to.layout)];
                squares.fill(0.0);
                dispatch(set, LrnKernel { lrn: *lrn, from: from.layout, to: to.layout, input: workspace.at(from), output, squares });
            }
            BodyStep::Add(bounds, from, other) => {
                let other = other.map(|other| (other.layout, workspace.at(&other)));
                let input = workspace.at(from);
                dispatch(set, AddKernel { bounds: *bounds, from: from.layout, to: to.layout, input, other, output });
            }
            BodyStep::Copy(from, channel) => copy_channels(workspace.at(from), from.layout, output, to.layout, *channel),
            BodyStep::GlobalAverage(from) => {
                let output = &mut output[row..];
                dispatch(set, GlobalAverageKernel { layout: from.layout, input: workspace.at(from), output, step: rows });
            }
            BodyStep::Flatten(from) => flatten(workspace.at(from), from.layout, &mut output[row..], rows),
        }
    }

    fn run_head_step(&self, step: &HeadStep, to: Buffer, workspace: &Workspace<'_>, output: &mut [F32x16]) {
        match step {
            HeadStep::Dense(convolution, from) => {
                dispatch(self.instructions, ConvolutionKernel { convolution, input: workspace.at(from), output });
            }
            HeadStep::Add(bounds, from, other) => {
                let other = other.map(|other| (other.layout, workspace.at(&other)));
                let input = workspace.at(from);
                dispatch(self.instructions, AddKernel { bounds: *bounds, from: from.layout, to: to.layout, input, other, output });
            }
        }
    }
}

/// What a step of the body reads and writes.
struct Memory<'w> {
    /// The picture, perhaps with its halo.
    input: &'w [f32],
    scratch: &'w mut [F32x16],
    workspace: Workspace<'w>,
    output: &'w mut [F32x16],
}

/// A workspace but for what a step writes.
struct Workspace<'w> {
    /// Where in the workspace `before` begins.
    first: usize,
    before: &'w [F32x16],
    /// Where in the workspace `after` begins.
    next: usize,
    after: &'w [F32x16],
}

impl<'w> Workspace<'w> {
    /// Takes what a step writes out of the workspace.
    fn split(workspace: &'w mut [F32x16], written: Range<usize>) -> (&'w mut [F32x16], Self) {
        Self::split_from(workspace, 0, written)
    }

    /// The same, where `workspace` lacks the first `first` units.
    fn split_from(workspace: &'w mut [F32x16], first: usize, written: Range<usize>) -> (&'w mut [F32x16], Self) {
        let (before, rest) = workspace.split_at_mut(written.start - first);
        let (output, after) = rest.split_at_mut(written.len());
        (output, Self { first, before, next: written.end, after })
    }

    /// A picture: no step reads what it writes.
    fn at(&self, buffer: &Buffer) -> &'w [F32x16] {
        let range = buffer.range();
        if range.end <= self.first + self.before.len() {
            &self.before[range.start - self.first..range.end - self.first]
        } else {
            &self.after[range.start - self.next..range.end - self.next]
        }
    }
}
