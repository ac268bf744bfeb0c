//! From layers to steps: where each value is stored, which values share memory, and the weights laid out for the kernels.
//!
//! The **body** of a network is run for one picture after another: the output of a layer is then still in the cache when the next one reads
//! it. Its **head**, the dense layers at the end, is run for a whole batch, so that their weights (235 MB of AlexNet's 244) are read once
//! per batch.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use crate::error::{Result, unsupported};
use crate::ir::{Broadcast, Channel, Convolution, Extract, Layer, LayerKind, Lowered, Lrn, Shape, Value};
use crate::kernels::convolution::PackedConvolution;
use crate::kernels::depthwise::PackedDepthwise;
use crate::kernels::function::{Activation, Binary};
use crate::kernels::layer_norm::PackedLayerNorm;
use crate::kernels::lrn::LrnKernel;
use crate::kernels::pool::Pool;
use crate::kernels::pool::Pooling;
use crate::kernels::tensor::TensorLayer;
use crate::kernels::vectors;
use crate::kernels::winograd::{self, PackedWinograd};
use crate::layout::{Layout, blocks_of};
use crate::limits::MAX_ELEMENTS;
use crate::simd::{F32x16, Instructions, LANES, tile_blocks};
use crate::step::{Buffer, ImageOperation, Source};

/// A function of two numbers, laid out for the kernel.
#[derive(Debug)]
pub(crate) struct PackedCombination {
    pub(crate) function: Binary,
    pub(crate) swapped: bool,
    pub(crate) broadcast: Broadcast,
    pub(crate) other: SecondOperand,
    pub(crate) activation: Activation,
}

/// A second operand.
#[derive(Debug)]
pub(crate) enum SecondOperand {
    Buffer(Buffer),
    Constant(Layout, Vec<F32x16>),
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum StepKind {
    /// Writes zeros into the halo of a picture, before the picture is computed.
    ClearHalo,
    /// A convolution of the network's input.
    FirstConvolution(PackedConvolution),
    Convolution(PackedConvolution, Buffer),
    Winograd(PackedWinograd, Buffer),
    Depthwise(PackedDepthwise, Buffer),
    Pool(Pool, Buffer),
    GlobalPool(Pooling, Buffer),
    Lrn(Lrn, Buffer),
    LayerNorm(PackedLayerNorm, Buffer),
    Combine(PackedCombination, Buffer),
    Map(Activation, Buffer),
    Affine {
        scale: Vec<F32x16>,
        offset: Vec<F32x16>,
        activation: Activation,
        from: Buffer,
    },
    /// Copies the channels of one picture into another, starting at this channel.
    Copy(Buffer, usize),
    /// Copies these channels of the pictures.
    Channels(Vec<Channel>, Vec<Buffer>),
    Extract(Extract, Buffer),
    Reflow(Buffer),
    ToTensor(usize, Buffer),
    ToPicture(usize, Source),
    /// Copies the chunks of a tensor into those of a larger one, after the first `offset` numbers of each.
    Join {
        chunks: usize,
        from: Buffer,
        offset: usize,
    },
    Tensor(TensorLayer, usize, Vec<Buffer>),
    Constant(Vec<F32x16>),
    /// Copies numbers into the picture's row of the head's input.
    ToHead(Source),
}

impl StepKind {
    /// The step as an operation of an image; none if an image cannot contain it.
    pub(crate) fn operation(&self) -> Option<ImageOperation<'_>> {
        Some(match self {
            Self::ClearHalo => ImageOperation::ClearHalo,
            Self::FirstConvolution(convolution) => ImageOperation::FirstConvolution(convolution.view()),
            Self::Convolution(convolution, from) => ImageOperation::Convolution(convolution.view(), *from),
            Self::Pool(pool, from) => ImageOperation::Pool(*pool, *from),
            Self::GlobalPool(pooling, from) => ImageOperation::GlobalPool(*pooling, *from),
            Self::Map(activation, from) => ImageOperation::Map(*activation, *from),
            Self::Copy(from, channel) => ImageOperation::Copy(*from, *channel),
            Self::ToTensor(inner, from) => ImageOperation::ToTensor(*inner, *from),
            Self::ToHead(from) => ImageOperation::ToHead(*from),
            _ => return None,
        })
    }
}

impl StepKind {
    /// The step in words, for messages about steps that an image cannot contain.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::ClearHalo => "zeros around a picture",
            Self::FirstConvolution(_) | Self::Convolution(..) => "a convolution",
            Self::Winograd(..) => "a convolution by Winograd's method",
            Self::Depthwise(..) => "a convolution of each channel (depthwise)",
            Self::Pool(..) => "a pooling layer",
            Self::GlobalPool(..) => "a global pool",
            Self::Lrn(..) => "a local response normalisation",
            Self::LayerNorm(..) => "a layer normalisation",
            Self::Combine(..) => "arithmetic with two operands",
            Self::Map(..) => "an activation",
            Self::Affine { .. } => "a scale and an offset for each channel",
            Self::Copy(..) | Self::Join { .. } => "a concatenation",
            Self::Channels(..) => "a selection of channels",
            Self::Extract(..) => "cropping, padding or a slice of a picture",
            Self::Reflow(_) => "a picture with rows of another length",
            Self::ToTensor(..) | Self::ToPicture(..) => "a change of layout",
            Self::Tensor(..) => "a layer over tensors",
            Self::Constant(_) => "a constant",
            Self::ToHead(_) => "the input of dense layers",
        }
    }
}

/// The operation, and where its result goes.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) kind: StepKind,
    pub(crate) to: Buffer,
    /// In words, for measurements.
    pub(crate) what: String,
    /// For a picture, without those of padding.
    pub(crate) multiply_adds: usize,
}

impl Step {
    /// A step that only moves numbers.
    fn moves(kind: StepKind, to: Buffer) -> Self {
        Self { what: kind.name().to_string(), kind, to, multiply_adds: 0 }
    }

    /// The step of a layer, whose result has this shape.
    fn of_layer(kind: StepKind, to: Buffer, layer: &Layer, shape: Shape) -> Self {
        let Shape { channels, height, width } = shape;
        let (what, multiply_adds) = match &layer.kind {
            LayerKind::FirstConvolution(convolution) | LayerKind::Convolution(convolution) | LayerKind::Depthwise(convolution) => {
                (convolution.to_string(), convolution.weights.len().saturating_mul(shape.pixels()))
            }
            LayerKind::Tensor(tensor, _) => (tensor.name().to_string(), tensor.multiply_adds()),
            _ => (kind.name().to_string(), 0),
        };
        Self { what: format!("{what}, gives {channels} x {height} x {width}"), kind, to, multiply_adds }
    }
}

/// A network that is ready to run.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The number of elements in a picture.
    pub(crate) inputs: usize,
    /// The picture: planes of single numbers, possibly with a halo.
    pub(crate) input: Layout,
    /// The steps that are run for one picture after another.
    pub(crate) body: Vec<Step>,
    /// The steps that are run for all rows at once.
    pub(crate) head: Vec<Step>,
    /// The output.
    pub(crate) output: Buffer,
    /// The number of pictures (or crops) in a batch.
    pub(crate) rows: usize,
    /// The length of the scratch at the start of the workspace, in units of sixteen numbers. The padded picture (if any) and the buffers
    /// follow.
    pub(crate) scratch: usize,
    pub(crate) padded: usize,
    pub(crate) workspace: usize,
}

const TOO_LARGE: &str = "its layers are too large; choose a smaller batch";

pub(crate) fn plan(lowered: &Lowered, rows: usize, instructions: Instructions) -> Result<Plan> {
    let head = head(lowered);
    let input = input_layout(lowered);
    let Some(storage) = Storage::of(lowered, &head).filter(|_| input.checked_len().is_some()) else {
        return unsupported(TOO_LARGE);
    };
    let inputs = lowered.shapes[0].len();
    let padded = if input.has_halo() { blocks_of(input.len()) } else { 0 };
    let scratch = lowered.layers.iter().map(|layer| scratch(layer, lowered)).max().unwrap_or(0);
    let mut next = scratch.saturating_add(padded);
    let mut take = |len: usize| {
        let start = next;
        next = next.saturating_add(len);
        start
    };
    let slots: Vec<usize> = storage.slots.iter().map(|&len| take(len)).collect();
    // The head's values, and those of the body that it reads.
    let mut vectors = vec![None; lowered.shapes.len()];
    let read = lowered.layers.iter().zip(&head).filter(|(_, in_head)| **in_head);
    for value in read.flat_map(|(layer, _)| layer.inputs.iter().chain([&layer.output])).chain([&lowered.output]) {
        if vectors[*value].is_none() {
            vectors[*value] = Some(take(blocks_of(lowered.shapes[*value].len()).saturating_mul(rows)));
        }
    }
    if next.saturating_mul(LANES).saturating_add(inputs.saturating_mul(rows)) > MAX_ELEMENTS {
        return unsupported(TOO_LARGE);
    }
    let planner = Planner { lowered, storage, slots, vectors, rows, blocks: tile_blocks(instructions) };
    let (body, head) = planner.steps(&head, input);
    let output = planner.row_buffer(lowered.output);
    Ok(Plan { inputs, input, body, head, output, rows, scratch, padded, workspace: next })
}

/// The layers that can be run for all rows at once: those over single pixels that only such layers read, if one of them is dense.
fn head(lowered: &Lowered) -> Vec<bool> {
    let mut body_reads = vec![false; lowered.shapes.len()];
    let mut head = vec![false; lowered.layers.len()];
    for (number, layer) in lowered.layers.iter().enumerate().rev() {
        let flat = |value: &Value| lowered.shapes[*value].is_flat();
        let fits = match &layer.kind {
            LayerKind::Convolution(convolution) => convolution.groups == 1 && convolution.kernel == [1, 1],
            LayerKind::Combination(combination) => combination.broadcast != Broadcast::Pixels,
            LayerKind::Map(_) | LayerKind::Affine { .. } => true,
            _ => false,
        };
        head[number] = fits && !body_reads[layer.output] && layer.inputs.iter().chain([&layer.output]).all(flat);
        if !head[number] {
            layer.inputs.iter().for_each(|&value| body_reads[value] = true);
        }
    }
    let dense = |(layer, in_head): (&Layer, &bool)| *in_head && matches!(layer.kind, LayerKind::Convolution(_));
    if !lowered.layers.iter().zip(&head).any(dense) {
        head.fill(false);
    }
    head
}

/// Whether a network is faster with batches.
pub(crate) fn wants_batch(lowered: &Lowered) -> bool {
    head(lowered).contains(&true)
}

/// The planes of the input, with the halo that its convolutions need.
fn input_layout(lowered: &Lowered) -> Layout {
    let Shape { channels, height, width } = lowered.input;
    let mut layout = Layout { lanes: 1, ..Layout::bare(channels, height, width) };
    for layer in &lowered.layers {
        if let LayerKind::FirstConvolution(convolution) = &layer.kind {
            widen(&mut layout, convolution, lowered.shapes[layer.output]);
        }
    }
    layout
}

/// Gives a layout the halo that a convolution needs.
fn widen(layout: &mut Layout, convolution: &Convolution, output: Shape) {
    let tile = if winograd::fits(convolution, output) { winograd::OUT } else { 1 };
    for (axis, (side, out)) in [(layout.height, output.height), (layout.width, output.width)].into_iter().enumerate() {
        let out = out.next_multiple_of(tile);
        let extent = (out - 1) * convolution.stride[axis] + (convolution.kernel[axis] - 1) * convolution.dilation[axis] + 1;
        layout.halo[axis] = layout.halo[axis].max(convolution.before[axis]);
        layout.far_halo[axis] = layout.far_halo[axis].max(extent.saturating_sub(convolution.before[axis] + side));
    }
}

/// The scratch that a layer needs, in units of sixteen numbers.
fn scratch(layer: &Layer, lowered: &Lowered) -> usize {
    match &layer.kind {
        LayerKind::Lrn(lrn) => blocks_of(LrnKernel::scratch(*lrn, bare(lowered.shapes[layer.output]))),
        LayerKind::Tensor(layer, _) => blocks_of(layer.scratch()),
        LayerKind::Convolution(convolution) if winograd::fits(convolution, lowered.shapes[layer.output]) => {
            winograd::scratch(lowered.shapes[layer.inputs[0]].channels, lowered.shapes[layer.output])
        }
        _ => 0,
    }
}

fn bare(shape: Shape) -> Layout {
    Layout::bare(shape.channels, shape.height, shape.width)
}

struct Planner<'g> {
    lowered: &'g Lowered,
    storage: Storage,
    /// Where each slot starts.
    slots: Vec<usize>,
    /// Where each value of the head starts.
    vectors: Vec<Option<usize>>,
    rows: usize,
    blocks: usize,
}

impl Planner<'_> {
    /// A value of the body.
    fn buffer(&self, value: Value) -> Buffer {
        let place = self.storage.places[value].expect("a value of the body has a place");
        Buffer { start: self.slots[place.slot] + place.block * place.layout.plane(), layout: place.layout }
    }

    /// A value of the head, all rows of it.
    fn row_buffer(&self, value: Value) -> Buffer {
        let start = self.vectors[value].expect("a value of the head has a place");
        Buffer { start, layout: Layout::bare(self.lowered.shapes[value].len(), 1, self.rows) }
    }

    fn source(&self, value: Value) -> Source {
        if value == 0 { Source::Input } else { Source::Buffer(self.buffer(value)) }
    }

    /// The steps of body and head.
    fn steps(&self, in_head: &[bool], input: Layout) -> (Vec<Step>, Vec<Step>) {
        let (mut body, mut head) = (Vec::new(), Vec::new());
        self.enter_head(0, &mut body);
        for (number, layer) in self.lowered.layers.iter().enumerate() {
            if in_head[number] {
                let kind = self.kind(layer, &|value| self.row_buffer(value), self.row_buffer(layer.output), input);
                head.extend(kind.map(|kind| Step::of_layer(kind, self.row_buffer(layer.output), layer, self.lowered.shapes[layer.output])));
                continue;
            }
            if self.storage.begins[number] {
                let whole = self.buffer(self.storage.roots[layer.output]);
                if whole.layout.has_halo() {
                    body.push(Step::moves(StepKind::ClearHalo, whole));
                }
            }
            let to = self.buffer(layer.output);
            match &layer.kind {
                LayerKind::Concat => self.copy_parts(layer, to, &mut body),
                LayerKind::Join { chunks } => self.join_parts(layer, *chunks, to, &mut body),
                _ => {
                    let kind = self.kind(layer, &|value| self.buffer(value), to, input);
                    body.extend(kind.map(|kind| Step::of_layer(kind, to, layer, self.lowered.shapes[layer.output])));
                }
            }
            self.enter_head(layer.output, &mut body);
        }
        (body, head)
    }

    /// A value of the body that the head reads.
    fn enter_head(&self, value: Value, body: &mut Vec<Step>) {
        if self.vectors[value].is_some() {
            body.push(Step::moves(StepKind::ToHead(self.source(value)), self.row_buffer(value)));
        }
    }

    /// The operation of a layer; none for a view.
    fn kind(&self, layer: &Layer, buffer: &dyn Fn(Value) -> Buffer, to: Buffer, input: Layout) -> Option<StepKind> {
        let from = || buffer(layer.inputs[0]);
        Some(match &layer.kind {
            LayerKind::FirstConvolution(convolution) => {
                StepKind::FirstConvolution(PackedConvolution::new(convolution, input, to.layout, self.blocks))
            }
            LayerKind::Convolution(convolution) if winograd::fits(convolution, self.lowered.shapes[layer.output]) => {
                StepKind::Winograd(PackedWinograd::new(convolution, from().layout, to.layout, self.blocks), from())
            }
            LayerKind::Convolution(convolution) => {
                let [input, output] = flat([from().layout, to.layout], convolution);
                StepKind::Convolution(PackedConvolution::new(convolution, input, output, self.blocks), from())
            }
            LayerKind::Depthwise(convolution) => StepKind::Depthwise(PackedDepthwise::new(convolution, from().layout, to.layout), from()),
            LayerKind::Pool(pooling, window) => {
                StepKind::Pool(Pool { pooling: *pooling, window: *window, input: from().layout, output: to.layout }, from())
            }
            LayerKind::GlobalPool(pooling) => StepKind::GlobalPool(*pooling, from()),
            LayerKind::Lrn(lrn) => StepKind::Lrn(*lrn, from()),
            LayerKind::LayerNorm(norm) => StepKind::LayerNorm(PackedLayerNorm::new(norm), from()),
            LayerKind::Combination(combination) => {
                let other = match &combination.constant {
                    Some(numbers) => constant(combination.broadcast, numbers, to.layout),
                    None => SecondOperand::Buffer(buffer(layer.inputs[1])),
                };
                let packed = PackedCombination {
                    function: combination.function,
                    swapped: combination.swapped,
                    // In the head a pixel is a row with its own numbers, unless they are constant.
                    broadcast: if combination.constant.is_none() && self.is_row(&to) { Broadcast::Full } else { combination.broadcast },
                    other,
                    activation: combination.activation,
                };
                StepKind::Combine(packed, from())
            }
            LayerKind::Map(activation) => StepKind::Map(*activation, from()),
            LayerKind::Affine { scale, offset, activation } => {
                StepKind::Affine { scale: vectors(scale), offset: vectors(offset), activation: *activation, from: from() }
            }
            LayerKind::Channels(channels) => {
                StepKind::Channels(channels.clone(), layer.inputs.iter().map(|&value| buffer(value)).collect())
            }
            LayerKind::Extract(extract) => StepKind::Extract(*extract, from()),
            LayerKind::Reflow => StepKind::Reflow(from()),
            LayerKind::ToTensor { inner } => StepKind::ToTensor(*inner, from()),
            LayerKind::ToPicture { inner } => StepKind::ToPicture(*inner, self.source(layer.inputs[0])),
            LayerKind::Constant(numbers) => StepKind::Constant(vectors(numbers)),
            LayerKind::Tensor(tensor, result) => {
                StepKind::Tensor(tensor.clone(), *result, layer.inputs.iter().map(|&value| buffer(value)).collect())
            }
            LayerKind::View(_) | LayerKind::Concat | LayerKind::Join { .. } => return None,
        })
    }

    /// Whether a buffer belongs to the head.
    fn is_row(&self, buffer: &Buffer) -> bool {
        self.vectors.contains(&Some(buffer.start))
    }

    /// The parts of a concatenation that have not been computed in place.
    fn copy_parts(&self, layer: &Layer, whole: Buffer, body: &mut Vec<Step>) {
        let mut channel = 0;
        for &part in &layer.inputs {
            let from = self.buffer(part);
            if self.storage.roots[part] != self.storage.roots[layer.output] {
                body.push(Step::moves(StepKind::Copy(from, channel), whole));
            }
            channel += from.layout.channels;
        }
    }

    fn join_parts(&self, layer: &Layer, chunks: usize, whole: Buffer, body: &mut Vec<Step>) {
        let mut offset = 0;
        for &part in &layer.inputs {
            let from = self.buffer(part);
            body.push(Step::moves(StepKind::Join { chunks, from, offset }, whole));
            offset += from.numbers() / chunks;
        }
    }
}

/// The constant second operand of a combination.
fn constant(broadcast: Broadcast, numbers: &[f32], picture: Layout) -> SecondOperand {
    match broadcast {
        Broadcast::Channels => SecondOperand::Constant(Layout::bare(picture.channels, 1, 1), vectors(numbers)),
        Broadcast::Pixels => {
            let layout = Layout::bare(1, picture.height, picture.width);
            SecondOperand::Constant(layout, numbers.iter().map(|&number| F32x16([number; LANES])).collect())
        }
        Broadcast::Full => {
            let layout = Layout::bare(picture.channels, picture.height, picture.width);
            let mut pixels = vec![F32x16::ZERO; layout.len()];
            crate::kernels::rearrange::to_picture(layout.height * layout.width, numbers, &mut pixels, layout);
            SecondOperand::Constant(layout, pixels)
        }
    }
}

/// Pictures without halos as single rows, if the convolution sees one pixel at a time: rows then need not divide evenly into tiles.
fn flat(layouts: [Layout; 2], layer: &Convolution) -> [Layout; 2] {
    let single = layer.kernel == [1; 2] && layer.stride == [1; 2] && layer.before == [0; 2];
    let bare = layouts.iter().all(|layout| !layout.has_halo());
    if single && bare { layouts.map(|layout| Layout::bare(layout.channels, 1, layout.height * layout.width)) } else { layouts }
}

/// Where a picture is stored.
#[derive(Clone, Copy, Debug)]
struct Place {
    slot: usize,
    /// The first block of the picture in its slot.
    block: usize,
    layout: Layout,
}

/// Where the body's values are stored. Several can share one root: the parts of a concatenation are computed in place, and views are parts.
struct Storage {
    /// For each value, the value that stands for the root it is stored in.
    roots: Vec<Value>,
    places: Vec<Option<Place>>,
    /// Whether a layer is the first to write to its root.
    begins: Vec<bool>,
    /// Units of each slot.
    slots: Vec<usize>,
}

impl Storage {
    /// None if a layout is longer than a `usize` can say.
    fn of(lowered: &Lowered, head: &[bool]) -> Option<Self> {
        let (roots, first_blocks) = roots(lowered);
        let layouts = layouts(lowered, &roots, head);
        if layouts.iter().any(|layout| layout.checked_len().is_none()) {
            return None;
        }
        let lives = lives(lowered, &roots, head);
        let (slot_of, slots) = assign_slots(&layouts, &lives);
        let place = |value: Value| {
            let root = roots[value];
            let layout = Layout { channels: lowered.shapes[value].channels, ..layouts[root] };
            Some(Place { slot: slot_of[root]?, block: first_blocks[value], layout })
        };
        let places = (0..lowered.shapes.len()).map(place).collect();
        let begins =
            lowered.layers.iter().enumerate().map(|(number, layer)| lives[roots[layer.output]].is_some_and(|(first, _)| first == number));
        Some(Self { begins: begins.collect(), places, slots, roots })
    }
}

/// The root of each value, and the block of the root at which it starts.
fn roots(lowered: &Lowered) -> (Vec<Value>, Vec<usize>) {
    let mut apart = vec![false; lowered.layers.len()];
    loop {
        let (roots, first_blocks) = roots_except(lowered, &apart);
        let clash = |layer: &&Layer| matches!(layer.kind, LayerKind::Concat) && misplaced(lowered, layer, &roots, &first_blocks);
        let Some(clash) = lowered.layers.iter().find(clash) else { return (roots, first_blocks) };
        let root = roots[clash.output];
        for (apart, layer) in apart.iter_mut().zip(&lowered.layers) {
            *apart |= matches!(layer.kind, LayerKind::Concat) && roots[layer.output] == root;
        }
    }
}

/// Whether a part of a concatenation is in the same root as the whole, but at another place, because it is part of
/// several concatenations.
fn misplaced(lowered: &Lowered, whole: &Layer, roots: &[Value], first_blocks: &[usize]) -> bool {
    let mut block = first_blocks[whole.output];
    whole.inputs.iter().any(|&part| {
        let expected = block;
        block += blocks_of(lowered.shapes[part].channels);
        roots[part] == roots[whole.output] && first_blocks[part] != expected
    })
}

/// [`roots`] if the concatenations marked in `apart` are made by copying.
fn roots_except(lowered: &Lowered, apart: &[bool]) -> (Vec<Value>, Vec<usize>) {
    let mut roots: Vec<Value> = (0..lowered.shapes.len()).collect();
    let mut first_blocks = vec![0; lowered.shapes.len()];
    let mut is_view = vec![false; lowered.shapes.len()];
    for layer in lowered.layers.iter().filter(|layer| matches!(layer.kind, LayerKind::View(_))) {
        is_view[layer.output] = true;
    }
    let channels = |value: Value| lowered.shapes[value].channels;
    // In reverse order, so that the whole has its place before its parts get theirs.
    for (layer, _) in lowered.layers.iter().zip(apart).rev().filter(|(layer, apart)| matches!(layer.kind, LayerKind::Concat) && !**apart) {
        let whole_blocks = layer.inputs[..layer.inputs.len() - 1].iter().all(|&part| channels(part) % LANES == 0);
        let free =
            |&part: &Value| roots[part] == part && !is_view[part] && layer.inputs.iter().filter(|&&other| other == part).count() == 1;
        if !whole_blocks || !layer.inputs.iter().all(free) {
            continue;
        }
        let mut block = first_blocks[layer.output];
        for &part in &layer.inputs {
            (roots[part], first_blocks[part]) = (roots[layer.output], block);
            block += blocks_of(channels(part));
        }
    }
    for layer in &lowered.layers {
        if let LayerKind::View(first) = layer.kind {
            let from = layer.inputs[0];
            (roots[layer.output], first_blocks[layer.output]) = (roots[from], first_blocks[from] + first);
        }
    }
    (roots, first_blocks)
}

/// The layout of each root, with the halos that its readers need.
fn layouts(lowered: &Lowered, roots: &[Value], head: &[bool]) -> Vec<Layout> {
    let mut layouts: Vec<Layout> = lowered.shapes.iter().map(|&shape| bare(shape)).collect();
    for (layer, _) in lowered.layers.iter().zip(head).filter(|(_, in_head)| !**in_head) {
        if let LayerKind::Convolution(convolution) | LayerKind::Depthwise(convolution) = &layer.kind {
            widen(&mut layouts[roots[layer.inputs[0]]], convolution, lowered.shapes[layer.output]);
        }
    }
    layouts
}

/// The first and last layer of the body that use each root.
fn lives(lowered: &Lowered, roots: &[Value], head: &[bool]) -> Vec<Option<(usize, usize)>> {
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; lowered.shapes.len()];
    for (number, layer) in lowered.layers.iter().enumerate().filter(|(number, _)| !head[*number]) {
        for &value in layer.inputs.iter().chain([&layer.output]).filter(|&&value| value != 0) {
            let life = lives[roots[value]].get_or_insert((number, number));
            life.1 = number;
        }
    }
    lives
}

/// A slot for each root, shared by roots that are not in use at the same time, and the number of units of each slot.
fn assign_slots(layouts: &[Layout], lives: &[Option<(usize, usize)>]) -> (Vec<Option<usize>>, Vec<usize>) {
    let mut order: Vec<(usize, usize, usize)> =
        lives.iter().enumerate().filter_map(|(root, life)| life.map(|(first, last)| (first, last, root))).collect();
    order.sort_unstable();
    let mut slot_of = vec![None; layouts.len()];
    // Units, and the last layer that uses it.
    let mut slots: Vec<(usize, usize)> = Vec::new();
    for (first, last, root) in order {
        let units = layouts[root].len();
        let free = slots.iter().enumerate().filter(|(_, slot)| slot.1 < first);
        // The best fit: the smallest that is large enough, otherwise the largest.
        let best = free.min_by_key(|(_, slot)| if slot.0 >= units { (0, slot.0) } else { (1, usize::MAX - slot.0) }).map(|(at, _)| at);
        let at = best.unwrap_or_else(|| {
            slots.push((0, 0));
            slots.len() - 1
        });
        slots[at] = (slots[at].0.max(units), last);
        slot_of[root] = Some(at);
    }
    (slot_of, slots.into_iter().map(|slot| slot.0).collect())
}
