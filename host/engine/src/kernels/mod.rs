//! Loops over numbers, compiled for every instruction set.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;

#[cfg(feature = "alloc")]
use crate::simd::{F32x16, LANES};

#[cfg(feature = "alloc")]
pub(crate) mod combine;
pub(crate) mod convolution;
pub(crate) mod copy;
#[cfg(feature = "alloc")]
pub(crate) mod depthwise;
pub(crate) mod function;
#[cfg(feature = "alloc")]
pub(crate) mod layer_norm;
#[cfg(feature = "alloc")]
pub(crate) mod lrn;
pub(crate) mod pointwise;
pub(crate) mod pool;
#[cfg(feature = "alloc")]
pub(crate) mod rearrange;
#[cfg(feature = "alloc")]
pub(crate) mod tensor;
#[cfg(feature = "alloc")]
pub(crate) mod winograd;

/// Numbers in whole vectors, padded with 0.
#[cfg(feature = "alloc")]
pub(crate) fn vectors(numbers: &[f32]) -> Vec<F32x16> {
    numbers.chunks(LANES).map(|chunk| F32x16(core::array::from_fn(|lane| chunk.get(lane).copied().unwrap_or(0.0)))).collect()
}
