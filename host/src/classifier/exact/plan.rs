//! From layers to steps: where each value lies, which values share memory, and the weights laid out for the kernels.
//!
//! The **body** of a network, up to where pictures become vectors, is run for one picture after another: what a layer makes is then still
//! in the cache when the next one reads it. Its **head**, the layers of vectors, is run for a whole batch, so that the weights of
//! dense layers (235 MB of AlexNet's 244) are read once a batch.

use super::convolution::{Convolution, Range, Weights};
use super::graph::{Graph, Layer, Lrn, Operation, Shape, Unsupported, Value, Window};
use super::layers::{Depthwise, Normalise, Pool, Pooling};
use super::layout::{Layout, blocks_of};
use crate::model::network::MAX_ELEMENTS;
use fooling_engine::simd::{Instructions, LANES, tile_blocks as blocks};

/// A picture among the lines of a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) slot: usize,
    /// Where the first block begins.
    pub(super) at: usize,
    pub(super) layout: Layout,
}

/// A step of the body, for one picture.
#[derive(Debug)]
pub(super) enum Step {
    /// Zeros around a picture that is about to be made.
    ClearHalo(Place),
    /// The first convolution, of the picture itself.
    First(Convolution, Place),
    Convolution(Convolution, Place, Place),
    Depthwise(Depthwise, Place, Place),
    Pool(Pool, Place, Place),
    Lrn(Lrn, Place, Place),
    /// One picture, or the sum of two, put into a range.
    Combine(Range, Place, Option<Place>, Place),
    /// The channels of one picture, into those of another that begin with this number.
    Copy(Place, Place, usize),
    /// Into a vector.
    GlobalAverage(Place, usize),
    /// Into a vector, channels x rows x columns.
    Flatten(Place, usize),
}

/// A step of the head, for all rows at once.
#[derive(Debug)]
pub(super) enum HeadStep {
    Dense(Box<Convolution>, usize, usize),
    Combine(Range, usize, Option<usize>, usize),
}

/// A network ready to run.
#[derive(Debug)]
pub(super) struct Plan {
    /// The picture: planes of single numbers, perhaps with a halo.
    pub(super) input: Layout,
    pub(super) body: Vec<Step>,
    pub(super) head: Vec<HeadStep>,
    /// Lines of each slot.
    pub(super) slots: Vec<usize>,
    /// Numbers a row of each vector.
    pub(super) vectors: Vec<usize>,
    /// The vector that comes out.
    pub(super) output: usize,
    /// Rows of a vector: pictures, or crops, of a batch.
    pub(super) rows: usize,
    /// Numbers of scratch for [`Step::Lrn`].
    pub(super) scratch: usize,
}

pub(super) fn plan(graph: &Graph, rows: usize, instructions: Instructions) -> Result<Plan, Unsupported> {
    let storage = Storage::of(graph)?;
    let vectors = graph.shapes.iter().filter(|shape| matches!(shape, Shape::Vector(_)));
    let vectors =
        vectors.fold(storage.input.len(), |all, shape| all.saturating_add(shape.len().next_multiple_of(LANES).saturating_mul(rows)));
    if storage.slots.iter().fold(vectors, |all, &lines| all.saturating_add(lines.saturating_mul(LANES))) > MAX_ELEMENTS {
        return Err(Unsupported("its layers are too large; choose a smaller batch".into()));
    }
    let vector_numbers = vector_numbers(graph);
    let mut plan = Plan {
        input: storage.input,
        body: Vec::new(),
        head: Vec::new(),
        slots: storage.slots.clone(),
        vectors: graph.shapes.iter().filter_map(|shape| if let Shape::Vector(len) = shape { Some(*len) } else { None }).collect(),
        output: vector_numbers[graph.output],
        rows,
        scratch: 0,
    };
    let planner = Planner { graph, storage, vector_numbers, blocks: blocks(instructions) };
    for (number, layer) in graph.layers.iter().enumerate() {
        planner.add(&mut plan, number, layer);
    }
    Ok(plan)
}

/// The number of each vector among all vectors; of no meaning for pictures.
fn vector_numbers(graph: &Graph) -> Vec<usize> {
    let mut next = 0;
    let number = |shape: &Shape| {
        next += usize::from(matches!(shape, Shape::Vector(_)));
        next.saturating_sub(1)
    };
    graph.shapes.iter().map(number).collect()
}

struct Planner<'g> {
    graph: &'g Graph,
    storage: Storage,
    vector_numbers: Vec<usize>,
    blocks: usize,
}

impl Planner<'_> {
    fn place(&self, value: Value) -> Place {
        self.storage.places[value].expect("a picture that is not the input has a place")
    }

    fn add(&self, plan: &mut Plan, number: usize, layer: &Layer) {
        if self.storage.begins[number] {
            let whole = self.storage.whole(layer.output);
            if whole.layout.len() != whole.layout.blocks() * whole.layout.height * whole.layout.width {
                plan.body.push(Step::ClearHalo(whole));
            }
        }
        let vector = |value: Value| self.vector_numbers[value];
        let first = layer.inputs[0];
        let to = || self.place(layer.output);
        let is_vector = matches!(self.graph.shapes[layer.output], Shape::Vector(_));
        match &layer.operation {
            Operation::Convolution(weights) if first == 0 => {
                plan.body.push(Step::First(Convolution::new(weights, plan.input, to().layout, self.blocks), to()));
            }
            Operation::Convolution(weights) => {
                let (from, to) = (self.place(first), to());
                let [input, output] = flat([from.layout, to.layout], weights);
                plan.body.push(Step::Convolution(Convolution::new(weights, input, output, self.blocks), from, to));
            }
            Operation::Depthwise(weights) => {
                let (from, to) = (self.place(first), to());
                plan.body.push(Step::Depthwise(Depthwise::new(weights, from.layout, to.layout), from, to));
            }
            Operation::MaxPool(window) => plan.body.push(pool(Pooling::Largest, *window, self.place(first), to())),
            Operation::AveragePool { window, whole } => {
                let pooling = if *whole { Pooling::MeanOfWhole } else { Pooling::Mean };
                plan.body.push(pool(pooling, *window, self.place(first), to()));
            }
            Operation::Lrn(lrn) => {
                plan.scratch = plan.scratch.max(Normalise::scratch(*lrn, to().layout));
                plan.body.push(Step::Lrn(*lrn, self.place(first), to()));
            }
            Operation::Concat => self.copy_parts(plan, layer),
            Operation::Add(range) | Operation::Clamp(range) if is_vector => {
                let other = layer.inputs.get(1).map(|&value| vector(value));
                plan.head.push(HeadStep::Combine(*range, vector(first), other, vector(layer.output)));
            }
            Operation::Add(range) | Operation::Clamp(range) => {
                let other = layer.inputs.get(1).map(|&value| self.place(value));
                plan.body.push(Step::Combine(*range, self.place(first), other, to()));
            }
            Operation::Dense(weights) => {
                let row = |value: Value| Layout::bare(self.graph.shapes[value].len(), 1, plan.rows);
                let convolution = Convolution::new(weights, row(first), row(layer.output), self.blocks);
                plan.head.push(HeadStep::Dense(Box::new(convolution), vector(first), vector(layer.output)));
            }
            Operation::GlobalAverage => plan.body.push(Step::GlobalAverage(self.place(first), vector(layer.output))),
            Operation::Flatten => plan.body.push(Step::Flatten(self.place(first), vector(layer.output))),
        }
    }

    /// The parts of a whole that have not been made in their place.
    fn copy_parts(&self, plan: &mut Plan, layer: &Layer) {
        let whole = self.place(layer.output);
        let mut channel = 0;
        for &part in &layer.inputs {
            let from = self.place(part);
            if self.storage.roots[part] != self.storage.roots[layer.output] {
                plan.body.push(Step::Copy(from, whole, channel));
            }
            channel += from.layout.channels;
        }
    }
}

fn pool(pooling: Pooling, window: Window, from: Place, to: Place) -> Step {
    Step::Pool(Pool { pooling, window, input: from.layout, output: to.layout }, from, to)
}

/// Pictures without halos as single rows, where the convolution looks at one pixel at a time: rows then need not come out even.
fn flat(layouts: [Layout; 2], weights: &Weights) -> [Layout; 2] {
    let single = weights.kernel == [1; 2] && weights.stride == [1; 2] && weights.before == [0; 2];
    let bare = layouts.iter().all(|layout| layout.halo == [0; 2] && layout.far_halo == [0; 2]);
    if single && bare { layouts.map(|layout| Layout::bare(layout.channels, 1, layout.height * layout.width)) } else { layouts }
}

/// Where pictures lie. Several can lie in one root: the parts of a concatenation are made in their place.
struct Storage {
    input: Layout,
    /// The value that the root of each value is named after; of no meaning for vectors.
    roots: Vec<Value>,
    places: Vec<Option<Place>>,
    /// Whether a layer is the first to write into its root.
    begins: Vec<bool>,
    /// Lines of each slot.
    slots: Vec<usize>,
}

impl Storage {
    fn of(graph: &Graph) -> Result<Self, Unsupported> {
        let readable = |layer: &Layer| match &layer.operation {
            Operation::Convolution(weights) => weights.groups == 1 && weights.dilation[1] == 1,
            _ => false,
        };
        if graph.layers.iter().any(|layer| layer.inputs.contains(&0) && !readable(layer)) {
            return Err(Unsupported("the picture goes into something else than a convolution".into()));
        }
        let (roots, first_blocks) = roots(graph);
        let layouts = layouts(graph, &roots);
        let lives = lives(graph, &roots);
        let (slot_of, slots) = assign_slots(&layouts, &lives);
        let place = |value: Value| {
            let (root, Shape::Picture { channels, .. }) = (roots[value], graph.shapes[value]) else { return None };
            let whole = layouts[root].filter(|_| value != 0)?;
            Some(Place { slot: slot_of[root]?, at: first_blocks[value] * whole.plane(), layout: Layout { channels, ..whole } })
        };
        let places = (0..graph.shapes.len()).map(place).collect();
        let begins =
            graph.layers.iter().enumerate().map(|(number, layer)| lives[roots[layer.output]].is_some_and(|(first, _)| first == number));
        let input = Layout { lanes: 1, ..layouts[0].expect("value 0 is a picture") };
        Ok(Self { input, begins: begins.collect(), places, slots, roots })
    }

    /// The whole root that a value lies in.
    fn whole(&self, value: Value) -> Place {
        self.places[self.roots[value]].expect("a root has a place")
    }
}

/// The root of each value, and the block of the root at which it begins.
fn roots(graph: &Graph) -> (Vec<Value>, Vec<usize>) {
    let mut apart = vec![false; graph.layers.len()];
    loop {
        let (roots, first_blocks) = roots_but(graph, &apart);
        // A layer cannot write into the memory that it reads, for which it would have to be lent twice.
        let clashes = |layer: &&Layer| {
            if matches!(layer.operation, Operation::Concat) {
                return misplaced(graph, layer, &roots, &first_blocks);
            }
            let part = |input: &Value| {
                *input != 0 && roots[*input] == roots[layer.output] && matches!(graph.shapes[*input], Shape::Picture { .. })
            };
            layer.inputs.iter().any(part)
        };
        let Some(clash) = graph.layers.iter().find(clashes) else { return (roots, first_blocks) };
        let root = roots[clash.output];
        for (apart, layer) in apart.iter_mut().zip(&graph.layers) {
            *apart |= matches!(layer.operation, Operation::Concat) && roots[layer.output] == root;
        }
    }
}

/// Whether a part of a concatenation lies in the same root as the whole, but at another place: a part of several wholes.
fn misplaced(graph: &Graph, whole: &Layer, roots: &[Value], first_blocks: &[usize]) -> bool {
    let mut block = first_blocks[whole.output];
    whole.inputs.iter().any(|&part| {
        let expected = block;
        if let Shape::Picture { channels, .. } = graph.shapes[part] {
            block += blocks_of(channels);
        }
        roots[part] == roots[whole.output] && first_blocks[part] != expected
    })
}

/// The same, with the concatenations that are to be made by copying.
fn roots_but(graph: &Graph, apart: &[bool]) -> (Vec<Value>, Vec<usize>) {
    let mut roots: Vec<Value> = (0..graph.shapes.len()).collect();
    let mut first_blocks = vec![0; graph.shapes.len()];
    let channels = |value: Value| if let Shape::Picture { channels, .. } = graph.shapes[value] { channels } else { 0 };
    // The last first, so that the whole has its place before its parts get theirs.
    for (layer, _) in graph.layers.iter().zip(apart).rev().filter(|(layer, apart)| matches!(layer.operation, Operation::Concat) && !**apart)
    {
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
fn layouts(graph: &Graph, roots: &[Value]) -> Vec<Option<Layout>> {
    let bare = |shape: &Shape| match *shape {
        Shape::Picture { channels, height, width } => Some(Layout::bare(channels, height, width)),
        Shape::Vector(_) => None,
    };
    let mut layouts: Vec<Option<Layout>> = graph.shapes.iter().map(bare).collect();
    for layer in &graph.layers {
        let (Operation::Convolution(weights) | Operation::Depthwise(weights)) = &layer.operation else { continue };
        let Shape::Picture { height, width, .. } = graph.shapes[layer.output] else { continue };
        let Some(layout) = &mut layouts[roots[layer.inputs[0]]] else { continue };
        for (axis, (side, out)) in [(layout.height, height), (layout.width, width)].into_iter().enumerate() {
            let extent = (out - 1) * weights.stride[axis] + (weights.kernel[axis] - 1) * weights.dilation[axis] + 1;
            layout.halo[axis] = layout.halo[axis].max(weights.before[axis]);
            layout.far_halo[axis] = layout.far_halo[axis].max(extent.saturating_sub(weights.before[axis] + side));
        }
    }
    layouts
}

/// From which layer to which each root is in use; `None` for vectors and the input.
fn lives(graph: &Graph, roots: &[Value]) -> Vec<Option<(usize, usize)>> {
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; graph.shapes.len()];
    for (number, layer) in graph.layers.iter().enumerate() {
        let pictures = layer.inputs.iter().chain([&layer.output]);
        for &value in pictures.filter(|&&value| value != 0 && matches!(graph.shapes[value], Shape::Picture { .. })) {
            let life = lives[roots[value]].get_or_insert((number, number));
            life.1 = number;
        }
    }
    lives
}

/// A slot for each root, shared by those that are not in use at the same time; and how many lines each slot needs.
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
        // The one that fits best: the smallest that is large enough, else the largest.
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
