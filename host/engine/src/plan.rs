//! From layers to steps: where each value is stored, which values share memory, and the weights laid out for the kernels.
//!
//! The **body** of a network, up to where pictures become vectors, is run for one picture after another: the output of a layer is then
//! still in the cache when the next one reads it. Its **head**, the layers on vectors, is run for a whole batch, so that the weights of
//! dense layers (235 MB of AlexNet's 244) are read once per batch.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use crate::error::{Result, unsupported};
use crate::ir::{Bounds, Convolution, Layer, LayerKind, Lrn, Shape, Value};
use crate::kernels::convolution::PackedConvolution;
use crate::kernels::depthwise::PackedDepthwise;
use crate::kernels::lrn::LrnKernel;
use crate::kernels::pool::Pool;
use crate::layout::{Layout, blocks_of};
use crate::limits::MAX_ELEMENTS;
use crate::lower::Lowered;
use crate::simd::{Instructions, LANES, tile_blocks};

/// Where a picture is stored in the workspace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    /// Where its first block starts, in units of sixteen numbers.
    pub(crate) start: usize,
    pub(crate) layout: Layout,
}

impl Buffer {
    pub(crate) fn range(&self) -> Range<usize> {
        self.start..self.start + self.layout.len()
    }
}

/// What a step of the body does, for one picture.
#[derive(Debug)]
pub(crate) enum BodyStep {
    /// Zeros around a picture that is about to be computed.
    ClearHalo,
    /// The first convolution, of the network's input.
    First(PackedConvolution),
    Convolution(PackedConvolution, Buffer),
    Depthwise(PackedDepthwise, Buffer),
    Pool(Pool, Buffer),
    Lrn(Lrn, Buffer),
    /// One picture, or the sum of two, clamped to a range.
    Add(Bounds, Buffer, Option<Buffer>),
    /// Copies the channels of one picture into another, starting at this channel.
    Copy(Buffer, usize),
    /// Into a vector.
    GlobalAverage(Buffer),
    /// Into a vector, as channels x rows x columns.
    Flatten(Buffer),
}

/// What a step of the head does, for all rows at once.
#[derive(Debug)]
pub(crate) enum HeadStep {
    Dense(PackedConvolution, Buffer),
    Add(Bounds, Buffer, Option<Buffer>),
}

/// A network that is ready to run.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The picture: planes of single numbers, possibly with a halo.
    pub(crate) input: Layout,
    /// Each with the place that it writes to.
    pub(crate) body: Vec<(BodyStep, Buffer)>,
    pub(crate) head: Vec<(HeadStep, Buffer)>,
    /// The output vector.
    pub(crate) output: Buffer,
    /// Rows of a vector: the pictures, or crops, of a batch.
    pub(crate) rows: usize,
    /// Units of sixteen numbers: first scratch, then a picture with its halo (if it has one), then all buffers.
    pub(crate) scratch: usize,
    pub(crate) padded: usize,
    pub(crate) workspace: usize,
}

pub(crate) fn plan(lowered: &Lowered, rows: usize, instructions: Instructions) -> Result<Plan> {
    let storage = Storage::of(lowered)?;
    let vectors = lowered.shapes.iter().map(|shape| match shape {
        Shape::Vector(len) => blocks_of(*len).saturating_mul(rows),
        Shape::Picture { .. } => 0,
    });
    let input = lowered.shapes[0].len();
    let padded = if storage.input.len() == input { 0 } else { blocks_of(storage.input.len()) };
    let lrns = lowered.layers.iter().filter_map(|layer| match (&layer.kind, lowered.shapes[layer.output]) {
        (LayerKind::Lrn(lrn), Shape::Picture { channels, height, width }) => {
            Some(blocks_of(LrnKernel::scratch(*lrn, Layout::bare(channels, height, width))))
        }
        _ => None,
    });
    let scratch = lrns.max().unwrap_or(0);
    // Where each slot starts, followed by where each vector starts.
    let mut next = scratch + padded;
    let mut starts = |len: usize| {
        let start = next;
        next = next.saturating_add(len);
        start
    };
    let slot_starts: Vec<usize> = storage.slots.iter().map(|&len| starts(len)).collect();
    let vector_starts: Vec<usize> = vectors.map(&mut starts).collect();
    let all = next.saturating_mul(LANES).saturating_add(input.saturating_mul(rows));
    if all > MAX_ELEMENTS {
        return unsupported("its layers are too large; choose a smaller batch");
    }
    let planner = Planner { lowered, storage, slot_starts, vector_starts, rows, blocks: tile_blocks(instructions) };
    let output = planner.buffer(lowered.output);
    let mut plan =
        Plan { input: planner.storage.input, body: Vec::new(), head: Vec::new(), output, rows, scratch, padded, workspace: next };
    for (number, layer) in lowered.layers.iter().enumerate() {
        planner.add(&mut plan, number, layer);
    }
    Ok(plan)
}

struct Planner<'g> {
    lowered: &'g Lowered,
    storage: Storage,
    slot_starts: Vec<usize>,
    vector_starts: Vec<usize>,
    rows: usize,
    blocks: usize,
}

impl Planner<'_> {
    fn buffer(&self, value: Value) -> Buffer {
        match self.lowered.shapes[value] {
            Shape::Vector(len) => Buffer { start: self.vector_starts[value], layout: Layout::bare(len, 1, self.rows) },
            Shape::Picture { .. } => {
                let place = self.storage.places[value].expect("a picture that is not the input has a place");
                Buffer { start: self.slot_starts[place.slot] + place.block * place.layout.plane(), layout: place.layout }
            }
        }
    }

    fn add(&self, plan: &mut Plan, number: usize, layer: &Layer) {
        let is_vector = matches!(self.lowered.shapes[layer.output], Shape::Vector(_));
        if self.storage.begins[number] {
            let whole = self.buffer(self.storage.roots[layer.output]);
            if whole.layout.has_halo() {
                plan.body.push((BodyStep::ClearHalo, whole));
            }
        }
        let to = self.buffer(layer.output);
        let buffer = |at: usize| self.buffer(layer.inputs[at]);
        let step = match &layer.kind {
            LayerKind::Convolution(convolution) if layer.inputs[0] == 0 => {
                BodyStep::First(PackedConvolution::new(convolution, plan.input, to.layout, self.blocks))
            }
            LayerKind::Convolution(convolution) => {
                let from = buffer(0);
                let [input, output] = flat([from.layout, to.layout], convolution);
                BodyStep::Convolution(PackedConvolution::new(convolution, input, output, self.blocks), from)
            }
            LayerKind::Depthwise(convolution) => {
                let from = buffer(0);
                BodyStep::Depthwise(PackedDepthwise::new(convolution, from.layout, to.layout), from)
            }
            LayerKind::Pool(pooling, window) => {
                let from = buffer(0);
                BodyStep::Pool(Pool { pooling: *pooling, window: *window, input: from.layout, output: to.layout }, from)
            }
            LayerKind::Lrn(lrn) => BodyStep::Lrn(*lrn, buffer(0)),
            LayerKind::Concat => return self.copy_parts(plan, layer),
            LayerKind::Add(bounds) | LayerKind::Clamp(bounds) if is_vector => {
                let other = layer.inputs.get(1).map(|&value| self.buffer(value));
                plan.head.push((HeadStep::Add(*bounds, buffer(0), other), to));
                return;
            }
            LayerKind::Add(bounds) | LayerKind::Clamp(bounds) => {
                BodyStep::Add(*bounds, buffer(0), layer.inputs.get(1).map(|&value| self.buffer(value)))
            }
            LayerKind::Dense(dense) => {
                let from = buffer(0);
                plan.head.push((HeadStep::Dense(PackedConvolution::new(dense, from.layout, to.layout, self.blocks), from), to));
                return;
            }
            LayerKind::GlobalAverage => BodyStep::GlobalAverage(buffer(0)),
            LayerKind::Flatten => BodyStep::Flatten(buffer(0)),
        };
        plan.body.push((step, to));
    }

    /// The parts of a concatenation that have not been computed in place.
    fn copy_parts(&self, plan: &mut Plan, layer: &Layer) {
        let whole = self.buffer(layer.output);
        let mut channel = 0;
        for &part in &layer.inputs {
            let from = self.buffer(part);
            if self.storage.roots[part] != self.storage.roots[layer.output] {
                plan.body.push((BodyStep::Copy(from, channel), whole));
            }
            channel += from.layout.channels;
        }
    }
}

/// Pictures without halos as single rows, if the convolution sees one pixel at a time: rows then need not divide evenly into tiles.
fn flat(layouts: [Layout; 2], layer: &Convolution) -> [Layout; 2] {
    let single = layer.kernel == [1; 2] && layer.stride == [1; 2] && layer.before == [0; 2];
    let bare = layouts.iter().all(|layout| layout.halo == [0; 2] && layout.far_halo == [0; 2]);
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

/// Where pictures are stored. Several can share one root: the parts of a concatenation are computed in place.
struct Storage {
    input: Layout,
    /// The value after which the root of each value is named; unused for vectors.
    roots: Vec<Value>,
    places: Vec<Option<Place>>,
    /// Whether a layer is the first to write to its root.
    begins: Vec<bool>,
    /// Lines of each slot.
    slots: Vec<usize>,
}

impl Storage {
    fn of(lowered: &Lowered) -> Result<Self> {
        let readable = |layer: &Layer| match &layer.kind {
            LayerKind::Convolution(weights) => weights.groups == 1 && weights.dilation[1] == 1,
            _ => false,
        };
        if lowered.layers.iter().any(|layer| layer.inputs.contains(&0) && !readable(layer)) {
            return unsupported("the picture is read by something other than a convolution");
        }
        let (roots, first_blocks) = roots(lowered);
        let layouts = layouts(lowered, &roots);
        let lives = lives(lowered, &roots);
        let (slot_of, slots) = assign_slots(&layouts, &lives);
        let place = |value: Value| {
            let (root, Shape::Picture { channels, .. }) = (roots[value], lowered.shapes[value]) else { return None };
            let whole = layouts[root].filter(|_| value != 0)?;
            Some(Place { slot: slot_of[root]?, block: first_blocks[value], layout: Layout { channels, ..whole } })
        };
        let places = (0..lowered.shapes.len()).map(place).collect();
        let begins =
            lowered.layers.iter().enumerate().map(|(number, layer)| lives[roots[layer.output]].is_some_and(|(first, _)| first == number));
        let input = Layout { lanes: 1, ..layouts[0].expect("value 0 is a picture") };
        Ok(Self { input, begins: begins.collect(), places, slots, roots })
    }
}

/// The root of each value, and the block of the root at which it starts.
fn roots(lowered: &Lowered) -> (Vec<Value>, Vec<usize>) {
    let mut apart = vec![false; lowered.layers.len()];
    loop {
        let (roots, first_blocks) = roots_but(lowered, &apart);
        // A layer cannot write to the memory that it reads, which would have to be borrowed twice.
        let clashes = |layer: &&Layer| {
            if matches!(layer.kind, LayerKind::Concat) {
                return misplaced(lowered, layer, &roots, &first_blocks);
            }
            let part = |input: &Value| {
                *input != 0 && roots[*input] == roots[layer.output] && matches!(lowered.shapes[*input], Shape::Picture { .. })
            };
            layer.inputs.iter().any(part)
        };
        let Some(clash) = lowered.layers.iter().find(clashes) else { return (roots, first_blocks) };
        let root = roots[clash.output];
        for (apart, layer) in apart.iter_mut().zip(&lowered.layers) {
            *apart |= matches!(layer.kind, LayerKind::Concat) && roots[layer.output] == root;
        }
    }
}

/// Whether a part of a concatenation is in the same root as the whole, but at another place: a part of several wholes.
fn misplaced(lowered: &Lowered, whole: &Layer, roots: &[Value], first_blocks: &[usize]) -> bool {
    let mut block = first_blocks[whole.output];
    whole.inputs.iter().any(|&part| {
        let expected = block;
        if let Shape::Picture { channels, .. } = lowered.shapes[part] {
            block += blocks_of(channels);
        }
        roots[part] == roots[whole.output] && first_blocks[part] != expected
    })
}

/// The same, with the concatenations that must be made by copying.
fn roots_but(lowered: &Lowered, apart: &[bool]) -> (Vec<Value>, Vec<usize>) {
    let mut roots: Vec<Value> = (0..lowered.shapes.len()).collect();
    let mut first_blocks = vec![0; lowered.shapes.len()];
    let channels = |value: Value| if let Shape::Picture { channels, .. } = lowered.shapes[value] { channels } else { 0 };
    // In reverse order, so that the whole has its place before its parts get theirs.
    for (layer, _) in lowered.layers.iter().zip(apart).rev().filter(|(layer, apart)| matches!(layer.kind, LayerKind::Concat) && !**apart) {
        let whole_blocks = layer.inputs[..layer.inputs.len() - 1].iter().all(|&part| channels(part) % LANES == 0);
        let free = |&part: &Value| part != 0 && roots[part] == part && layer.inputs.iter().filter(|&&other| other == part).count() == 1;
        if !whole_blocks || !layer.inputs.iter().all(free) {
            continue;
        }
        let mut block = first_blocks[layer.output];
        for &part in &layer.inputs {
            (roots[part], first_blocks[part]) = (roots[layer.output], block);
            block += blocks_of(channels(part));
        }
    }
    (roots, first_blocks)
}

/// The layout of each root, with the halos that its readers need.
fn layouts(lowered: &Lowered, roots: &[Value]) -> Vec<Option<Layout>> {
    let bare = |shape: &Shape| match *shape {
        Shape::Picture { channels, height, width } => Some(Layout::bare(channels, height, width)),
        Shape::Vector(_) => None,
    };
    let mut layouts: Vec<Option<Layout>> = lowered.shapes.iter().map(bare).collect();
    for layer in &lowered.layers {
        let (LayerKind::Convolution(weights) | LayerKind::Depthwise(weights)) = &layer.kind else { continue };
        let Shape::Picture { height, width, .. } = lowered.shapes[layer.output] else { continue };
        let Some(layout) = &mut layouts[roots[layer.inputs[0]]] else { continue };
        for (axis, (side, out)) in [(layout.height, height), (layout.width, width)].into_iter().enumerate() {
            let extent = (out - 1) * weights.stride[axis] + (weights.kernel[axis] - 1) * weights.dilation[axis] + 1;
            layout.halo[axis] = layout.halo[axis].max(weights.before[axis]);
            layout.far_halo[axis] = layout.far_halo[axis].max(extent.saturating_sub(weights.before[axis] + side));
        }
    }
    layouts
}

/// The first and last layer that use each root; `None` for vectors and the input.
fn lives(lowered: &Lowered, roots: &[Value]) -> Vec<Option<(usize, usize)>> {
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; lowered.shapes.len()];
    for (number, layer) in lowered.layers.iter().enumerate() {
        let pictures = layer.inputs.iter().chain([&layer.output]);
        for &value in pictures.filter(|&&value| value != 0 && matches!(lowered.shapes[value], Shape::Picture { .. })) {
            let life = lives[roots[value]].get_or_insert((number, number));
            life.1 = number;
        }
    }
    lives
}

/// A slot for each root, shared by roots that are not in use at the same time, and the number of lines of each slot.
fn assign_slots(layouts: &[Option<Layout>], lives: &[Option<(usize, usize)>]) -> (Vec<Option<usize>>, Vec<usize>) {
    let mut order: Vec<(usize, usize, usize)> =
        lives.iter().enumerate().filter_map(|(root, life)| life.map(|(first, last)| (first, last, root))).collect();
    order.sort_unstable();
    let mut slot_of = vec![None; layouts.len()];
    // Lines, and the last layer that uses it.
    let mut slots: Vec<(usize, usize)> = Vec::new();
    for (first, last, root) in order {
        let lines = layouts[root].map_or(0, |layout| layout.len());
        let free = slots.iter().enumerate().filter(|(_, slot)| slot.1 < first);
        // The best fit: the smallest that is large enough, otherwise the largest.
        let best = free.min_by_key(|(_, slot)| if slot.0 >= lines { (0, slot.0) } else { (1, usize::MAX - slot.0) }).map(|(at, _)| at);
        let at = best.unwrap_or_else(|| {
            slots.push((0, 0));
            slots.len() - 1
        });
        slots[at] = (slots[at].0.max(lines), last);
        slot_of[root] = Some(at);
    }
    (slot_of, slots.into_iter().map(|slot| slot.0).collect())
}
