//! A layer over tensors: the operation of a node, resolved once and run without allocating.
//!
//! Most nodes only move elements: transposing, slicing, expanding, repeating, gathering, padding and nearest resizing are all moves by
//! [`Offsets`]. Sums over a row are sixteen partial sums, with number `i` in sum `i % 16`, which are then added by halves (see
//! [`Reduction`]).

use alloc::vec;
use alloc::vec::Vec;

use super::chunk::{load, store};
use super::grid::GridSample;
use super::matmul::MatMul;
use super::normalise::Normalise;
use super::offsets::Offsets;
use super::order::Order;
use super::pick::{Pick, ScatterRows};
use super::reduce::{Reduction, sum_of_parts};
use super::resize::{Blend, Interpolation, nearest};
use super::shape::{MAX_RANK, product};
use super::window::Sliding;
use crate::fold::call::{Operand, Problem, TensorType, floats_of, index_of, integers_of};
use crate::fold::operation::Operation;
use crate::graph::ElementType;
use crate::kernels::function::Binary;
use crate::math::lanes;
use crate::simd::{Instructions, Kernel, LANES, Vector, dispatch};

/// A layer over tensors. Integers and booleans are stored as floats.
#[derive(Debug, Clone)]
pub(crate) struct TensorLayer {
    kind: Kind,
    sources: Vec<Source>,
    work: usize,
}

/// Where an operand comes from.
#[derive(Debug, Clone)]
enum Source {
    /// The number of an input of [`TensorLayer::run`].
    Input(usize),
    Constant(Vec<f32>),
}

#[derive(Debug, Clone)]
enum Kind {
    /// One for each result.
    Move(Vec<Offsets>),
    /// Towards zero.
    Truncate,
    IsNotZero,
    Pointwise(Pointwise),
    Softmax {
        size: usize,
        inner: usize,
        log: bool,
    },
    /// First the reduced axes are moved to the end.
    Reduce {
        reduction: Reduction,
        offsets: Offsets,
        size: usize,
    },
    MatMul(MatMul),
    Normalise(Normalise),
    /// Divided by the root of the sum of squares, or by the sum of magnitudes.
    Lp {
        size: usize,
        inner: usize,
        power: u8,
    },
    /// Local response normalisation over channels, each of `inner` numbers.
    Lrn {
        channels: usize,
        inner: usize,
        size: usize,
        /// Alpha over the size, beta, bias.
        numbers: [f32; 3],
    },
    Resize(Vec<Blend>),
    Window(Sliding),
    Quantize {
        inner: usize,
        low: f32,
        high: f32,
    },
    Dequantize {
        inner: usize,
    },
    /// The elements of each result, or their positions.
    Order {
        order: Order,
        positions: [bool; 2],
    },
    Pick(Pick),
    Scatter(ScatterRows),
    /// Channels, rows and columns; positions for each picture.
    GridSample {
        sample: GridSample,
        dims: [usize; 3],
        pixels: usize,
    },
}

/// Functions of numbers of several operands, each broadcast.
#[derive(Debug, Clone)]
struct Pointwise {
    /// None for a selection between two.
    function: Option<Binary>,
    dims: Vec<usize>,
    /// For each operand, the distance between neighbours along each axis.
    strides: [[usize; MAX_RANK]; 3],
}

impl TensorLayer {
    /// Prepares a node. Operands that are not constant are the inputs of [`Self::run`], in order.
    pub(crate) fn new(operation: &Operation, operands: &[Option<Operand<'_>>], results: &[TensorType]) -> Result<Self, Problem> {
        let mut inputs = 0..;
        let source = |operand: &Operand<'_>| match operand.constant {
            Some(constant) => Source::Constant(floats_of(constant)),
            None => Source::Input(inputs.next().unwrap_or(0)),
        };
        let sources = operands.iter().flatten().map(source).collect();
        let shape = |at: usize| operands.get(at).copied().flatten().map_or(&[][..], |operand| operand.shape);
        let result = results.first().map_or(&[][..], |kind| &kind.shape);
        let (kind, work) = make(operation, operands, shape(0), result)?;
        Ok(Self { kind, sources, work })
    }

    /// The scratch needed, in numbers.
    pub(crate) fn scratch(&self) -> usize {
        match &self.kind {
            Kind::Reduce { offsets, .. } => offsets.len(),
            Kind::MatMul(layer) => layer.scratch(),
            Kind::Order { order, .. } => order.size,
            Kind::Resize(axes) => 2 * axes.iter().map(Blend::len).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// The approximate number of operations.
    pub(crate) fn work(&self) -> usize {
        self.work
    }

    /// The layer in words.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Move(_) => "moving elements of a tensor",
            Kind::Truncate | Kind::IsNotZero | Kind::Pointwise(_) => "a function of elements of tensors",
            Kind::Softmax { .. } => "a softmax of a tensor",
            Kind::Reduce { .. } => "a reduction of a tensor",
            Kind::MatMul(_) => "a product of tensors",
            Kind::Normalise(_) | Kind::Lp { .. } | Kind::Lrn { .. } => "a normalisation of a tensor",
            Kind::Resize(_) | Kind::GridSample { .. } => "resampling of a tensor",
            Kind::Window(_) => "a convolution or pooling of a tensor",
            Kind::Quantize { .. } | Kind::Dequantize { .. } => "a quantisation of a tensor",
            Kind::Order { .. } => "sorting of a tensor",
            Kind::Pick(_) | Kind::Scatter(_) => "picking elements of a tensor",
        }
    }

    /// Whether the layer computes exponentials.
    pub(crate) fn uses_exponentials(&self) -> bool {
        matches!(self.kind, Kind::Softmax { .. } | Kind::Reduce { reduction: Reduction::LogSumExp, .. })
    }

    /// The multiply-adds of sums of products.
    pub(crate) fn multiply_adds(&self) -> usize {
        if matches!(self.kind, Kind::MatMul(_) | Kind::Window(_)) { self.work } else { 0 }
    }

    /// Computes one of the results.
    pub(crate) fn run(&self, instructions: Instructions, inputs: &[&[f32]], result: usize, output: &mut [f32], scratch: &mut [f32]) {
        dispatch(instructions, Run { layer: self, inputs, result, output, scratch });
    }

    #[inline(always)]
    fn operand<'a>(&'a self, at: usize, inputs: &[&'a [f32]]) -> &'a [f32] {
        match self.sources.get(at) {
            Some(Source::Input(input)) => inputs[*input],
            Some(Source::Constant(numbers)) => numbers,
            None => &[],
        }
    }
}

/// A layer with its operands.
struct Run<'a> {
    layer: &'a TensorLayer,
    inputs: &'a [&'a [f32]],
    result: usize,
    output: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl Kernel for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { layer, inputs, result, output, scratch } = self;
        let operand = |at: usize| layer.operand(at, inputs);
        match &layer.kind {
            Kind::Move(results) => results[result].run(operand(0), output),
            Kind::Truncate => {
                for (to, &from) in output.iter_mut().zip(operand(0)) {
                    *to = if from < 0.0 { crate::math::ceil(from) } else { crate::math::floor(from) };
                }
            }
            Kind::IsNotZero => {
                output.iter_mut().zip(operand(0)).for_each(|(to, &from)| *to = if from == 0.0 { 0.0 } else { 1.0 });
            }
            Kind::Pointwise(pointwise) => pointwise.run([operand(0), operand(1), operand(2)], output),
            Kind::Softmax { size, inner, log } => softmax::<V>(operand(0), output, *size, *inner, *log),
            Kind::Reduce { reduction, offsets, size } => {
                offsets.run(operand(0), scratch);
                for (to, row) in output.iter_mut().zip(scratch.chunks_exact(*size)) {
                    *to = reduction.of::<V>(row);
                }
            }
            Kind::MatMul(product) => product.run::<V>(operand(0), operand(1), operand(2), output, scratch),
            Kind::Normalise(normalise) => normalise.run::<V>(operand(0), operand(1), operand(2), output),
            Kind::Lp { size, inner, power } => lp(operand(0), output, *size, *inner, *power),
            Kind::Lrn { channels, inner, size, numbers } => lrn(operand(0), output, [*channels, *inner], *size, *numbers),
            Kind::Resize(axes) => super::resize::run(axes, operand(0), output, scratch),
            Kind::Window(window) => window.run(operand(0), operand(1), operand(2), output),
            Kind::Order { order, positions } => order.run(operand(0), output, positions.get(result) == Some(&true), scratch),
            Kind::Pick(pick) => pick.run(operand(0), operand(1), output),
            Kind::Scatter(scatter) => scatter.run(operand(0), operand(1), operand(2), output),
            Kind::GridSample { sample, dims, pixels } => sample.run(operand(0), operand(1), output, *dims, *pixels),
            Kind::Quantize { inner, low, high } => {
                let (scale, zero) = (operand(1), operand(2));
                for (at, (to, &from)) in output.iter_mut().zip(operand(0)).enumerate() {
                    let channel = at / inner % scale.len();
                    let rounded = crate::math::round(from / scale[channel]) + zero.get(channel).copied().unwrap_or(0.0);
                    *to = if rounded < *low {
                        *low
                    } else if rounded > *high {
                        *high
                    } else {
                        rounded
                    };
                }
            }
            Kind::Dequantize { inner } => {
                let (scale, zero) = (operand(1), operand(2));
                for (at, (to, &from)) in output.iter_mut().zip(operand(0)).enumerate() {
                    let channel = at / inner % scale.len();
                    *to = (from - zero.get(channel).copied().unwrap_or(0.0)) * scale[channel];
                }
            }
        }
    }
}

/// The effect of an operation on tensors of these shapes, and its amount of work.
fn make(operation: &Operation, operands: &[Option<Operand<'_>>], shape: &[usize], result: &[usize]) -> Result<(Kind, usize), Problem> {
    let len = product(result);
    let ranks = operands.iter().flatten().map(|operand| operand.shape.len()).chain([result.len()]);
    if ranks.max().unwrap_or(0) > MAX_RANK {
        return Err("has too many dimensions".into());
    }
    let kind = match operation {
        Operation::Cast { to } => cast(*to, shape),
        Operation::Binary(function) => Kind::Pointwise(Pointwise::new(Some(*function), operands, result)),
        Operation::Where => Kind::Pointwise(Pointwise::new(None, operands, result)),
        Operation::Softmax { axis, axes, log } => {
            let end = (axis + axes).min(shape.len());
            Kind::Softmax { size: product(&shape[*axis..end]), inner: product(&shape[end..]), log: *log }
        }
        Operation::Reduce { reduction, axes, .. } => reduce(*reduction, axes, shape),
        Operation::GlobalPool { reduction } => reduce(*reduction, &(2..shape.len()).collect::<Vec<_>>(), shape),
        Operation::MatMul | Operation::Gemm { .. } => {
            let product = MatMul::new(operation, operands, result)?;
            let work = product.work();
            return Ok((Kind::MatMul(product), work));
        }
        Operation::LayerNormalization { .. }
        | Operation::RmsNormalization { .. }
        | Operation::InstanceNormalization { .. }
        | Operation::GroupNormalization { .. } => Kind::Normalise(Normalise::new(operation, shape)?),
        Operation::LpNormalization { axis, power } => Kind::Lp { size: shape[*axis], inner: product(&shape[axis + 1..]), power: *power },
        Operation::Lrn { size, alpha, beta, bias } => {
            let (channels, inner) = (shape.get(1).copied().unwrap_or(1), product(shape.get(2..).unwrap_or(&[])));
            let kind = Kind::Lrn { channels, inner, size: *size, numbers: [alpha / *size as f32, *beta, *bias] };
            return Ok((kind, len.saturating_mul(size.saturating_add(32))));
        }
        Operation::Resize { resize, shape: to } if resize.interpolation == Interpolation::Nearest => {
            Kind::Move(vec![nearest(resize, shape, to)?])
        }
        Operation::Resize { resize, shape: to } => Kind::Resize(Blend::axes(resize, shape, to)?),
        Operation::Convolution(_) | Operation::Pool(_) => {
            let window = Sliding::new(operation, operands, shape, result)?;
            let work = window.work();
            return Ok((Kind::Window(window), work));
        }
        Operation::Quantize { axis, to } => {
            let (low, high) = crate::fold::evaluate::range(*to).filter(|_| *to != ElementType::I64).ok_or("makes no small integers")?;
            let inner = channel_stride(operands, shape, *axis)?;
            Kind::Quantize { inner, low: low as f32, high: high as f32 }
        }
        Operation::Dequantize { axis } => Kind::Dequantize { inner: channel_stride(operands, shape, *axis)? },
        Operation::TopK { .. } | Operation::ArgMax { .. } => return order(operation, shape),
        Operation::Gather { axis } if !is_constant(operands, 1) => {
            if product(shape) == 0 {
                return Err("selects from nothing".into());
            }
            Kind::Pick(Pick { side: shape[*axis], inner: product(&shape[axis + 1..]) })
        }
        Operation::ScatterNd => scatter_rows(operands, shape)?,
        Operation::GridSample(sample) => {
            let (&[_, channels, rows, columns], &[.., down, across]) = (shape, result) else {
                return Err("is not over rows and columns".into());
            };
            let pixels = down.saturating_mul(across);
            let kind = Kind::GridSample { sample: *sample, dims: [channels, rows, columns], pixels };
            return Ok((kind, len.saturating_mul(64)));
        }
        _ => Kind::Move(moves(operation, operands, shape, result)?),
    };
    Ok((kind, len.max(product(shape)).saturating_mul(4)))
}

/// The number of elements that share a scale of a quantisation; all of them if there is only one scale.
fn channel_stride(operands: &[Option<Operand<'_>>], shape: &[usize], axis: usize) -> Result<usize, Problem> {
    let count = |at: usize| operands.get(at).copied().flatten().map(|operand| product(operand.shape));
    match (count(1), count(2).unwrap_or(1)) {
        (Some(1), 1) => Ok(product(shape).max(1)),
        (Some(scales), zeros) if shape.get(axis) == Some(&scales) && (zeros == scales || count(2).is_none()) => {
            Ok(product(&shape[axis + 1..]).max(1))
        }
        _ => Err("has scales that do not fit its operand".into()),
    }
}

fn is_constant(operands: &[Option<Operand<'_>>], at: usize) -> bool {
    operands.get(at).copied().flatten().is_some_and(|operand| operand.constant.is_some())
}

/// The largest elements of an axis, and the work of searching for them.
fn order(operation: &Operation, shape: &[usize]) -> Result<(Kind, usize), Problem> {
    let (axis, count, smallest, last, positions) = match operation {
        Operation::TopK { axis, count, smallest } => (*axis, *count, *smallest, false, [false, true]),
        Operation::ArgMax { axis, smallest, last, .. } => (*axis, 1, *smallest, *last, [true, false]),
        _ => return Err("has no order".into()),
    };
    if shape[axis] >= 1 << 24 {
        return Err("sorts an axis that is too long".into());
    }
    let order = Order { size: shape[axis], inner: product(&shape[axis + 1..]), count, smallest, last };
    Ok((Kind::Order { order, positions }, product(shape).saturating_mul(64)))
}

/// Whole rows are replaced, each with one index: folding turns other indices that depend on the picture into these.
fn scatter_rows(operands: &[Option<Operand<'_>>], shape: &[usize]) -> Result<Kind, Problem> {
    let depth = operands.get(1).copied().flatten().and_then(|operand| operand.shape.last().copied());
    match (depth, shape.split_first()) {
        (Some(1), Some((&rows, rest))) => Ok(Kind::Scatter(ScatterRows { rows, inner: product(rest) })),
        _ => Err("has indices that depend on the picture".into()),
    }
}

fn cast(to: ElementType, shape: &[usize]) -> Kind {
    match to {
        ElementType::F32 | ElementType::F16 | ElementType::F64 => Kind::Move(vec![Offsets::new(shape)]),
        ElementType::Bool => Kind::IsNotZero,
        _ => Kind::Truncate,
    }
}

fn reduce(reduction: Reduction, axes: &[usize], shape: &[usize]) -> Kind {
    let kept = (0..shape.len()).filter(|axis| !axes.contains(axis));
    let order: Vec<usize> = kept.chain(axes.iter().copied()).collect();
    let size = axes.iter().fold(1, |all, &axis| all * shape[axis]);
    Kind::Reduce { reduction, offsets: Offsets::transposed(shape, &order), size }
}

/// Nodes that move elements without changing them.
fn moves(operation: &Operation, operands: &[Option<Operand<'_>>], shape: &[usize], result: &[usize]) -> Result<Vec<Offsets>, Problem> {
    let whole = || Offsets::new(shape);
    let one = |offsets: Offsets| Ok(vec![offsets]);
    match operation {
        Operation::Keep | Operation::Reshape { .. } => one(whole()),
        Operation::Transpose { order } => one(Offsets::transposed(shape, order)),
        Operation::Slice { starts, steps, sizes } => {
            let mut offsets = whole();
            for axis in 0..shape.len() {
                let places = (0..sizes[axis]).map(|at| starts[axis].wrapping_add_signed(steps[axis].wrapping_mul(at.cast_signed())));
                offsets.choose(axis, places)?;
            }
            one(offsets)
        }
        Operation::Split { axis, sizes } => {
            let mut start = 0;
            let part = |&size: &usize| {
                let mut offsets = Offsets::new(shape);
                offsets.choose(*axis, start..start + size)?;
                start += size;
                Ok(offsets)
            };
            sizes.iter().map(part).collect()
        }
        Operation::Expand { .. } => one(whole().expanded(result)),
        Operation::Tile { repeats } => {
            let mut offsets = whole();
            for (axis, &repeats) in repeats.iter().enumerate() {
                offsets.choose(axis, (0..shape[axis] * repeats).map(|at| at % shape[axis]))?;
            }
            one(offsets)
        }
        Operation::Gather { axis } => {
            let indices =
                operands.get(1).copied().flatten().and_then(|operand| operand.constant).ok_or("has indices that depend on the picture")?;
            let indices = integers_of(indices).ok_or("has indices that are no integers")?;
            let places = indices.into_iter().map(|index| index_of(index, shape[*axis])).collect::<Result<Vec<_>, _>>()?;
            let mut offsets = whole();
            offsets.choose(*axis, places.into_iter())?;
            one(offsets)
        }
        Operation::Pad { before, after, mode, value } => {
            let mut offsets = whole();
            offsets.fill = *value as f32;
            for axis in 0..shape.len() {
                let side = i64::try_from(shape[axis]).map_err(|_| "is too large")?;
                let places = (-before[axis]..side + after[axis]).map(|at| mode.element(at, side));
                offsets.choose_or_fill(axis, places)?;
            }
            one(offsets)
        }
        Operation::DepthToSpace { block, columns_first } => one(depth_to_space(shape, *block, *columns_first)?),
        Operation::SpaceToDepth { block } => one(space_to_depth(shape, *block)?),
        _ => Err("this engine does not support the operator".into()),
    }
}

fn depth_to_space(shape: &[usize], block: usize, columns_first: bool) -> Result<Offsets, Problem> {
    let &[batch, channels, rows, columns] = shape else { return Err("is not over rows and columns".into()) };
    if block == 0 || !channels.is_multiple_of(block * block) {
        return Err("has a block that does not divide its channels".into());
    }
    let each = channels / (block * block);
    Ok(if columns_first {
        Offsets::transposed(&[batch, each, block, block, rows, columns], &[0, 1, 4, 2, 5, 3])
    } else {
        Offsets::transposed(&[batch, block, block, each, rows, columns], &[0, 3, 4, 1, 5, 2])
    })
}

fn space_to_depth(shape: &[usize], block: usize) -> Result<Offsets, Problem> {
    let &[batch, channels, rows, columns] = shape else { return Err("is not over rows and columns".into()) };
    if block == 0 || !rows.is_multiple_of(block) || !columns.is_multiple_of(block) {
        return Err("has a block that does not divide its sides".into());
    }
    Ok(Offsets::transposed(&[batch, channels, rows / block, block, columns / block, block], &[0, 3, 5, 1, 2, 4]))
}

impl Pointwise {
    fn new(function: Option<Binary>, operands: &[Option<Operand<'_>>], result: &[usize]) -> Self {
        let mut strides = [[0; MAX_RANK]; 3];
        for (strides, operand) in strides.iter_mut().zip(operands.iter().flatten()) {
            let mut step = 1;
            let missing = result.len() - operand.shape.len().min(result.len());
            for (axis, &side) in operand.shape.iter().enumerate().rev() {
                strides[missing + axis] = if side > 1 { step } else { 0 };
                step *= side;
            }
        }
        Self { function, dims: result.into(), strides }
    }

    #[inline(always)]
    fn run(&self, operands: [&[f32]; 3], output: &mut [f32]) {
        macro_rules! functions {
            ($($kind:ident)*) => {
                match self.function {
                    None => self.each(operands, output, |a, b, c| if a != 0.0 { b } else { c }),
                    $(Some(Binary::$kind) => self.each(operands, output, |a, b, _| Binary::$kind.apply(a, b)),)*
                }
            };
        }
        functions!(Add Sub Mul Div Pow Max Min Mod Fmod PRelu Equal Less LessOrEqual Greater GreaterOrEqual And Or Xor);
    }

    #[inline(always)]
    fn each(&self, operands: [&[f32]; 3], output: &mut [f32], function: impl Fn(f32, f32, f32) -> f32) {
        let rank = self.dims.len();
        let width = self.dims.last().copied().unwrap_or(1);
        let step = |operand: usize| if rank == 0 { 0 } else { self.strides[operand][rank - 1] };
        let steps = [step(0), step(1), step(2)];
        let mut place = [0; MAX_RANK];
        for row in output.chunks_exact_mut(width) {
            let start = |operand: usize| (0..rank.saturating_sub(1)).map(|axis| place[axis] * self.strides[operand][axis]).sum::<usize>();
            let [a, b, c] = [0, 1, 2].map(|operand| operands[operand].get(start(operand)..).unwrap_or(&[]));
            match steps {
                [1, 1, _] if self.function.is_some() => {
                    for ((to, &a), &b) in row.iter_mut().zip(a).zip(b) {
                        *to = function(a, b, 0.0);
                    }
                }
                [1, 0, _] if self.function.is_some() => {
                    let b = b[0];
                    for (to, &a) in row.iter_mut().zip(a) {
                        *to = function(a, b, 0.0);
                    }
                }
                _ => {
                    let third = |at: usize| if c.is_empty() { 0.0 } else { c[at * steps[2]] };
                    for (at, to) in row.iter_mut().enumerate() {
                        *to = function(a[at * steps[0]], b[at * steps[1]], third(at));
                    }
                }
            }
            for axis in (0..rank.saturating_sub(1)).rev() {
                place[axis] += 1;
                if place[axis] < self.dims[axis] {
                    break;
                }
                place[axis] = 0;
            }
        }
    }
}

/// Softmax over an axis, or its logarithm. An exponential that would be subnormal counts as 0: the largest one is 1.
#[inline(always)]
fn softmax<V: Vector>(input: &[f32], output: &mut [f32], size: usize, inner: usize, log: bool) {
    for (to, from) in output.chunks_exact_mut(size * inner).zip(input.chunks_exact(size * inner)) {
        if inner == 1 {
            softmax_row::<V>(from, to, log);
        } else {
            softmax_columns::<V>(from, to, inner, log);
        }
    }
}

#[inline(always)]
fn softmax_row<V: Vector>(from: &[f32], to: &mut [f32], log: bool) {
    let largest = Reduction::Max.of::<V>(from);
    let mut sums = V::splat(0.0);
    for (to, from) in to.chunks_mut(LANES).zip(from.chunks(LANES)) {
        // Lanes beyond the end add 0.
        let exponentials = lanes::exp_to_zero(load::<V>(from, f32::NEG_INFINITY).sub(V::splat(largest)));
        sums = sums.add(exponentials);
        store(exponentials, to);
    }
    let sum = sum_of_parts(sums);
    if log {
        let shift = largest + crate::math::ln(sum);
        to.iter_mut().zip(from).for_each(|(to, &from)| *to = from - shift);
    } else {
        to.iter_mut().for_each(|to| *to /= sum);
    }
}

/// Softmax of each column of a matrix with `inner` columns: sixteen columns at once, each added from its first row to its last.
#[inline(always)]
fn softmax_columns<V: Vector>(from: &[f32], to: &mut [f32], inner: usize, log: bool) {
    for first in (0..inner).step_by(LANES) {
        let columns = first..inner.min(first + LANES);
        let mut largest = V::splat(f32::NEG_INFINITY);
        for from in from.chunks_exact(inner) {
            largest = load::<V>(&from[columns.clone()], 0.0).max(largest);
        }
        let mut sum = V::splat(0.0);
        for (to, from) in to.chunks_exact_mut(inner).zip(from.chunks_exact(inner)) {
            let exponentials = lanes::exp_to_zero(load::<V>(&from[columns.clone()], 0.0).sub(largest));
            sum = sum.add(exponentials);
            store(exponentials, &mut to[columns.clone()]);
        }
        let logarithm = if log { sum.map(crate::math::ln) } else { sum };
        for (to, from) in to.chunks_exact_mut(inner).zip(from.chunks_exact(inner)) {
            let to = &mut to[columns.clone()];
            let result = if log { load::<V>(&from[columns.clone()], 0.0).sub(largest).sub(logarithm) } else { load::<V>(to, 0.0).div(sum) };
            store(result, to);
        }
    }
}

#[inline(always)]
fn lp(input: &[f32], output: &mut [f32], size: usize, inner: usize, power: u8) {
    for (to, from) in output.chunks_exact_mut(size * inner).zip(input.chunks_exact(size * inner)) {
        for at in 0..inner {
            let numbers = || (0..size).map(|row| from[row * inner + at]);
            let norm = if power == 1 {
                numbers().fold(0.0, |sum, number| sum + number.abs())
            } else {
                crate::simd::square_root(numbers().fold(0.0, |sum, number| sum + number * number))
            };
            for row in 0..size {
                to[row * inner + at] = from[row * inner + at] / norm;
            }
        }
    }
}

/// Each number over (bias + factor * the sum of squares of `size` channels around it) to the power of beta.
#[inline(always)]
fn lrn(input: &[f32], output: &mut [f32], [channels, inner]: [usize; 2], size: usize, [factor, beta, bias]: [f32; 3]) {
    for (to, from) in output.chunks_exact_mut(channels * inner).zip(input.chunks_exact(channels * inner)) {
        for (at, (to, &number)) in to.iter_mut().zip(from).enumerate() {
            let (channel, pixel) = (at / inner, at % inner);
            let first = channel.saturating_sub((size - 1) / 2);
            let end = (channel + size / 2 + 1).min(channels);
            let sum = (first..end).map(|channel| from[channel * inner + pixel]).fold(0.0, |sum, number| sum + number * number);
            *to = number / crate::math::pow(bias + factor * sum, beta);
        }
    }
}
