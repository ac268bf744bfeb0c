//! Fused multiply-add on wasm32 with `relaxed-simd`, whose instruction the browser may round once or twice: a program compiled with it must
//! check [`fused`] before it trusts a score.

use core::arch::wasm32::{f32x4_relaxed_madd, v128_load, v128_store};

use super::LANES;

/// `to[i] = a[i] * b[i] + to[i]`, rounded once if [`fused`].
#[inline(always)]
pub(super) fn multiply_add(a: &[f32; LANES], b: &[f32; LANES], to: &mut [f32; LANES]) {
    let places = a.as_chunks::<4>().0.iter().zip(b.as_chunks::<4>().0).zip(to.as_chunks_mut::<4>().0);
    for ((a, b), to) in places {
        // SAFETY: each reference is to four numbers, and unaligned loads and stores are allowed.
        unsafe {
            let sum = f32x4_relaxed_madd(v128_load(a.as_ptr().cast()), v128_load(b.as_ptr().cast()), v128_load(to.as_ptr().cast()));
            v128_store(to.as_mut_ptr().cast(), sum);
        }
    }
}

/// Whether multiply-add is rounded once here. A browser decides this once for all code.
#[must_use]
pub fn fused() -> bool {
    let (factor, term) = core::hint::black_box((1.0 + 1.0 / 4096.0, -(1.0 + 1.0 / 2048.0)));
    let mut sums = [term; LANES];
    multiply_add(&[factor; LANES], &[factor; LANES], &mut sums);
    sums == [1.0 / 16_777_216.0; LANES]
}
