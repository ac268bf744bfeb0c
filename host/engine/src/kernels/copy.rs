//! Copies numbers from one layout to another.

use crate::layout::Layout;
use crate::simd::{F32x16, LANES};

/// Copies the channels of one picture into another, starting at channel number `channel`.
pub(crate) fn copy_channels(from: &[F32x16], from_layout: Layout, to: &mut [F32x16], to_layout: Layout, channel: usize) {
    for here in 0..from_layout.channels {
        let there = channel + here;
        for y in 0..from_layout.height {
            let pixels = &from[from_layout.at(here / LANES, y, 0)..][..from_layout.width];
            let targets = &mut to[to_layout.at(there / LANES, y, 0)..][..from_layout.width];
            for (target, pixel) in targets.iter_mut().zip(pixels) {
                target.0[there % LANES] = pixel.0[here % LANES];
            }
        }
    }
}

/// Writes a picture as channels x rows x columns into a row of a vector: one lane of every `step`-th group of sixteen numbers.
pub(crate) fn flatten(picture: &[F32x16], layout: Layout, vector: &mut [F32x16], step: usize) {
    let mut number = 0;
    for channel in 0..layout.channels {
        for y in 0..layout.height {
            for pixel in &picture[layout.at(channel / LANES, y, 0)..][..layout.width] {
                vector[number / LANES * step].0[number % LANES] = pixel.0[channel % LANES];
                number += 1;
            }
        }
    }
}
