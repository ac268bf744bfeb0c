//! Copies numbers from one layout to another.

#[cfg(feature = "alloc")]
use crate::ir::Channel;
use crate::layout::Layout;
use crate::simd::{F32x16, LANES};

/// Copies the channels of one picture into another, starting at channel number `channel`.
pub(crate) fn copy_channels(from: &[F32x16], from_layout: Layout, to: &mut [F32x16], to_layout: Layout, channel: usize) {
    if channel.is_multiple_of(LANES) && from_layout.channels.is_multiple_of(LANES) {
        return copy_blocks(from, from_layout, to, to_layout, channel / LANES);
    }
    // Row by row, so that the pixels are still in the cache when the next channel needs them.
    for y in 0..from_layout.height {
        for here in 0..from_layout.channels {
            let there = channel + here;
            let pixels = &from[from_layout.at(here / LANES, y, 0)..][..from_layout.width];
            copy_lane(pixels, here % LANES, &mut to[to_layout.at(there / LANES, y, 0)..], there % LANES);
        }
    }
}

fn copy_blocks(from: &[F32x16], from_layout: Layout, to: &mut [F32x16], to_layout: Layout, first: usize) {
    for block in 0..from_layout.blocks() {
        for y in 0..from_layout.height {
            let pixels = &from[from_layout.at(block, y, 0)..][..from_layout.width];
            to[to_layout.at(first + block, y, 0)..][..from_layout.width].copy_from_slice(pixels);
        }
    }
}

/// Makes a picture of channels of others. `pictures` gives the numbers and the layout of each of them.
#[cfg(feature = "alloc")]
pub(crate) fn select_channels<'p>(
    channels: &[Channel],
    pictures: &dyn Fn(usize) -> (&'p [F32x16], Layout),
    to: &mut [F32x16],
    to_layout: Layout,
) {
    for (block, channels) in channels.chunks(LANES).enumerate() {
        // For each channel: the numbers of its picture, their layout, and its place there.
        let mut sources: [(&[F32x16], Layout, usize); LANES] = [(&[], to_layout, 0); LANES];
        for (source, channel) in sources.iter_mut().zip(channels) {
            let (numbers, layout) = pictures(channel.picture as usize);
            *source = (numbers, layout, channel.channel as usize);
        }
        for y in 0..to_layout.height {
            let targets = &mut to[to_layout.at(block, y, 0)..][..to_layout.width];
            for (lane, &(numbers, layout, channel)) in sources[..channels.len()].iter().enumerate() {
                copy_lane(&numbers[layout.at(channel / LANES, y, 0)..], channel % LANES, targets, lane);
            }
        }
    }
}

/// Copies one number of each pixel.
fn copy_lane(pixels: &[F32x16], from: usize, targets: &mut [F32x16], to: usize) {
    for (target, pixel) in targets.iter_mut().zip(pixels) {
        target.0[to % LANES] = pixel.0[from % LANES];
    }
}

/// Pixels of a channel that are adjacent in a row of a picture and in a tensor.
pub(super) struct Run {
    pub(super) pixel: usize,
    pub(super) len: usize,
    /// The position in the tensor of the first channel of the first pixel.
    pub(super) at: usize,
}

/// The runs of a picture. In the tensor, `inner` numbers of a channel are followed by `inner` numbers of the next one.
pub(super) fn runs(layout: Layout, inner: usize) -> impl Iterator<Item = Run> {
    let (pixels, width, channels) = (layout.height * layout.width, layout.width, layout.channels);
    let mut pixel = 0;
    core::iter::from_fn(move || {
        let len = (width - pixel % width).min(inner - pixel % inner).min(pixels - pixel);
        let run = Run { pixel, len, at: pixel / inner * inner * channels + pixel % inner };
        pixel += len;
        (len > 0).then_some(run)
    })
}

/// A picture as a tensor: for each run of `inner` pixels the numbers of the first channel, then those of the second, and so on.
pub(crate) fn to_tensor(inner: usize, picture: &[F32x16], layout: Layout, tensor: &mut [f32]) {
    for run in runs(layout, inner) {
        for block in 0..layout.blocks() {
            let lanes = LANES.min(layout.channels - block * LANES);
            let pixels = &picture[layout.at(block, run.pixel / layout.width, run.pixel % layout.width)..][..run.len];
            let at = run.at + block * LANES * inner;
            if inner == 1 {
                tensor[at..][..lanes].copy_from_slice(&pixels[0].0[..lanes]);
                continue;
            }
            for (chunk, pixels) in pixels.chunks(LANES).enumerate() {
                for lane in 0..lanes {
                    let targets = &mut tensor[at + lane * inner + chunk * LANES..][..pixels.len()];
                    targets.iter_mut().zip(pixels).for_each(|(target, pixel)| *target = pixel.0[lane]);
                }
            }
        }
    }
}
