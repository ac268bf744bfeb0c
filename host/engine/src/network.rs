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

/// A network as layers, before it is laid out for a number of pictures and an instruction set.
#[derive(Debug)]
pub struct Layers(Lowered);

impl Layers {
    /// Lowers a graph to layers, up to the value `output`, for pictures of `input` channels, rows and columns.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::Unsupported): the engine does not support a layer; tensors or work exceed the limits.
    pub fn new(graph: &Graph, output: &str, input: [usize; 3]) -> Result<Self> {
        lower(graph, output, input).map(Self)
    }

    /// The number of outputs for one picture.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.0.shapes[self.0.output].len()
    }

    /// The output's ONNX shape with a batch of 1.
    #[must_use]
    pub fn output_shape(&self) -> &[usize] {
        &self.0.output_dims
    }

    /// Whether a batch is faster than single pictures: the weights of dense layers are then read once for the whole batch. Without dense
    /// layers it is best to score a picture while it is in the cache.
    #[must_use]
    pub fn wants_batch(&self) -> bool {
        self.0.layers.iter().any(|layer| matches!(layer.kind, LayerKind::Dense(_)))
    }
}

/// A network that is ready to run, for a fixed batch size. Neither the batch size nor the instruction set changes a bit of the output.
#[derive(Debug)]
pub struct Network {
    plan: Plan,
    instructions: Instructions,
}

impl Network {
    /// Lays a network out for batches of `rows` pictures.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::Unsupported) if that exceeds the memory limit.
    pub fn new(layers: &Layers, rows: usize, instructions: Instructions) -> Result<Self> {
        Ok(Self { plan: plan(&layers.0, rows, instructions)?, instructions })
    }

    /// Numbers in a picture: channels x rows x columns.
    #[must_use]
    pub fn inputs(&self) -> usize {
        let layout = self.plan.input;
        layout.channels * layout.height * layout.width
    }

    /// Outputs for one picture.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.plan.output.layout.channels
    }

    /// The batch size.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.plan.rows
    }

    /// The memory that [`Self::run`] needs, in units of sixteen numbers.
    #[must_use]
    pub fn workspace_len(&self) -> usize {
        self.plan.workspace
    }

    /// Allocates that memory.
    #[must_use]
    pub fn workspace(&self) -> Vec<F32x16> {
        vec![F32x16::ZERO; self.workspace_len()]
    }

    /// Runs the network on the first `filled` of `pictures`, one after another; [`Self::output`] returns the results. Does not allocate.
    ///
    /// # Panics
    ///
    /// If the workspace is smaller than [`Self::workspace_len`], if `filled` is larger than [`Self::rows`], or if there are fewer pictures.
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

    /// Writes the output for one picture.
    ///
    /// # Panics
    ///
    /// If there is no such row, or if the length of `output` is not [`Self::outputs`].
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

    /// Gives a picture its halo, which nothing else writes to.
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
    /// The picture, possibly with a halo.
    input: &'w [f32],
    scratch: &'w mut [F32x16],
    workspace: Workspace<'w>,
    output: &'w mut [F32x16],
}

/// The workspace except what a step writes.
struct Workspace<'w> {
    /// Where `before` starts in the workspace.
    first: usize,
    before: &'w [F32x16],
    /// Where `after` starts in the workspace.
    next: usize,
    after: &'w [F32x16],
}

impl<'w> Workspace<'w> {
    /// Splits what a step writes from the rest of the workspace.
    fn split(workspace: &'w mut [F32x16], written: Range<usize>) -> (&'w mut [F32x16], Self) {
        Self::split_from(workspace, 0, written)
    }

    /// The same, if `workspace` lacks the first `first` units.
    fn split_from(workspace: &'w mut [F32x16], first: usize, written: Range<usize>) -> (&'w mut [F32x16], Self) {
        let (before, rest) = workspace.split_at_mut(written.start - first);
        let (output, after) = rest.split_at_mut(written.len());
        (output, Self { first, before, next: written.end, after })
    }

    /// A picture: a step never reads what it writes.
    fn at(&self, buffer: &Buffer) -> &'w [F32x16] {
        let range = buffer.range();
        if range.end <= self.first + self.before.len() {
            &self.before[range.start - self.first..range.end - self.first]
        } else {
            &self.after[range.start - self.next..range.end - self.next]
        }
    }
}
