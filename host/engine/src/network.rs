//! A prepared network, and how its steps are run in a workspace.

use alloc::vec;
use alloc::vec::Vec;

use crate::error::Result;
use crate::graph::Graph;
use crate::image::ARITHMETIC;
use crate::ir::Lowered;
use crate::kernels::combine::{AffineKernel, CombineKernel, Operand};
use crate::kernels::copy::select_channels;
use crate::kernels::depthwise::DepthwiseKernel;
use crate::kernels::layer_norm::LayerNormKernel;
use crate::kernels::lrn::LrnKernel;
use crate::kernels::pointwise::finish;
use crate::kernels::rearrange::{extract, join, reflow, to_picture};
use crate::kernels::tensor::TensorLayer;
use crate::layout::Layout;
use crate::limits::MAX_OPERANDS;
use crate::lower::lower;
use crate::plan::{PackedCombination, Plan, SecondOperand, Step, StepKind, plan, wants_batch};
use crate::simd::{F32x16, Instructions, dispatch, floats_mut};
use crate::step::{Buffer, Memory, RestOfWorkspace, output_row, padded};

/// A network as layers, before it is laid out for a number of pictures and an instruction set.
#[derive(Debug)]
pub struct Layers(pub(crate) Lowered);

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
    arithmetic: u32,
}

/// The version of the arithmetic of networks with convolutions by Winograd's method. That of a network is the largest of its layers', so
/// that old scores of networks without changed layers stay valid. A change of the sums that all layers use increases all versions.
const WINOGRAD_ARITHMETIC: u32 = ARITHMETIC + 1;
/// That of networks with exponentials: activations that are made of them, softmax.
const EXPONENTIALS_ARITHMETIC: u32 = ARITHMETIC + 2;

/// A step of a [`Network`], for measurements.
#[derive(Clone, Copy, Debug)]
pub struct StepInfo<'n> {
    /// In words; several steps may have the same.
    pub what: &'n str,
    /// Products that are added to a sum, for one picture; 0 if the step is not made of such sums.
    pub multiply_adds: usize,
}

impl Network {
    /// Lays a network out for batches of `rows` pictures.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::Unsupported) if that exceeds the memory limit.
    pub fn new(layers: &Layers, rows: usize, instructions: Instructions) -> Result<Self> {
        let plan = plan(&layers.0, rows, instructions)?;
        let arithmetic = if layers.0.uses_exponentials() {
            EXPONENTIALS_ARITHMETIC
        } else if plan.body.iter().any(|step| matches!(step.kind, StepKind::Winograd(..))) {
            WINOGRAD_ARITHMETIC
        } else {
            ARITHMETIC
        };
        Ok(Self { plan, instructions, arithmetic })
    }

    /// The version of the arithmetic: two programs with the same version for a network give its scores the same bits.
    #[must_use]
    pub fn arithmetic(&self) -> u32 {
        self.arithmetic
    }

    /// The number of elements in a picture: channels x rows x columns.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.plan.inputs
    }

    /// The number of outputs for one picture.
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

    /// Allocates the memory that [`Self::run`] needs.
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
        self.run_observed(pictures, filled, workspace, |_| ());
    }

    /// As [`Self::run`], and calls `done` with the number of each step, among [`Self::steps`], that has been done.
    ///
    /// # Panics
    ///
    /// As [`Self::run`].
    pub fn run_observed(&self, pictures: &[f32], filled: usize, workspace: &mut [F32x16], mut done: impl FnMut(usize)) {
        assert!(filled <= self.plan.rows, "{filled} pictures in {} rows", self.plan.rows);
        let inputs = self.inputs();
        for row in 0..filled {
            self.run_body(&pictures[row * inputs..][..inputs], row, workspace, &mut done);
        }
        let (scratch, workspace) = workspace.split_at_mut(self.plan.scratch);
        for (number, step) in self.plan.head.iter().enumerate() {
            self.run_step(step, 0, [&[], &[]], scratch, Tail { first: self.plan.scratch, workspace });
            done(self.plan.body.len() + number);
        }
    }

    /// What is done for one picture after another, and then what is done for all pictures of a batch at once.
    pub fn steps(&self) -> impl Iterator<Item = StepInfo<'_>> {
        let steps = self.plan.body.iter().chain(&self.plan.head);
        steps.map(|step| StepInfo { what: &step.what, multiply_adds: step.multiply_adds })
    }

    /// Writes the output for one picture.
    ///
    /// # Panics
    ///
    /// If there is no such row, or if the length of `output` is not [`Self::outputs`].
    pub fn output(&self, row: usize, workspace: &[F32x16], output: &mut [f32]) {
        assert!(row < self.plan.rows && output.len() == self.outputs(), "one row's outputs");
        output_row(&workspace[self.plan.output.range()], [row, self.plan.rows], output);
    }

    fn run_body(&self, picture: &[f32], row: usize, workspace: &mut [F32x16], done: &mut impl FnMut(usize)) {
        let (scratch, workspace) = workspace.split_at_mut(self.plan.scratch);
        let (room, workspace) = workspace.split_at_mut(self.plan.padded);
        let padded = padded(picture, self.plan.input, room);
        let first = self.plan.scratch + self.plan.padded;
        for (number, step) in self.plan.body.iter().enumerate() {
            self.run_step(step, row, [picture, padded], scratch, Tail { first, workspace });
            done(number);
        }
    }

    fn run_step(&self, step: &Step, row: usize, [picture, padded]: [&[f32]; 2], scratch: &mut [F32x16], tail: Tail<'_>) {
        let Tail { first, workspace } = tail;
        let (set, to) = (self.instructions, step.to.layout);
        let (output, memory) = RestOfWorkspace::split(workspace, first, step.to.range());
        if let Some(operation) = step.kind.operation() {
            return operation.run(set, Memory { picture, padded, rest: memory, output }, to, [row, self.plan.rows]);
        }
        match &step.kind {
            StepKind::Depthwise(layer, from) => {
                dispatch(set, DepthwiseKernel { layer, input: memory.at(from), output, instructions: set });
            }
            StepKind::Winograd(layer, from) => layer.run(set, memory.at(from), output, scratch),
            StepKind::Lrn(lrn, from) => {
                let squares = &mut floats_mut(scratch)[..LrnKernel::scratch(*lrn, to)];
                squares.fill(0.0);
                dispatch(set, LrnKernel { lrn: *lrn, from: from.layout, to, input: memory.at(from), output, squares });
            }
            StepKind::LayerNorm(layer, from) => {
                dispatch(set, LayerNormKernel { layer, from: from.layout, to, input: memory.at(from), output });
            }
            StepKind::Combine(combination, from) => self.combine(combination, from, &memory, output, to),
            StepKind::Affine { scale, offset, activation, from } => {
                let (input, bounds) = (memory.at(from), activation.bounds);
                dispatch(set, AffineKernel { scale, offset, bounds, from: from.layout, to, input, output });
                finish(set, *activation, output, to);
            }
            StepKind::Channels(channels, from) => {
                select_channels(channels, &|picture| (memory.at(&from[picture]), from[picture].layout), output, to);
            }
            StepKind::Extract(layer, from) => extract(*layer, memory.at(from), from.layout, output, to),
            StepKind::Reflow(from) => reflow(memory.at(from), from.layout, output, to),
            StepKind::ToPicture(inner, from) => to_picture(*inner, memory.tensor(from, picture), output, to),
            StepKind::Join { chunks, from, offset } => {
                join(*chunks, memory.numbers(from), &mut floats_mut(output)[..step.to.numbers()], *offset);
            }
            StepKind::Tensor(layer, result, from) => {
                let output = &mut floats_mut(output)[..step.to.numbers()];
                self.run_tensor_layer(layer, *result, from, &memory, output, floats_mut(scratch));
            }
            StepKind::Constant(numbers) => output.copy_from_slice(numbers),
            StepKind::ClearHalo
            | StepKind::FirstConvolution(_)
            | StepKind::Convolution(..)
            | StepKind::Pool(..)
            | StepKind::GlobalPool(..)
            | StepKind::Map(..)
            | StepKind::Copy(..)
            | StepKind::ToTensor(..)
            | StepKind::ToHead(_) => unreachable!("operations, see above"),
        }
    }

    fn combine(&self, layer: &PackedCombination, from: &Buffer, memory: &RestOfWorkspace<'_>, output: &mut [F32x16], to: Layout) {
        let PackedCombination { function, swapped, broadcast, other, activation } = layer;
        let (layout, numbers) = match other {
            SecondOperand::Buffer(other) => (other.layout, memory.at(other)),
            SecondOperand::Constant(layout, numbers) => (*layout, &numbers[..]),
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
        memory: &RestOfWorkspace<'_>,
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

/// The workspace without its first units.
struct Tail<'w> {
    /// The number of units that are missing.
    first: usize,
    workspace: &'w mut [F32x16],
}
