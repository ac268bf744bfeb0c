//! Copies numbers to other places of a picture or a tensor.

use super::copy::runs;
use crate::ir::Extract;
use crate::layout::Layout;
use crate::simd::{F32x16, LANES};

/// The same pixels, one after another, in rows of another length.
pub(crate) fn reflow(from: &[F32x16], from_layout: Layout, to: &mut [F32x16], to_layout: Layout) {
    for block in 0..to_layout.blocks() {
        for pixel in 0..to_layout.height * to_layout.width {
            let (y, x) = (pixel / from_layout.width, pixel % from_layout.width);
            to[to_layout.at(block, pixel / to_layout.width, pixel % to_layout.width)] = from[from_layout.at(block, y, x)];
        }
    }
}

/// Pixels of a picture, or the value beyond its edges.
pub(crate) fn extract(layer: Extract, from: &[F32x16], from_layout: Layout, to: &mut [F32x16], to_layout: Layout) {
    let place = |axis: usize, at: usize, side: usize| {
        let place = layer.start[axis].checked_add_unsigned(at.checked_mul(layer.step[axis])?)?;
        usize::try_from(place).ok().filter(|&place| place < side)
    };
    for block in 0..to_layout.blocks() {
        for y in 0..to_layout.height {
            let targets = &mut to[to_layout.at(block, y, 0)..][..to_layout.width];
            let Some(row) = place(0, y, from_layout.height) else {
                targets.fill(F32x16([layer.fill; LANES]));
                continue;
            };
            let pixels = &from[from_layout.at(block, row, 0)..][..from_layout.width];
            for (x, target) in targets.iter_mut().enumerate() {
                *target = place(1, x, from_layout.width).map_or(F32x16([layer.fill; LANES]), |column| pixels[column]);
            }
        }
    }
}

/// The reverse of [`to_tensor`](super::copy::to_tensor).
pub(crate) fn to_picture(inner: usize, tensor: &[f32], picture: &mut [F32x16], layout: Layout) {
    for run in runs(layout, inner) {
        for block in 0..layout.blocks() {
            let lanes = LANES.min(layout.channels - block * LANES);
            let pixels = &mut picture[layout.at(block, run.pixel / layout.width, run.pixel % layout.width)..][..run.len];
            let at = run.at + block * LANES * inner;
            if inner == 1 {
                pixels[0].0[..lanes].copy_from_slice(&tensor[at..][..lanes]);
                continue;
            }
            for (chunk, pixels) in pixels.chunks_mut(LANES).enumerate() {
                for lane in 0..lanes {
                    let numbers = &tensor[at + lane * inner + chunk * LANES..][..pixels.len()];
                    pixels.iter_mut().zip(numbers).for_each(|(pixel, number)| pixel.0[lane] = *number);
                }
            }
        }
    }
}

/// Copies each of the `chunks` of a tensor into a chunk of a larger one, after the first `offset` numbers of that chunk.
pub(crate) fn join(chunks: usize, from: &[f32], to: &mut [f32], offset: usize) {
    if from.is_empty() || chunks == 0 {
        return;
    }
    let (each, whole) = (from.len() / chunks, to.len() / chunks);
    for (from, to) in from.chunks_exact(each).zip(to.chunks_exact_mut(whole)) {
        to[offset..][..each].copy_from_slice(from);
    }
}
