//! Layer normalisation over the channels of each pixel.

use alloc::vec::Vec;

use super::vectors;
use crate::ir;
use crate::layout::Layout;
use crate::simd::{F32x16, Kernel, LANES, Vector, square_root};

/// A layer normalisation laid out for the kernel.
#[derive(Debug)]
pub(crate) struct PackedLayerNorm {
    /// One vector for each block.
    scale: Vec<F32x16>,
    offset: Vec<F32x16>,
    epsilon: f32,
    channels: usize,
}

impl PackedLayerNorm {
    pub(crate) fn new(layer: &ir::LayerNorm) -> Self {
        Self { scale: vectors(&layer.scale), offset: vectors(&layer.offset), epsilon: layer.epsilon, channels: layer.scale.len() }
    }
}

/// Pixels that are processed together, so that neighbours in memory are read together.
const TILE: usize = 4;

/// A [`PackedLayerNorm`] with its input and output. Sums add each lane over the blocks, and then the lanes as in [`sum_of_lanes`].
pub(crate) struct LayerNormKernel<'a> {
    pub(crate) layer: &'a PackedLayerNorm,
    pub(crate) from: Layout,
    pub(crate) to: Layout,
    pub(crate) input: &'a [F32x16],
    pub(crate) output: &'a mut [F32x16],
}

impl Kernel for LayerNormKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self) {
        for y in 0..self.to.height {
            let mut x = 0;
            while x < self.to.width {
                if self.to.width - x >= TILE {
                    self.tile::<V, TILE>(y, x);
                    x += TILE;
                } else {
                    self.tile::<V, 1>(y, x);
                    x += 1;
                }
            }
        }
    }
}

impl LayerNormKernel<'_> {
    #[inline(always)]
    fn tile<V: Vector, const PIXELS: usize>(&mut self, y: usize, x: usize) {
        let (layer, from, to) = (self.layer, self.from, self.to);
        #[expect(clippy::cast_precision_loss, reason = "rounded once, the same everywhere")]
        let count = layer.channels as f32;
        let means = self.sums::<V, PIXELS>(y, x).map(|sum| V::splat(sum / count));
        let scales = self.squares::<V, PIXELS>(y, x, &means).map(|sum| V::splat(1.0 / square_root(sum / count + layer.epsilon)));
        for block in 0..from.blocks() {
            let (scale, offset) = (V::load(&layer.scale[block]), V::load(&layer.offset[block]));
            let input = &self.input[from.at(block, y, x)..][..PIXELS];
            let output = &mut self.output[to.at(block, y, x)..][..PIXELS];
            for pixel in 0..PIXELS {
                let value = V::load(&input[pixel]).sub(means[pixel]).mul(scales[pixel]);
                value.mul_add(scale, offset).store(&mut output[pixel]);
            }
        }
    }

    /// For each pixel, the sum over its channels.
    #[inline(always)]
    fn sums<V: Vector, const PIXELS: usize>(&self, y: usize, x: usize) -> [f32; PIXELS] {
        let mut sums = [V::splat(0.0); PIXELS];
        for block in 0..self.from.blocks() {
            let input = &self.input[self.from.at(block, y, x)..][..PIXELS];
            for pixel in 0..PIXELS {
                sums[pixel] = sums[pixel].add(self.masked(block, V::load(&input[pixel])));
            }
        }
        sums.map(sum_of_lanes)
    }

    /// For each pixel, the sum of the squares of its channels minus the mean.
    #[inline(always)]
    fn squares<V: Vector, const PIXELS: usize>(&self, y: usize, x: usize, means: &[V; PIXELS]) -> [f32; PIXELS] {
        let mut sums = [V::splat(0.0); PIXELS];
        for block in 0..self.from.blocks() {
            let input = &self.input[self.from.at(block, y, x)..][..PIXELS];
            for pixel in 0..PIXELS {
                let centred = self.masked(block, V::load(&input[pixel]).sub(means[pixel]));
                sums[pixel] = centred.mul_add(centred, sums[pixel]);
            }
        }
        sums.map(sum_of_lanes)
    }

    /// 0 in the lanes after the last channel, whose content is unspecified.
    #[inline(always)]
    fn masked<V: Vector>(&self, block: usize, value: V) -> V {
        let channels = self.layer.channels - block * LANES;
        if channels >= LANES {
            return value;
        }
        let mut array = value.to_array();
        array[channels..].fill(0.0);
        V::from_array(&array)
    }
}

/// The sum of the lanes, by halves: the second half is added to the first, and so on with what remains.
#[inline(always)]
fn sum_of_lanes<V: Vector>(vector: V) -> f32 {
    let mut lanes = vector.to_array();
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
    }
    lanes[0]
}
