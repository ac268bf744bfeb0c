//! Rows of any length, sixteen numbers at a time.

use crate::simd::{LANES, Vector};

/// Up to sixteen numbers; the other lanes are `fill`.
#[inline(always)]
pub(super) fn load<V: Vector>(from: &[f32], fill: f32) -> V {
    if let Some(from) = from.first_chunk() {
        return V::from_array(from);
    }
    let mut padded = [fill; LANES];
    padded[..from.len()].copy_from_slice(from);
    V::from_array(&padded)
}

/// As many of the numbers as there is room for.
#[inline(always)]
pub(super) fn store<V: Vector>(numbers: V, to: &mut [f32]) {
    if let Some(to) = to.first_chunk_mut() {
        return numbers.store_array(to);
    }
    to.copy_from_slice(&numbers.to_array()[..to.len()]);
}
