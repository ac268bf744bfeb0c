//! Convolutions of each channel separately.

use alloc::vec::Vec;

use super::pointwise::apply;
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
        match self.layer.stride[1] {
            1 => self.planes::<V, 1>(),
            2 => self.planes::<V, 2>(),
            4 => self.planes::<V, 4>(),
            // Any other.
            _ => self.planes::<V, 0>(),
        }
    }
}

impl DepthwiseKernel<'_> {
    #[inline(always)]
    fn planes<V: Vector, const STRIDE: usize>(mut self) {
        let (input, output) = (self.layer.input, self.layer.output);
        let stride = if STRIDE == 0 { self.layer.stride[1] } else { STRIDE };
        for block in 0..output.blocks() {
            for y in 0..output.height {
                let row = y * self.layer.stride[0] + input.halo[0] - self.layer.before[0];
                let from = block * input.plane() + row * input.row() + input.halo[1] - self.layer.before[1];
                let mut x = 0;
                while x < output.width {
                    let to = output.at(block, y, x);
                    let from = from + x * stride;
                    x += match output.width - x {
                        8.. => self.tile::<V, 8, STRIDE>(block, from, to),
                        4.. => self.tile::<V, 4, STRIDE>(block, from, to),
                        2.. => self.tile::<V, 2, STRIDE>(block, from, to),
                        _ => self.tile::<V, 1, STRIDE>(block, from, to),
                    };
                }
                if let Some(function) = self.layer.activation.function {
                    apply(self.instructions, function, &mut self.output[output.at(block, y, 0)..][..output.width]);
                }
            }
        }
    }

    #[inline(always)]
    fn tile<V: Vector, const PIXELS: usize, const STRIDE: usize>(&mut self, block: usize, from: usize, to: usize) -> usize {
        let layer = self.layer;
        let stride = if STRIDE == 0 { layer.stride[1] } else { STRIDE };
        let mut sums = [V::load(&layer.bias[block]); PIXELS];
        let weights = &layer.weights[block * layer.offsets.len()..][..layer.offsets.len()];
        for (weight, offset) in weights.iter().zip(&layer.offsets) {
            let weight = V::load(weight);
            let pixels = &self.input[from + offset..][..(PIXELS - 1) * stride + 1];
            for pixel in 0..PIXELS {
                sums[pixel] = V::load(&pixels[pixel * stride]).mul_add(weight, sums[pixel]);
            }
        }
        for (line, sum) in self.output[to..][..PIXELS].iter_mut().zip(sums) {
            layer.activation.bounds.clamp(sum).store(line);
        }
        PIXELS
    }
}
