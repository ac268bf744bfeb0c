//! Pooling: operations on neighbours within each channel.

use crate::layout::Layout;
use crate::simd::{F32x16, Kernel, Vector};

/// A window that moves over a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolWindow {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// Rows above and columns to the left of the picture.
    pub(crate) before: [usize; 2],
    /// Rows below and columns to the right of it.
    pub(crate) after: [usize; 2],
}

/// What a pooling layer computes for a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// The maximum; with NaN, the result depends on its position in the window and on nothing else.
    Max,
    /// The sum over the visible part of the window, divided by its number of pixels.
    Mean,
    /// The same sum, divided by the number of pixels of the picture and its padding in the window.
    MeanWithPadding,
}

/// A pooling layer with the layouts of its input and output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    pub(crate) pooling: Pooling,
    pub(crate) window: PoolWindow,
    pub(crate) input: Layout,
    pub(crate) output: Layout,
}

/// A [`Pool`] with its input and output.
pub(crate) struct PoolKernel<'a> {
    pub(crate) layer: Pool,
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
                            pooled = if pooling == Pooling::Max { pooled.max(pixel) } else { pooled.add(pixel) };
                        }
                    }
                    #[expect(clippy::cast_precision_loss, reason = "a kernel has at most 4096 x 4096 pixels, which f32 represents")]
                    let pooled = match pooling {
                        Pooling::Max => pooled,
                        Pooling::Mean => pooled.div(V::splat(((bottom - top) * (right - left)) as f32)),
                        Pooling::MeanWithPadding => {
                            let rows = within(&window, 0, y, input.height);
                            pooled.div(V::splat((rows * within(&window, 1, x, input.width)) as f32))
                        }
                    };
                    pooled.store(&mut self.output[output.at(block, y, x)]);
                }
            }
        }
    }
}

/// The number of pixels of a window in the picture or its padding: a last window that was rounded up may exceed both.
#[inline(always)]
fn within(window: &PoolWindow, axis: usize, at: usize, side: usize) -> usize {
    let first = at * window.stride[axis];
    (first + window.kernel[axis]).min(window.before[axis] + side + window.after[axis]) - first
}

/// The maximum or the mean of each plane: a picture of one pixel.
pub(crate) struct GlobalPoolKernel<'a> {
    pub(crate) pooling: Pooling,
    pub(crate) from: Layout,
    pub(crate) to: Layout,
    pub(crate) input: &'a [F32x16],
    pub(crate) output: &'a mut [F32x16],
}

impl Kernel for GlobalPoolKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let layout = self.from;
        #[expect(clippy::cast_precision_loss, reason = "rounded once, the same everywhere")]
        let count = V::splat((layout.height * layout.width) as f32);
        for block in 0..layout.blocks() {
            let is_max = self.pooling == Pooling::Max;
            let mut pooled = if is_max { V::load(&self.input[layout.at(block, 0, 0)]) } else { V::splat(0.0) };
            for y in 0..layout.height {
                for pixel in &self.input[layout.at(block, y, 0)..][..layout.width] {
                    pooled = if is_max { pooled.max(V::load(pixel)) } else { pooled.add(V::load(pixel)) };
                }
            }
            let pooled = if is_max { pooled } else { pooled.div(count) };
            pooled.store(&mut self.output[self.to.at(block, 0, 0)]);
        }
    }
}
