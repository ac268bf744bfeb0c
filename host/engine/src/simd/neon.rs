//! Vectors of 64-bit ARM. As in the module for x86-64, the type exists only inside [`Kernel::run`] called by [`neon`].

use core::arch::aarch64::{
    float32x4_t, vaddq_f32, vbslq_f32, vcgtq_f32, vcltq_f32, vdivq_f32, vdupq_n_f32, vdupq_n_u32, vfmaq_f32, vld1q_f32, vmulq_f32,
    vreinterpretq_f32_u32, vreinterpretq_u32_f32, vshlq_n_u32, vsqrtq_f32, vst1q_f32, vsubq_f32,
};

use super::{Kernel, LANES, Vector};

#[target_feature(enable = "neon")]
pub(super) fn neon<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Neon>()
}

#[derive(Clone, Copy)]
pub(super) struct Neon([float32x4_t; LANES / 4]);

impl Neon {
    #[inline(always)]
    fn each(self, other: Self, operation: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> Self {
        Self(core::array::from_fn(|part| operation(self.0[part], other.0[part])))
    }
}

// SAFETY, for all of it: see the module documentation; loads and stores access four numbers behind a reference.
impl Vector for Neon {
    const BLOCKS: usize = 1;
    // 24 of 32 registers hold sums, 4 weights, and 1 a pixel.
    const PIXELS: usize = 6;

    #[inline(always)]
    fn from_array(from: &[f32; LANES]) -> Self {
        Self(core::array::from_fn(|part| unsafe { vld1q_f32(from[4 * part..][..4].as_ptr()) }))
    }

    #[inline(always)]
    fn store_array(self, to: &mut [f32; LANES]) {
        for (part, to) in self.0.into_iter().zip(to.chunks_exact_mut(4)) {
            unsafe { vst1q_f32(to.as_mut_ptr(), part) }
        }
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([unsafe { vdupq_n_f32(value) }; LANES / 4])
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        Self(core::array::from_fn(|part| unsafe { vfmaq_f32(term.0[part], self.0[part], factor.0[part]) }))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.each(other, |a, b| unsafe { vaddq_f32(a, b) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.each(other, |a, b| unsafe { vsubq_f32(a, b) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.each(other, |a, b| unsafe { vmulq_f32(a, b) })
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.each(other, |a, b| unsafe { vdivq_f32(a, b) })
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.each(self, |a, _| unsafe { vsqrtq_f32(a) })
    }

    // Not FMAX and FMIN, which return NaN if one of the two is NaN, and tell the zeros apart.
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.each(other, |a, b| unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.each(other, |a, b| unsafe { vbslq_f32(vcltq_f32(a, b), a, b) })
    }

    #[inline(always)]
    fn less(self, bound: Self, then: Self, otherwise: Self) -> Self {
        Self(core::array::from_fn(|part| unsafe { vbslq_f32(vcltq_f32(self.0[part], bound.0[part]), then.0[part], otherwise.0[part]) }))
    }

    #[inline(always)]
    fn copy_sign(self, sign: Self) -> Self {
        self.each(sign, |a, b| unsafe { vbslq_f32(vdupq_n_u32(1 << 31), b, a) })
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        self.each(self, |a, _| unsafe { vreinterpretq_f32_u32(vshlq_n_u32::<23>(vreinterpretq_u32_f32(a))) })
    }
}
