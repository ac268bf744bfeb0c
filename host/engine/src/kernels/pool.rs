//! Pooling: operations on neighbours within each channel.

use crate::ir::{PoolWindow, Pooling};
use crate::layout::Layout;
use crate::simd::{F32x16, Kernel, Vector};

/// A pooling layer with the layouts of its input and output.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) pooling: Pooling,
    pub(crate) window: PoolWindow,
    pub(crate) input: Layout,
    pub(crate) output: Layout,
}

/// A [`Pool`] with its input and output.
pub(crate) struct PoolKernel<'a> {
    pub(crate) layer: &'a Pool,
    pub(crate) input: &'a [F32x16],
    pub(crate) output: &'a mut [F32x16],
}

impl Kernel for PoolKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Pool { pooling, window, input, output } = self.layer;
        // A window is larger than its padding and starts before the picture ends, so it sees at least one pixel.
        let seen = |axis: usize, at: usize, side: usize| {
            let first = at * window.stride[axis];
            (first.saturating_sub(window.before[axis]), (first + window.kernel[axis] - window.before[axis]).min(side))
        };
        for block in 0..output.blocks() {
            for y in 0..output.height {
                let (top, bottom) = seen(0, y, input.height);
                for x in 0..output.width {
                    let (left, right) = seen(1, x, input.width);
                    let mut pooled = V::load(&self.input[input.at(block, top, left)]);
                    for row in top..bottom {
                        let skipped = usize::from(row == top);
                        for pixel in &self.input[input.at(block, row, left + skipped)..input.at(block, row, right)] {
                            let pixel = V::load(pixel);
                            pooled = if *pooling == Pooling::Max { pooled.max(pixel) } else { pooled.add(pixel) };
                        }
                    }
                    #[expect(clippy::cast_precision_loss, reason = "a kernel has at most 4096 x 4096 pixels, which f32 represents")]
                    let pooled = match pooling {
                        Pooling::Max => pooled,
                        Pooling::Mean => pooled.div(V::splat(((bottom - top) * (right - left)) as f32)),
                        Pooling::MeanWithPadding => pooled.div(V::splat((window.kernel[0] * window.kernel[1]) as f32)),
                    };
                    pooled.store(&mut self.output[output.at(block, y, x)]);
                }
            }
        }
    }
}

/// The average over each plane, one line for each block.
pub(crate) struct GlobalAverageKernel<'a> {
    pub(crate) layout: Layout,
    pub(crate) input: &'a [F32x16],
    /// A line for each block, `step` lines apart.
    pub(crate) output: &'a mut [F32x16],
    pub(crate) step: usize,
}

impl Kernel for GlobalAverageKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let layout = self.layout;
        #[expect(clippy::cast_precision_loss, reason = "rounded once, the same everywhere")]
        let count = V::splat((layout.height * layout.width) as f32);
        for block in 0..layout.blocks() {
            let mut sum = V::splat(0.0);
            for y in 0..layout.height {
                for pixel in &self.input[layout.at(block, y, 0)..][..layout.width] {
                    sum = sum.add(V::load(pixel));
                }
            }
            sum.div(count).store(&mut self.output[block * self.step]);
        }
    }
}
