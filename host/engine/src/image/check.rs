//! Whether an image is sound: no step reads or writes outside of the image, the picture and the workspace, and none overflows or panics.
//!
//! The words of an image may have any value. So positions are computed in 64 bits, and products that could exceed 64 bits are checked.

use super::Image;
use crate::kernels::convolution::{ConvolutionView, Geometry, Group, Tap};
use crate::kernels::pool::Pool;
use crate::layout::Layout;
use crate::simd::LANES;
use crate::step::{Buffer, ImageOperation, Source};

/// The largest number of elements in a layout: that of a network (`MAX_ELEMENTS`).
const MAX_LEN: u64 = 1 << 28;
/// The largest kernel, stride and padding of a pool along an axis, in pixels: that of a network (`MAX_EXTENT`).
const MAX_WINDOW: usize = 4096;

impl Image<'_> {
    /// Whether the whole plan is sound.
    pub(super) fn is_sound(&self) -> bool {
        let mut steps = self.steps;
        let mut sound = self.head_is_sound();
        while sound && !steps.is_empty() {
            sound = steps.step(self.weights).is_some_and(|(operation, to)| self.contains(&to) && self.step_is_sound(operation, &to));
        }
        sound
    }

    fn head_is_sound(&self) -> bool {
        let (header, input) = (&self.header, self.input);
        let shape = [input.channels, input.height, input.width] == [header.channels, header.height, header.width];
        let room = header.padded as u64 * LANES as u64;
        let padded = || len(input).is_some_and(|len| if header.padded == 0 { !input.has_halo() } else { len <= room });
        (header.workspace as u64) <= MAX_LEN / LANES as u64
            && header.padded <= header.workspace
            && shape
            && input.lanes == 1
            && padded()
            && self.contains(&self.output)
            && self.output.layout.channels == header.outputs
            && self.output.layout.blocks() * LANES >= header.outputs
    }

    /// Whether a buffer lies in the workspace, after the padded picture.
    fn contains(&self, buffer: &Buffer) -> bool {
        buffer.layout.lanes == LANES
            && buffer.start >= self.header.padded
            && len(buffer.layout).is_some_and(|len| buffer.start as u64 + len <= self.header.workspace as u64)
    }

    /// [`Self::contains`] has accepted `to`. Arithmetic with the layout of `from` may overflow until `reads` has accepted it.
    fn step_is_sound(&self, operation: ImageOperation<'_>, to: &Buffer) -> bool {
        let reads = |from: &Buffer| self.contains(from) && (from.range().end <= to.start || to.range().end <= from.start);
        match operation {
            ImageOperation::ClearHalo | ImageOperation::ToHead(Source::Input) => true,
            ImageOperation::FirstConvolution(convolution) => {
                convolution.geometry.input == self.input && convolution_is_sound(&convolution, to)
            }
            ImageOperation::Convolution(convolution, from) => {
                let input = convolution.geometry.input;
                let fits = || input.lanes == LANES && len(input).is_some() && input.len() <= from.layout.len();
                reads(&from) && fits() && convolution_is_sound(&convolution, to)
            }
            ImageOperation::Pool(pool, from) => reads(&from) && pool_is_sound(&pool),
            ImageOperation::GlobalPool(_, from) => reads(&from) && from.layout.blocks() <= to.layout.blocks(),
            ImageOperation::Map(_, from) => {
                let (from_layout, to) = (from.layout, to.layout);
                reads(&from) && from_layout.blocks() >= to.blocks() && from_layout.height >= to.height && from_layout.width >= to.width
            }
            ImageOperation::Copy(from, channel) => {
                let (part, to) = (from.layout, to.layout);
                let fits = channel as u64 + part.channels as u64 <= to.channels as u64;
                reads(&from) && fits && part.height <= to.height && part.width <= to.width
            }
            ImageOperation::ToTensor(inner, from) => {
                let pixels = || from.layout.height * from.layout.width;
                let divides = || inner > 0 && pixels().is_multiple_of(inner);
                reads(&from) && divides() && (from.layout.channels * pixels()).div_ceil(LANES) <= to.layout.len()
            }
            ImageOperation::ToHead(Source::Buffer(from)) => reads(&from),
        }
    }
}

/// The length of a layout in pixels; none if it has no pixel or exceeds the limits. Arithmetic with an accepted layout does not overflow.
fn len(layout: Layout) -> Option<u64> {
    let Layout { channels, height, width, halo, far_halo, lanes } = layout;
    if [channels, height, width].contains(&0) || !matches!(lanes, 1 | LANES) {
        return None;
    }
    let side = |axis: usize, length: usize| halo[axis] as u64 + length as u64 + far_halo[axis] as u64;
    let plane = side(0, height).checked_mul(side(1, width)).filter(|&plane| plane <= MAX_LEN)?;
    let len = plane.checked_mul(channels.div_ceil(lanes) as u64)?;
    (len.checked_mul(lanes as u64)? <= MAX_LEN).then_some(len)
}

/// Whether a convolution stays within its input, its weights and `to`.
fn convolution_is_sound(convolution: &ConvolutionView<'_>, to: &Buffer) -> bool {
    let ConvolutionView { taps, groups, weights, bias, geometry } = convolution;
    let Geometry { stride, before, input, output, band, .. } = *geometry;
    let moves = !stride.contains(&0) && band > 0 && before[0] <= input.halo[0] && before[1] <= input.halo[1];
    let fits = output.lanes == LANES && len(output).is_some() && output.len() <= to.layout.len();
    let Some(last) = (moves && fits).then(|| last_pixel(geometry)).flatten() else { return false };
    // No output pixel reads inputs beyond those of the last one.
    let reaches = |tap: Tap| {
        let seen = if input.lanes == 1 { tap.count } else { 1 };
        tap.count > 0 && tap.first < LANES && last + tap.offset as u64 + seen as u64 <= input.len() as u64
    };
    let computes = |group: Group| {
        let Group { first, blocks, taps: seen, weights: lines } = group;
        let (Some(seen), Some(lines)) = (taps.get(seen), weights.get(lines)) else { return false };
        let needed: u64 = seen.iter().map(|&words| Tap::of(words).count as u64).sum();
        blocks == 1 && first < output.blocks() && first < bias.len() && needed <= lines.len() as u64
    };
    taps.iter().all(|&words| reaches(Tap::of(words))) && groups.iter().all(|&words| computes(Group::of(words)))
}

/// Where the inputs of the last output pixel start.
fn last_pixel(geometry: &Geometry) -> Option<u64> {
    let Geometry { stride, before, input, output, .. } = *geometry;
    let place = |axis: usize, side: usize| {
        let start = (side as u64 - 1).checked_mul(stride[axis] as u64)?;
        Some(start + input.halo[axis] as u64 - before[axis] as u64)
    };
    let last = place(0, output.height)?.checked_mul(input.row() as u64)?.checked_add(place(1, output.width)?)?;
    (last <= MAX_LEN).then_some(last)
}

/// Whether every window of a pool sees a pixel, and no channel is missing.
fn pool_is_sound(pool: &Pool) -> bool {
    let Pool { window, input, output, .. } = *pool;
    let axis = |axis: usize, side: usize, out: usize| {
        let [kernel, stride, before, after] = [window.kernel, window.stride, window.before, window.after].map(|sizes| sizes[axis]);
        let small = kernel <= MAX_WINDOW && stride <= MAX_WINDOW && after <= MAX_WINDOW && before < kernel && stride > 0;
        // The last window starts before the end of the picture.
        small && (out as u64 - 1) * (stride as u64) < before as u64 + side as u64
    };
    output.blocks() <= input.blocks() && axis(0, input.height, output.height) && axis(1, input.width, output.width)
}
