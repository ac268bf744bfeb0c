//! A prepared network, and how its steps are run in a workspace.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use crate::error::Result;
use crate::graph::Graph;
use crate::ir::Lowered;
use crate::kernels::convolution::ConvolutionKernel;
use crate::kernels::copy::{copy_channel, copy_channels, extract, join, reflow, to_picture, to_tensor};
use crate::kernels::depthwise::DepthwiseKernel;
use crate::kernels::layer_norm::LayerNormKernel;
use crate::kernels::lrn::LrnKernel;
use crate::kernels::pointwise::{AffineKernel, CombineKernel, MapKernel, Operand, finish};
use crate::kernels::pool::{GlobalPoolKernel, PoolKernel};
use crate::kernels::tensor::TensorLayer;
use crate::layout::Layout;
use crate::lower::lower;
use crate::plan::{Buffer, Other, PackedCombination, Plan, Source, Step, StepKind, plan, wants_batch};
use crate::simd::{F32x16, Instructions, LANES, dispatch, floats, floats_mut};

/// A network as layers, before it is laid out for a number of pictures and an instruction set.
#[derive(Debug)]
pub struct Layers(Lowered);

impl Layers {
    /// Lowers a graph to layers, up to the value `output`, for an input of these dimensions, including a batch of 1.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::Unsupported): the engine does not support a layer; tensors or work exceed the limits.
    pub fn new(graph: Graph, output: &str, input: &[usize]) -> Result<Self> {
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
        wants_batch(&self.0)
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

    /// Numbers of a picture.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.plan.inputs
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
        let (scratch, workspace) = workspace.split_at_mut(self.plan.scratch);
        for step in &self.plan.head {
            self.run_step(step, 0, &mut Memory { picture: &[], padded: &[], scratch, first: self.plan.scratch, workspace });
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
        let padded = if padded.is_empty() { picture } else { self.pad(picture, padded) };
        let first = self.plan.scratch + self.plan.padded;
        for step in &self.plan.body {
            self.run_step(step, row, &mut Memory { picture, padded, scratch, first, workspace });
        }
    }

    /// Gives a picture its halo.
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

    fn run_step(&self, step: &Step, row: usize, memory: &mut Memory<'_>) {
        let (set, to) = (self.instructions, step.to.layout);
        let Memory { picture, padded, scratch, first, workspace } = memory;
        let (output, memory) = Workspace::split(workspace, *first, step.to.range());
        match &step.kind {
            StepKind::ClearHalo => to.clear_halo(output, F32x16::ZERO),
            StepKind::First(convolution) => {
                dispatch(set, ConvolutionKernel { convolution, input: padded, output, instructions: set });
            }
            StepKind::Convolution(convolution, from) => {
                dispatch(set, ConvolutionKernel { convolution, input: memory.at(from), output, instructions: set });
            }
            StepKind::Depthwise(layer, from) => {
                dispatch(set, DepthwiseKernel { layer, input: memory.at(from), output, instructions: set });
            }
            StepKind::Pool(layer, from) => dispatch(set, PoolKernel { layer, input: memory.at(from), output }),
            StepKind::GlobalPool(pooling, from) => {
                dispatch(set, GlobalPoolKernel { pooling: *pooling, from: from.layout, to, input: memory.at(from), output });
            }
            StepKind::Lrn(lrn, from) => {
                let squares = &mut floats_mut(scratch)[..LrnKernel::scratch(*lrn, to)];
                squares.fill(0.0);
                dispatch(set, LrnKernel { lrn: *lrn, from: from.layout, to, input: memory.at(from), output, squares });
            }
            StepKind::LayerNorm(layer, from) => {
                dispatch(set, LayerNormKernel { layer, from: from.layout, to, input: memory.at(from), output });
            }
            StepKind::Combine(combination, from) => self.combine(combination, from, &memory, output, to),
            StepKind::Map(activation, from) => {
                let input = memory.at(from);
                dispatch(set, MapKernel { bounds: activation.bounds, from: from.layout, to, input, output });
                finish(set, *activation, output, to);
            }
            StepKind::Affine { scale, offset, activation, from } => {
                let (input, bounds) = (memory.at(from), activation.bounds);
                dispatch(set, AffineKernel { scale, offset, bounds, from: from.layout, to, input, output });
                finish(set, *activation, output, to);
            }
            StepKind::Copy(from, channel) => copy_channels(memory.at(from), from.layout, output, to, *channel),
            StepKind::Channels(channels, from) => {
                for (there, &here) in channels.iter().enumerate() {
                    copy_channel(memory.at(from), from.layout, here, output, to, there);
                }
            }
            StepKind::Extract(layer, from) => extract(*layer, memory.at(from), from.layout, output, to),
            StepKind::Reflow(from) => reflow(memory.at(from), from.layout, output, to),
            StepKind::ToTensor(inner, from) => to_tensor(*inner, memory.at(from), from.layout, floats_mut(output)),
            StepKind::ToPicture(inner, from) => to_picture(*inner, memory.tensor(from, picture), output, to),
            StepKind::Join { chunks, from, offset } => {
                join(*chunks, memory.numbers(from), &mut floats_mut(output)[..step.to.numbers()], *offset);
            }
            StepKind::Tensor(layer, result, from) => {
                let output = &mut floats_mut(output)[..step.to.numbers()];
                self.run_tensor_layer(layer, *result, from, &memory, output, floats_mut(scratch));
            }
            StepKind::Constant(numbers) => output.copy_from_slice(numbers),
            StepKind::ToHead(from) => {
                let numbers = memory.tensor(from, picture);
                for (to, from) in output[row..].iter_mut().step_by(self.plan.rows).zip(numbers.chunks(LANES)) {
                    to.0[..from.len()].copy_from_slice(from);
                }
            }
        }
    }

    fn combine(&self, layer: &PackedCombination, from: &Buffer, memory: &Workspace<'_>, output: &mut [F32x16], to: Layout) {
        let PackedCombination { function, swapped, broadcast, other, activation } = layer;
        let (layout, numbers) = match other {
            Other::Buffer(other) => (other.layout, memory.at(other)),
            Other::Constant(layout, numbers) => (*layout, &numbers[..]),
        };
        let kernel = CombineKernel {
            function: *function,
            swapped: *swapped,
            bounds: activation.bounds,
            from: from.layout,
            to,
            input: memory.at(from),
            other: Operand { broadcast: *broadcast, layout, numbers },
            output,
        };
        dispatch(self.instructions, kernel);
        finish(self.instructions, *activation, output, to);
    }

    fn run_tensor_layer(
        &self,
        layer: &TensorLayer,
        result: usize,
        from: &[Buffer],
        memory: &Workspace<'_>,
        output: &mut [f32],
        scratch: &mut [f32],
    ) {
        let mut inputs: [&[f32]; MAX_OPERANDS] = [&[]; MAX_OPERANDS];
        for (input, from) in inputs.iter_mut().zip(from) {
            *input = memory.numbers(from);
        }
        layer.run(self.instructions, &inputs[..from.len()], result, output, scratch);
    }
}

/// The largest number of operands of a layer over tensors.
pub(crate) const MAX_OPERANDS: usize = 8;

/// What a step may read and write.
struct Memory<'w> {
    picture: &'w [f32],
    /// The picture, possibly with a halo.
    padded: &'w [f32],
    scratch: &'w mut [F32x16],
    /// Where the rest starts in the whole workspace.
    first: usize,
    workspace: &'w mut [F32x16],
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
    /// Splits what a step writes from a workspace that lacks the first `first` units.
    fn split(workspace: &'w mut [F32x16], first: usize, written: Range<usize>) -> (&'w mut [F32x16], Self) {
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

    /// The numbers of a tensor.
    fn numbers(&self, buffer: &Buffer) -> &'w [f32] {
        &floats(self.at(buffer))[..buffer.numbers()]
    }

    /// The numbers of a tensor, which may be the network's input.
    fn tensor(&self, source: &Source, picture: &'w [f32]) -> &'w [f32] {
        match source {
            Source::Input => picture,
            Source::Buffer(buffer) => self.numbers(buffer),
        }
    }
}
