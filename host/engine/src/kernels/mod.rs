//! Loops over numbers, compiled for every instruction set.

use alloc::vec::Vec;

use crate::simd::{F32x16, LANES};

pub(crate) mod convolution;
pub(crate) mod copy;
pub(crate) mod depthwise;
pub(crate) mod layer_norm;
pub(crate) mod lrn;
pub(crate) mod pointwise;
pub(crate) mod pool;
pub(crate) mod tensor;

/// Numbers in whole vectors, padded with 0.
pub(crate) fn vectors(numbers: &[f32]) -> Vec<F32x16> {
    numbers.chunks(LANES).map(|chunk| F32x16(core::array::from_fn(|lane| chunk.get(lane).copied().unwrap_or(0.0)))).collect()
}
