//! Convolutions of 3 x 3 pixels with fewer products: Winograd's F(2 x 2, 3 x 3) (Lavin and Gray 2016, "Fast Algorithms for Convolutional
//! Neural Networks", section 4.1).
//!
//! Tiles of 4 x 4 inputs become 16 numbers each, by additions. Number `p` of all tiles is a picture of one pixel for each tile, and is
//! weighted by a convolution of 1 x 1 pixels. The 16 results become 2 x 2 outputs, by additions. So an output of a tile takes 4 products
//! for each input channel instead of 9. The order of operations is fixed, as for other convolutions.

use alloc::vec;

use super::convolution::{ConvolutionKernel, ConvolutionView, Geometry, PackedConvolution};
use super::pointwise::apply;
use crate::ir::{self, Shape};
use crate::kernels::function::Activation;
use crate::layout::{Layout, blocks_of};
use crate::simd::{F32x16, Instructions, Kernel, LANES, Vector, dispatch};

/// Numbers of a tile.
const NUMBERS: usize = 16;

/// Outputs of a tile along an axis.
pub(crate) const OUT: usize = 2;

/// Limit on the numbers of a strip, in vectors: 2 MiB. More strips read the weights more often, which layers with few pixels cannot afford.
const STRIP: usize = 32_768;

/// Whether a layer is computed this way. This depends on its shape only, so that it is the same everywhere. With few channels, the additions
/// cost as much as the products that they save; with 64 channels it also takes many pixels. The lanes after the last channel of a block are
/// unspecified, so inputs must be whole blocks.
pub(crate) fn fits(layer: &ir::Convolution, output: Shape) -> bool {
    let form = layer.kernel == [3; 2] && layer.stride == [1; 2] && layer.dilation == [1; 2] && layer.groups == 1;
    let outputs = layer.bias.len();
    let inputs = layer.weights.len() / (9 * outputs).max(1);
    form && outputs >= 32 && inputs.is_multiple_of(LANES) && (inputs >= 128 || inputs >= 64 && output.pixels() >= 1024)
}

/// A convolution laid out for its input and output.
#[derive(Debug)]
pub(crate) struct PackedWinograd {
    /// The products of each number, as a group of its own.
    products: PackedConvolution,
    input: Layout,
    output: Layout,
    before: [usize; 2],
    activation: Activation,
    /// Rows of tiles that are computed together.
    strip: usize,
}

/// The numbers of a strip of tiles: for each of the 16 numbers all channels, in one row of tiles.
fn numbers(channels: usize, tiles: usize) -> Layout {
    Layout::bare(NUMBERS * blocks_of(channels) * LANES, 1, tiles)
}

/// The rows and columns of tiles.
fn tiles(output: Shape) -> [usize; 2] {
    [output.height, output.width].map(|side| side.div_ceil(OUT))
}

/// The rows of tiles that are computed together.
fn strip(inputs: usize, output: Shape) -> usize {
    let [rows, columns] = tiles(output);
    let row = numbers(inputs, columns).len() + numbers(output.channels, columns).len();
    let strips = rows.div_ceil((STRIP / row).max(1));
    rows.div_ceil(strips)
}

/// The memory that a layer needs, in units of sixteen numbers.
pub(crate) fn scratch(inputs: usize, output: Shape) -> usize {
    let tiles = strip(inputs, output) * tiles(output)[1];
    numbers(inputs, tiles).len() + numbers(output.channels, tiles).len()
}

impl PackedWinograd {
    pub(crate) fn new(layer: &ir::Convolution, input: Layout, output: Layout, blocks: usize) -> Self {
        let shape = Shape { channels: output.channels, height: output.height, width: output.width };
        Self::in_strips(layer, input, output, blocks, strip(input.channels, shape))
    }

    /// As [`Self::new`], with this many rows of tiles in a strip.
    fn in_strips(layer: &ir::Convolution, input: Layout, output: Layout, blocks: usize, strip: usize) -> Self {
        let shape = Shape { channels: output.channels, height: output.height, width: output.width };
        let tiles = strip * tiles(shape)[1];
        let layouts = [input, output].map(|layout| numbers(layout.channels, tiles));
        // Each number starts with a block of its own, so there are outputs without weights.
        let [inputs, outputs] = layouts.map(|layout| layout.channels / NUMBERS);
        let mut weights = vec![0.0; NUMBERS * outputs * inputs];
        for (at, kernel) in layer.weights.as_chunks().0.iter().enumerate() {
            for (number, weight) in transformed(kernel).into_iter().enumerate() {
                weights[number * outputs * inputs + at] = weight;
            }
        }
        // Number 5, of the second row and column, is added to all four outputs.
        let mut bias = vec![0.0; NUMBERS * outputs];
        bias[5 * outputs..][..layer.bias.len()].copy_from_slice(&layer.bias);
        let products = ir::Convolution {
            weights,
            bias,
            groups: NUMBERS,
            kernel: [1; 2],
            stride: [1; 2],
            dilation: [1; 2],
            before: [0; 2],
            activation: Activation::NONE,
        };
        let products = PackedConvolution::new(&products, layouts[0], layouts[1], blocks);
        Self { products, input, output, before: layer.before, activation: layer.activation, strip }
    }

    /// Computes the output in strips.
    pub(crate) fn run(&self, set: Instructions, input: &[F32x16], output: &mut [F32x16], scratch: &mut [F32x16]) {
        let products = self.products.view();
        let (numbers, rest) = scratch.split_at_mut(products.geometry.input.len());
        let sums = &mut rest[..products.geometry.output.len()];
        let rows = self.output.height.div_ceil(OUT);
        for first in (0..rows).step_by(self.strip) {
            let rows = first..rows.min(first + self.strip);
            dispatch(set, InputKernel { layer: self, rows: rows.clone(), input, numbers });
            let convolution = ConvolutionView { geometry: self.narrowed(products.geometry, rows.len()), ..products };
            dispatch(set, ConvolutionKernel { convolution, input: &*numbers, output: sums, instructions: set });
            dispatch(set, OutputKernel { layer: self, rows, sums, output, instructions: set });
        }
    }

    /// The tiles in a row.
    fn columns(&self) -> usize {
        self.output.width.div_ceil(OUT)
    }

    /// The geometry of the products of a strip of this many rows.
    fn narrowed(&self, mut products: Geometry, rows: usize) -> Geometry {
        let width = rows * self.columns();
        products.output.far_halo[1] = products.output.width - width;
        products.output.width = width;
        products
    }
}

/// `G g G^T`, computed in `f64` and rounded once.
fn transformed(kernel: &[f32; 9]) -> [f32; NUMBERS] {
    let of = |[a, b, c]: [f64; 3]| [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c];
    let columns: [[f64; 4]; 3] = core::array::from_fn(|x| of(core::array::from_fn(|y| kernel[3 * y + x].into())));
    let mut weights = [0.0; NUMBERS];
    for (y, row) in weights.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        #[expect(clippy::cast_possible_truncation, reason = "rounded here")]
        let rounded = of(core::array::from_fn(|x| columns[x][y])).map(|weight| weight as f32);
        *row = rounded;
    }
    weights
}

/// `B^T d B` for a strip of tiles, down the columns first.
struct InputKernel<'a> {
    layer: &'a PackedWinograd,
    rows: core::ops::Range<usize>,
    input: &'a [F32x16],
    numbers: &'a mut [F32x16],
}

impl Kernel for InputKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { layer, rows, input, numbers } = self;
        let (from, columns) = (layer.input, layer.columns());
        let plane = layer.strip * columns;
        for block in 0..from.blocks() {
            for row in rows.clone() {
                let above = from.halo[0] + OUT * row - layer.before[0];
                let start = block * from.plane() + above * from.row() + from.halo[1] - layer.before[1];
                let lines: [&[F32x16]; 4] = core::array::from_fn(|y| &input[start + y * from.row()..][..OUT * columns + 2]);
                let mut pictures = numbers.chunks_exact_mut(from.blocks() * plane);
                let mut to: [&mut [F32x16]; NUMBERS] = core::array::from_fn(|_| {
                    let picture = pictures.next().expect("sixteen of them");
                    &mut picture[block * plane + (row - rows.start) * columns..][..columns]
                });
                input_row::<V>(&lines, &mut to);
            }
        }
    }
}

/// Plain loops instead of closures: a closure that is not inlined is compiled for the baseline.
#[inline(always)]
fn input_row<V: Vector>(lines: &[&[F32x16]; 4], to: &mut [&mut [F32x16]; NUMBERS]) {
    let (mut left, mut right) = (input_column::<V>(lines, 0), input_column::<V>(lines, 1));
    for x in 0..to[0].len() {
        let (next, last) = (input_column::<V>(lines, OUT * x + 2), input_column::<V>(lines, OUT * x + 3));
        for y in 0..4 {
            left[y].sub(next[y]).store(&mut to[4 * y][x]);
            right[y].add(next[y]).store(&mut to[4 * y + 1][x]);
            next[y].sub(right[y]).store(&mut to[4 * y + 2][x]);
            right[y].sub(last[y]).store(&mut to[4 * y + 3][x]);
        }
        (left, right) = (next, last);
    }
}

#[inline(always)]
fn input_column<V: Vector>(lines: &[&[F32x16]; 4], x: usize) -> [V; 4] {
    let (a, b, c, d) = (V::load(&lines[0][x]), V::load(&lines[1][x]), V::load(&lines[2][x]), V::load(&lines[3][x]));
    [a.sub(c), b.add(c), c.sub(b), b.sub(d)]
}

/// `A^T m A` for a strip of tiles, down the columns first, and the activation.
struct OutputKernel<'a> {
    layer: &'a PackedWinograd,
    rows: core::ops::Range<usize>,
    sums: &'a [F32x16],
    output: &'a mut [F32x16],
    /// For the activation's function.
    instructions: Instructions,
}

impl Kernel for OutputKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { layer, rows, sums, output, instructions } = self;
        let (to, columns) = (layer.output, layer.columns());
        let plane = layer.strip * columns;
        for block in 0..to.blocks() {
            for row in rows.clone() {
                let at = block * plane + (row - rows.start) * columns;
                let from: [&[F32x16]; NUMBERS] = core::array::from_fn(|number| &sums[number * to.blocks() * plane + at..][..columns]);
                let (upper, rest) = output[to.at(block, OUT * row, 0)..].split_at_mut(to.width);
                let lower = if OUT * row + 1 < to.height { &mut rest[to.row() - to.width..][..to.width] } else { &mut [] };
                let mut lines = [upper, lower];
                output_row::<V>(&from, layer.activation, &mut lines);
                if let Some(function) = layer.activation.function {
                    for line in lines {
                        apply(instructions, function, line);
                    }
                }
            }
        }
    }
}

/// The lower of the two lines may be empty.
#[inline(always)]
fn output_row<V: Vector>(from: &[&[F32x16]; NUMBERS], activation: Activation, to: &mut [&mut [F32x16]; OUT]) {
    for x in 0..from[0].len() {
        let (a, b) = (output_column::<V>(from, 0, x), output_column::<V>(from, 1, x));
        let (c, d) = (output_column::<V>(from, 2, x), output_column::<V>(from, 3, x));
        for y in 0..OUT {
            if let Some(pixel) = to[y].get_mut(OUT * x) {
                activation.bounds.clamp(a[y].add(b[y]).add(c[y])).store(pixel);
            }
            if let Some(pixel) = to[y].get_mut(OUT * x + 1) {
                activation.bounds.clamp(b[y].sub(c[y]).sub(d[y])).store(pixel);
            }
        }
    }
}

#[inline(always)]
fn output_column<V: Vector>(from: &[&[F32x16]; NUMBERS], column: usize, x: usize) -> [V; OUT] {
    let (a, b) = (V::load(&from[column][x]), V::load(&from[4 + column][x]));
    let (c, d) = (V::load(&from[8 + column][x]), V::load(&from[12 + column][x]));
    [a.add(b).add(c), b.sub(c).sub(d)]
}

#[cfg(test)]
mod tests;
