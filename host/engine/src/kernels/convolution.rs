//! Convolutions and dense layers: sums of products in one fixed order.
//!
//! A sum starts with its bias and adds one product after another by fused multiply-add: over the blocks of input channels, the rows of the
//! kernel, its columns, and the channels of the block, in this order. A lane is an output channel, so the order does not depend on the
//! width of the CPU's vectors, on the number of pixels in a tile, or on the order of computation.

use super::function::Activation;
use super::pointwise::apply;
use crate::layout::Layout;
use crate::simd::{F32x16, Instructions, Kernel, LANES, Vector};
#[cfg(feature = "alloc")]
use {super::vectors, crate::ir, crate::layout::blocks_of, alloc::vec::Vec};

/// Adjacent inputs that are weighted one after another: some channels of a pixel, or a row of the kernel in the plane of a single channel.
///
/// Stored as three numbers of 32 bits, as in an [`Image`](crate::Image), where kernels use them in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tap {
    /// The position of the first one, relative to the first input that the output sees.
    pub(crate) offset: usize,
    /// Its channel in its block.
    pub(crate) first: usize,
    /// How many there are; at most [`LANES`] if they are channels.
    pub(crate) count: usize,
}

/// A [`Tap`] as it is stored.
pub(crate) type TapWords = [u32; 3];

impl Tap {
    #[inline(always)]
    pub(crate) fn of(words: TapWords) -> Self {
        let [offset, first, count] = words.map(|word| word as usize);
        Self { offset, first, count }
    }

    #[cfg(feature = "alloc")]
    fn words(self) -> TapWords {
        [self.offset, self.first, self.count].map(word)
    }
}

/// A position or a count as it is stored: the limits on tensors keep it within 32 bits.
#[cfg(feature = "alloc")]
pub(crate) fn word(number: usize) -> u32 {
    u32::try_from(number).expect("tensors are limited to MAX_ELEMENTS")
}

/// Adjacent blocks of output channels, computed together so that each input is read once for all of them.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) first: usize,
    pub(crate) blocks: usize,
    /// Its range of taps.
    pub(crate) taps: core::ops::Range<usize>,
    /// Its range of weights: for each tap and channel, one line for each block.
    pub(crate) weights: core::ops::Range<usize>,
}

/// A [`Group`] as it is stored.
pub(crate) type GroupWords = [u32; 6];

impl Group {
    #[inline(always)]
    pub(crate) fn of(words: GroupWords) -> Self {
        let [first, blocks, tap, last_tap, weight, last_weight] = words.map(|word| word as usize);
        Self { first, blocks, taps: tap..last_tap, weights: weight..last_weight }
    }

    #[cfg(feature = "alloc")]
    fn words(&self) -> GroupWords {
        [self.first, self.blocks, self.taps.start, self.taps.end, self.weights.start, self.weights.end].map(word)
    }
}

/// How a convolution moves over its input, and the layouts of its input and output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub(crate) stride: [usize; 2],
    pub(crate) before: [usize; 2],
    pub(crate) activation: Activation,
    pub(crate) input: Layout,
    pub(crate) output: Layout,
    /// The number of output rows that are computed for all groups before the next ones.
    pub(crate) band: usize,
}

/// A convolution laid out for its input and output.
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub(crate) struct PackedConvolution {
    taps: Vec<TapWords>,
    groups: Vec<GroupWords>,
    weights: Vec<F32x16>,
    bias: Vec<F32x16>,
    geometry: Geometry,
}

/// A [`PackedConvolution`] whose numbers are borrowed, possibly from an image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvolutionView<'a> {
    pub(crate) taps: &'a [TapWords],
    pub(crate) groups: &'a [GroupWords],
    pub(crate) weights: &'a [F32x16],
    pub(crate) bias: &'a [F32x16],
    pub(crate) geometry: Geometry,
}

/// Limit on the input of a band of rows, so that it stays in the second-level cache together with the weights.
#[cfg(feature = "alloc")]
const BAND_BYTES: usize = 384 << 10;

#[cfg(feature = "alloc")]
impl PackedConvolution {
    /// `blocks` is the number of blocks in a group, see [`Vector::BLOCKS`].
    pub(crate) fn new(layer: &ir::Convolution, input: Layout, output: Layout, blocks: usize) -> Self {
        let mut this = Self {
            taps: Vec::new(),
            groups: Vec::new(),
            weights: Vec::new(),
            bias: vectors(&layer.bias),
            geometry: Geometry {
                stride: layer.stride,
                before: layer.before,
                activation: layer.activation,
                input,
                output,
                band: output.height,
            },
        };
        let (outputs, inputs) = (layer.bias.len() / layer.groups, layer.weights.len() / layer.bias.len() / area(layer.kernel));
        // The first and the last of the layer's groups to which the outputs of a block belong.
        let all = blocks_of(layer.bias.len());
        let seen = |block: usize| (block * LANES / outputs, (((block + 1) * LANES).min(layer.bias.len()) - 1) / outputs);
        let mut first = 0;
        let mut taps = 0..0;
        let mut order = Vec::new();
        let mut before = None;
        while first < all {
            let groups = seen(first);
            let count = (1..blocks.min(all - first)).take_while(|&next| seen(first + next) == groups).count() + 1;
            if before.replace(groups) != Some(groups) {
                let from = this.taps.len();
                order = this.add_taps(layer, groups.0 * inputs..(groups.1 + 1) * inputs);
                taps = from..this.taps.len();
            }
            let at = this.weights.len();
            for &(channel, place) in &order {
                // Outputs of other groups are not affected: adding products of finite numbers with 0 does not change a sum.
                let weight = |output: usize| match channel.checked_sub(output / outputs * inputs) {
                    Some(input) if input < inputs => layer.weights[(output * inputs + input) * area(layer.kernel) + place],
                    _ => 0.0,
                };
                this.weights.extend((first..first + count).map(|block| {
                    let output = |lane| Some(block * LANES + lane).filter(|&output| output < layer.bias.len());
                    F32x16(core::array::from_fn(|lane| output(lane).map_or(0.0, weight)))
                }));
            }
            this.groups.push(Group { first, blocks: count, taps: taps.clone(), weights: at..this.weights.len() }.words());
            first += count;
        }
        let row_bytes = layer.stride[0] * input.row() * input.channels * size_of::<f32>();
        this.geometry.band = (BAND_BYTES / row_bytes.max(1)).clamp(1, output.height);
        this
    }

    /// Adds the taps of outputs that see these channels. Returns the order in which they use weights, as pairs of an input channel and a
    /// position in the kernel.
    fn add_taps(&mut self, layer: &ir::Convolution, channels: core::ops::Range<usize>) -> Vec<(usize, usize)> {
        let ([height, width], input) = (layer.kernel, self.geometry.input);
        let lanes = input.lanes;
        let mut order = Vec::with_capacity(channels.len() * height * width);
        let mut channel = channels.start;
        while channel < channels.end {
            let plane = channel / lanes * input.plane();
            let first = channel % lanes;
            let count = (lanes - first).min(channels.end - channel);
            for y in 0..height {
                let row = plane + y * layer.dilation[0] * input.row();
                if lanes == 1 {
                    self.taps.push(Tap { offset: row, first, count: width }.words());
                    order.extend((0..width).map(|x| (channel, y * width + x)));
                    continue;
                }
                for x in 0..width {
                    self.taps.push(Tap { offset: row + x * layer.dilation[1], first, count }.words());
                    order.extend((channel..channel + count).map(|channel| (channel, y * width + x)));
                }
            }
            channel += count;
        }
        order
    }

    /// The convolution, with its numbers borrowed.
    pub(crate) fn view(&self) -> ConvolutionView<'_> {
        let Self { taps, groups, weights, bias, geometry } = self;
        ConvolutionView { taps, groups, weights, bias, geometry: *geometry }
    }
}

impl Geometry {
    /// Where the inputs of the output pixel (`y`, 0) start.
    pub(crate) fn input_row(&self, y: usize) -> usize {
        let [above, left] = self.input.halo;
        (y * self.stride[0] + above - self.before[0]) * self.input.row() + left - self.before[1]
    }
}

#[cfg(feature = "alloc")]
fn area(kernel: [usize; 2]) -> usize {
    kernel[0] * kernel[1]
}

/// The elements of an input: lines of channels, or single numbers if each channel has its own plane.
pub(crate) trait InputElement: Copy {
    /// The inputs that `count` consecutive weights see, for a tile that spans `span` pixels.
    fn window(input: &[Self], at: usize, span: usize, count: usize) -> &[Self];
    /// The `span` pixels among them that weight `number` sees.
    fn under(seen: &[Self], number: usize, span: usize) -> &[Self];
    /// The value of channel `number` of a block. In a plane there is only one.
    fn value(&self, number: usize) -> f32;
}

impl InputElement for F32x16 {
    #[inline(always)]
    fn window(input: &[Self], at: usize, span: usize, _: usize) -> &[Self] {
        &input[at..][..span]
    }

    #[inline(always)]
    fn under(seen: &[Self], _: usize, _: usize) -> &[Self] {
        seen
    }

    #[inline(always)]
    fn value(&self, number: usize) -> f32 {
        self.0[number % LANES]
    }
}

impl InputElement for f32 {
    #[inline(always)]
    fn window(input: &[Self], at: usize, span: usize, count: usize) -> &[Self] {
        &input[at..][..span - 1 + count]
    }

    #[inline(always)]
    fn under(seen: &[Self], number: usize, span: usize) -> &[Self] {
        &seen[number..][..span]
    }

    #[inline(always)]
    fn value(&self, _: usize) -> f32 {
        *self
    }
}

/// A convolution with its input and output.
pub(crate) struct ConvolutionKernel<'a, X> {
    pub(crate) convolution: ConvolutionView<'a>,
    /// Starting with the first block of its layout.
    pub(crate) input: &'a [X],
    /// Starting with the first block of its layout.
    pub(crate) output: &'a mut [F32x16],
    /// For the activation's function.
    pub(crate) instructions: Instructions,
}

impl<X: InputElement> Kernel for ConvolutionKernel<'_, X> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        match self.convolution.geometry.stride[1] {
            1 => self.run_bands::<V, 1>(),
            2 => self.run_bands::<V, 2>(),
            4 => self.run_bands::<V, 4>(),
            _ => self.run_bands::<V, 0>(),
        }
    }
}

/// A `STRIDE` of 0 stands for any stride other than 1, 2 and 4.
impl<X: InputElement> ConvolutionKernel<'_, X> {
    #[inline(always)]
    fn run_bands<V: Vector, const STRIDE: usize>(self) {
        let Self { convolution, input, output, instructions } = self;
        let Geometry { output: layout, band, activation, .. } = convolution.geometry;
        for first in (0..layout.height).step_by(band) {
            for group in convolution.groups.iter().map(|&words| Group::of(words)) {
                for y in first..layout.height.min(first + band) {
                    match group.blocks {
                        1 => row::<V, X, 1, STRIDE>(convolution, &group, input, output, y),
                        2 if V::BLOCKS == 2 => row::<V, X, 2, STRIDE>(convolution, &group, input, output, y),
                        _ => unreachable!("groups of one or two blocks"),
                    }
                    if let Some(function) = activation.function {
                        for block in group.first..group.first + group.blocks {
                            let at = layout.at(block, y, 0);
                            apply(instructions, function, &mut output[at..][..layout.width]);
                        }
                    }
                }
            }
        }
    }
}

/// A row of a group's outputs, in tiles of about equal width.
#[inline(always)]
fn row<V: Vector, X: InputElement, const BLOCKS: usize, const STRIDE: usize>(
    convolution: ConvolutionView<'_>,
    group: &Group,
    input: &[X],
    output: &mut [F32x16],
    y: usize,
) {
    let taps = &convolution.taps[group.taps.clone()];
    let weights = convolution.weights[group.weights.clone()].as_chunks::<BLOCKS>().0;
    let geometry = &convolution.geometry;
    let from = geometry.input_row(y);
    let width = geometry.output.width;
    let bias = load::<V, BLOCKS>(convolution.bias[group.first..].first_chunk().expect("a group's blocks"));
    let tiles = width.div_ceil(V::PIXELS);
    let mut x = 0;
    for tile in 0..tiles {
        let pixels = (width - x).div_ceil(tiles - tile);
        let mut target = Tile { convolution, group, output, y, x };
        let stride = if STRIDE == 0 { geometry.stride[1] } else { STRIDE };
        let from = from + x * stride;
        macro_rules! sized {
            ($($pixels:literal)*) => {
                match pixels {
                    $($pixels if $pixels <= V::PIXELS => {
                        target.put(sums::<V, X, $pixels, BLOCKS, STRIDE>(bias, taps, weights, input, from, stride));
                    })*
                    _ => unreachable!("no tile is wider than PIXELS"),
                }
            };
        }
        sized!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
        x += pixels;
    }
}

/// Loads several vectors. The compiler does not always inline `array::from_fn`, which then works with the baseline's instructions.
#[inline(always)]
pub(super) fn load<V: Vector, const COUNT: usize>(lines: &[F32x16; COUNT]) -> [V; COUNT] {
    let mut vectors = [V::splat(0.0); COUNT];
    for (vector, line) in vectors.iter_mut().zip(lines) {
        *vector = V::load(line);
    }
    vectors
}

/// How far ahead weights are fetched, in vectors: the CPU's own prefetching stops at the end of a page of memory, and weights that do not
/// fit into the second-level cache take hundreds of cycles to arrive.
const AHEAD: usize = 48;

/// The sums of a tile: `PIXELS` pixels of `BLOCKS` blocks of channels.
#[inline(always)]
fn sums<V: Vector, X: InputElement, const PIXELS: usize, const BLOCKS: usize, const STRIDE: usize>(
    bias: [V; BLOCKS],
    taps: &[TapWords],
    weights: &[[F32x16; BLOCKS]],
    input: &[X],
    from: usize,
    stride: usize,
) -> [[V; PIXELS]; BLOCKS] {
    // A constant, so that the compiler can prove every index below to be in range.
    let stride = if STRIDE == 0 { stride } else { STRIDE };
    let span = (PIXELS - 1) * stride + 1;
    let mut sums = bias.map(|bias| [bias; PIXELS]);
    let mut weights = weights;
    for &words in taps {
        let tap = Tap::of(words);
        let seen = X::window(input, from + tap.offset, span, tap.count);
        let (now, later) = weights.split_at(tap.count);
        weights = later;
        for (number, weights) in now.iter().enumerate() {
            let pixels = X::under(seen, number, span);
            weights.iter().for_each(|line| V::prefetch(line, AHEAD));
            let weights = load(weights);
            for pixel in 0..PIXELS {
                let value = V::splat(pixels[pixel * stride].value(tap.first + number));
                for block in 0..BLOCKS {
                    sums[block][pixel] = value.mul_add(weights[block], sums[block][pixel]);
                }
            }
        }
    }
    sums
}

/// Where a tile is stored.
struct Tile<'a> {
    convolution: ConvolutionView<'a>,
    group: &'a Group,
    output: &'a mut [F32x16],
    y: usize,
    x: usize,
}

impl Tile<'_> {
    #[inline(always)]
    fn put<V: Vector, const PIXELS: usize, const BLOCKS: usize>(&mut self, sums: [[V; PIXELS]; BLOCKS]) {
        for (block, sums) in sums.into_iter().enumerate() {
            let geometry = &self.convolution.geometry;
            let at = geometry.output.at(self.group.first + block, self.y, self.x);
            for (line, sum) in self.output[at..][..PIXELS].iter_mut().zip(sums) {
                geometry.activation.bounds.clamp(sum).store(line);
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
