//! The layers that are no dense sums of products: each channel by itself, or next to its neighbours.

use super::convolution::{Range, Weights};
use super::graph::{Lrn, Window};
use super::layout::Layout;
use fooling_engine::simd::{F32x16, Kernel, LANES, Vector};

/// Convolutions of each channel by itself: the sum begins with the bias and goes over the kernel's rows and columns.
#[derive(Debug)]
pub(super) struct Depthwise {
    /// For each block a line for each place of the kernel.
    weights: Vec<F32x16>,
    bias: Vec<F32x16>,
    /// For each place of the kernel how far it is from the first.
    offsets: Vec<usize>,
    stride: [usize; 2],
    before: [usize; 2],
    range: Range,
    input: Layout,
    output: Layout,
}

impl Depthwise {
    pub(super) fn new(layer: &Weights, input: Layout, output: Layout) -> Self {
        let [rows, columns] = layer.kernel;
        let area = rows * columns;
        let places = (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x)));
        let offsets = places.map(|(y, x)| y * layer.dilation[0] * input.row() + x * layer.dilation[1]).collect();
        let line = |block: usize, number: &dyn Fn(usize) -> f32| {
            F32x16(std::array::from_fn(|lane| Some(block * LANES + lane).filter(|&at| at < input.channels).map_or(0.0, number)))
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
            range: layer.range,
            input,
            output,
        }
    }
}

/// A [`Depthwise`] to be done, input and output each from the first block of its layout on.
pub(super) struct Deepen<'a> {
    pub(super) layer: &'a Depthwise,
    pub(super) input: &'a [F32x16],
    pub(super) output: &'a mut [F32x16],
}

impl Kernel for Deepen<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        match self.layer.stride[1] {
            1 => self.planes::<V, 1>(),
            2 => self.planes::<V, 2>(),
            4 => self.planes::<V, 4>(),
            _ => unreachable!("planned with a stride of 1, 2 or 4"),
        }
    }
}

impl Deepen<'_> {
    #[inline(always)]
    fn planes<V: Vector, const STRIDE: usize>(mut self) {
        let (input, output) = (self.layer.input, self.layer.output);
        for block in 0..output.blocks() {
            for y in 0..output.height {
                let row = y * self.layer.stride[0] + input.halo[0] - self.layer.before[0];
                let from = block * input.plane() + row * input.row() + input.halo[1] - self.layer.before[1];
                let mut x = 0;
                while x < output.width {
                    let to = output.at(block, y, x);
                    let from = from + x * STRIDE;
                    x += match output.width - x {
                        8.. => self.tile::<V, 8, STRIDE>(block, from, to),
                        4.. => self.tile::<V, 4, STRIDE>(block, from, to),
                        2.. => self.tile::<V, 2, STRIDE>(block, from, to),
                        _ => self.tile::<V, 1, STRIDE>(block, from, to),
                    };
                }
            }
        }
    }

    #[inline(always)]
    fn tile<V: Vector, const PIXELS: usize, const STRIDE: usize>(&mut self, block: usize, from: usize, to: usize) -> usize {
        let layer = self.layer;
        let mut sums = [V::load(&layer.bias[block]); PIXELS];
        let weights = &layer.weights[block * layer.offsets.len()..][..layer.offsets.len()];
        for (weight, offset) in weights.iter().zip(&layer.offsets) {
            let weight = V::load(weight);
            let pixels = &self.input[from + offset..][..(PIXELS - 1) * STRIDE + 1];
            for pixel in 0..PIXELS {
                sums[pixel] = V::load(&pixels[pixel * STRIDE]).mul_add(weight, sums[pixel]);
            }
        }
        for (line, sum) in self.output[to..][..PIXELS].iter_mut().zip(sums) {
            layer.range.clamp(sum).store(line);
        }
        PIXELS
    }
}

/// What a pooling layer makes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    /// Of numbers; where one is none, what comes out depends on its place in the window, and on nothing else.
    Largest,
    /// The sum of what the window sees of the picture, over how many pixels those are.
    Mean,
    /// The same sum over all pixels of the window.
    MeanOfWhole,
}

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) pooling: Pooling,
    pub(super) window: Window,
    pub(super) input: Layout,
    pub(super) output: Layout,
}

/// A [`Pool`] to be done.
pub(super) struct Shrink<'a> {
    pub(super) layer: &'a Pool,
    pub(super) input: &'a [F32x16],
    pub(super) output: &'a mut [F32x16],
}

impl Kernel for Shrink<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Pool { pooling, window, input, output } = self.layer;
        // A window is larger than its padding and begins before the picture ends: it sees a pixel at least.
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
                            pooled = if *pooling == Pooling::Largest { pooled.max(pixel) } else { pooled.add(pixel) };
                        }
                    }
                    #[expect(clippy::cast_precision_loss, reason = "a kernel has at most 4096 x 4096 pixels, which f32 holds")]
                    let pooled = match pooling {
                        Pooling::Largest => pooled,
                        Pooling::Mean => pooled.div(V::splat(((bottom - top) * (right - left)) as f32)),
                        Pooling::MeanOfWhole => pooled.div(V::splat((window.kernel[0] * window.kernel[1]) as f32)),
                    };
                    pooled.store(&mut self.output[output.at(block, y, x)]);
                }
            }
        }
    }
}

/// The mean over each plane, a line a block.
pub(super) struct Average<'a> {
    pub(super) layout: Layout,
    pub(super) input: &'a [F32x16],
    /// A line for each block, `step` lines apart.
    pub(super) output: &'a mut [F32x16],
    pub(super) step: usize,
}

impl Kernel for Average<'_> {
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

/// Local response normalisation, sums over channels in ascending order.
pub(super) struct Normalise<'a> {
    pub(super) lrn: Lrn,
    pub(super) from: Layout,
    pub(super) to: Layout,
    pub(super) input: &'a [F32x16],
    pub(super) output: &'a mut [F32x16],
    /// Squares of a pixel's channels with zeros around them; see [`Normalise::scratch`].
    pub(super) squares: &'a mut [f32],
}

impl Normalise<'_> {
    /// Numbers of scratch that it takes, all 0 at first.
    pub(super) fn scratch(lrn: Lrn, layout: Layout) -> usize {
        layout.blocks() * LANES + lrn.size
    }
}

impl Kernel for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { lrn, from, to, input, output, squares } = self;
        #[expect(clippy::cast_precision_loss, reason = "at most 64")]
        let weight = V::splat(lrn.alpha / lrn.size as f32);
        let (bias, before) = (V::splat(lrn.bias), (lrn.size - 1) / 2);
        for (y, x) in (0..from.height).flat_map(|y| (0..from.width).map(move |x| (y, x))) {
            for block in 0..from.blocks() {
                let value = V::load(&input[from.at(block, y, x)]);
                let mut square = F32x16::ZERO;
                value.mul(value).store(&mut square);
                squares[before + block * LANES..][..LANES].copy_from_slice(&square.0);
            }
            // Vector beyond the last channel hold anything, and here alone neighbours are looked at.
            squares[before + from.channels..].fill(0.0);
            for block in 0..from.blocks() {
                let mut sum = V::splat(0.0);
                for first in block * LANES..block * LANES + lrn.size {
                    let (window, _) = squares[first..].split_first_chunk().expect("the scratch has room for all windows");
                    sum = sum.add(V::from_array(window));
                }
                let power = power(weight.mul_add(sum, bias), lrn.quarters);
                V::load(&input[from.at(block, y, x)]).div(power).store(&mut output[to.at(block, y, x)]);
            }
        }
    }
}

/// `base ^ (quarters / 4)`.
#[inline(always)]
fn power<V: Vector>(base: V, quarters: u8) -> V {
    match quarters {
        2 => base.sqrt(),
        3 => base.sqrt().mul(base.sqrt().sqrt()),
        _ => base,
    }
}

/// Sum of two pictures, or of one alone, put into a range.
pub(super) struct Combine<'a> {
    pub(super) range: Range,
    pub(super) from: Layout,
    pub(super) to: Layout,
    pub(super) input: &'a [F32x16],
    pub(super) other: Option<(Layout, &'a [F32x16])>,
    pub(super) output: &'a mut [F32x16],
}

impl Kernel for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        for block in 0..self.from.blocks() {
            for y in 0..self.from.height {
                let input = &self.input[self.from.at(block, y, 0)..][..self.from.width];
                let output = &mut self.output[self.to.at(block, y, 0)..][..self.from.width];
                if let Some((layout, other)) = self.other {
                    let other = &other[layout.at(block, y, 0)..][..self.from.width];
                    for ((to, a), b) in output.iter_mut().zip(input).zip(other) {
                        self.range.clamp(V::load(a).add(V::load(b))).store(to);
                    }
                } else {
                    for (to, a) in output.iter_mut().zip(input) {
                        self.range.clamp(V::load(a)).store(to);
                    }
                }
            }
        }
    }
}
