//! Convolutions of each channel separately.

use alloc::vec::Vec;

use super::convolution::load;
use super::pointwise::{apply, rows};
use crate::ir;
use crate::kernels::function::Activation;
use crate::layout::Layout;
use crate::simd::{F32x16, Instructions, Kernel, LANES, Vector};

/// Convolutions of each channel separately: the sum starts with the bias and goes over the kernel's rows and columns.
#[derive(Debug)]
pub(crate) struct PackedDepthwise {
    /// For each block, one line for each position of the kernel.
    weights: Vec<F32x16>,
    bias: Vec<F32x16>,
    /// The number of columns of the kernel that see adjacent pixels.
    columns: usize,
    /// For each position of the kernel, its offset from the first.
    offsets: Vec<usize>,
    stride: [usize; 2],
    before: [usize; 2],
    activation: Activation,
    input: Layout,
    output: Layout,
}

impl PackedDepthwise {
    pub(crate) fn new(layer: &ir::Convolution, input: Layout, output: Layout) -> Self {
        let [rows, columns] = layer.kernel;
        let area = rows * columns;
        let places = (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x)));
        let offsets = places.map(|(y, x)| y * layer.dilation[0] * input.row() + x * layer.dilation[1]).collect();
        let line = |block: usize, number: &dyn Fn(usize) -> f32| {
            F32x16(core::array::from_fn(|lane| Some(block * LANES + lane).filter(|&at| at < input.channels).map_or(0.0, number)))
        };
        let blocks = 0..input.blocks();
        Self {
            weights: blocks
                .clone()
                .flat_map(|block| (0..area).map(move |place| (block, place)))
                .map(|(block, place)| line(block, &|channel| layer.weights[channel * area + place]))
                .collect(),
            bias: blocks.map(|block| line(block, &|channel| layer.bias[channel])).collect(),
            columns: if layer.dilation[1] == 1 { columns } else { 1 },
            offsets,
            stride: layer.stride,
            before: layer.before,
            activation: layer.activation,
            input,
            output,
        }
    }
}

/// A [`PackedDepthwise`] with its input and output, each starting with the first block of its layout.
pub(crate) struct DepthwiseKernel<'a> {
    pub(crate) layer: &'a PackedDepthwise,
    pub(crate) input: &'a [F32x16],
    pub(crate) output: &'a mut [F32x16],
    /// For the activation's function.
    pub(crate) instructions: Instructions,
}

impl Kernel for DepthwiseKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        match (self.layer.columns, self.layer.stride[1]) {
            (3, 1) if V::COLUMNS >= 3 => self.rows::<V, 3, 1>(),
            (3, 2) if V::COLUMNS >= 3 => self.rows::<V, 3, 2>(),
            (5, 1) if V::COLUMNS >= 5 => self.rows::<V, 5, 1>(),
            (5, 2) if V::COLUMNS >= 5 => self.rows::<V, 5, 2>(),
            (7, 1) if V::COLUMNS >= 7 => self.rows::<V, 7, 1>(),
            (_, 1) => self.rows::<V, 1, 1>(),
            (_, 2) => self.rows::<V, 1, 2>(),
            _ => self.rows::<V, 1, 0>(),
        }
    }
}

/// `COLUMNS` of the kernel are computed together. A `STRIDE` of 0 stands for any.
impl DepthwiseKernel<'_> {
    #[inline(always)]
    fn rows<V: Vector, const COLUMNS: usize, const STRIDE: usize>(self) {
        let Self { layer, input, output, instructions } = self;
        let ([above, left], row) = (layer.input.halo, layer.input.row());
        for (block, y) in rows(layer.output) {
            let from = block * layer.input.plane() + (y * layer.stride[0] + above - layer.before[0]) * row + left - layer.before[1];
            let output = &mut output[layer.output.at(block, y, 0)..][..layer.output.width];
            layer.row::<V, COLUMNS, STRIDE>(block, &input[from..], output);
            if let Some(function) = layer.activation.function {
                apply(instructions, function, output);
            }
        }
    }
}

impl PackedDepthwise {
    /// A row of outputs, in tiles of about equal width. The input starts with the first pixel that they see.
    #[inline(always)]
    fn row<V: Vector, const COLUMNS: usize, const STRIDE: usize>(&self, block: usize, input: &[F32x16], output: &mut [F32x16]) {
        let stride = if STRIDE == 0 { self.stride[1] } else { STRIDE };
        let area = self.offsets.len();
        let weights = self.weights[block * area..][..area].as_chunks::<COLUMNS>().0;
        let (bias, bounds) = (V::load(&self.bias[block]), self.activation.bounds);
        let width = output.len();
        let tiles = width.div_ceil(V::PIXELS);
        let mut x = 0;
        for tile in 0..tiles {
            let pixels = (width - x).div_ceil(tiles - tile);
            let (input, output) = (&input[x * stride..], &mut output[x..]);
            macro_rules! sized {
                ($($pixels:literal)*) => {
                    match pixels {
                        $($pixels if $pixels <= V::PIXELS => {
                            let sums = sums::<V, COLUMNS, STRIDE, $pixels>(bias, weights, &self.offsets, input, stride);
                            for (line, sum) in output[..$pixels].iter_mut().zip(sums) {
                                bounds.clamp(sum).store(line);
                            }
                        })*
                        _ => unreachable!("no tile is wider than PIXELS"),
                    }
                };
            }
            sized!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
            x += pixels;
        }
    }
}

/// The sums of a tile of `PIXELS` pixels. Adjacent outputs see the same pixels, which the compiler loads once for all of them.
#[inline(always)]
fn sums<V: Vector, const COLUMNS: usize, const STRIDE: usize, const PIXELS: usize>(
    bias: V,
    weights: &[[F32x16; COLUMNS]],
    offsets: &[usize],
    input: &[F32x16],
    stride: usize,
) -> [V; PIXELS] {
    // A constant, so that the compiler can prove every index below to be in range.
    let stride = if STRIDE == 0 { stride } else { STRIDE };
    let mut sums = [bias; PIXELS];
    for (weights, &offset) in weights.iter().zip(offsets.iter().step_by(COLUMNS)) {
        let seen = &input[offset..][..(PIXELS - 1) * stride + COLUMNS];
        let weights: [V; COLUMNS] = load(weights);
        for pixel in 0..PIXELS {
            for column in 0..COLUMNS {
                sums[pixel] = V::load(&seen[pixel * stride + column]).mul_add(weights[column], sums[pixel]);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests;
