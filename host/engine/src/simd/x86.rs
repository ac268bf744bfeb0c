//! Vectors of x86-64. The types here exist only inside [`Kernel::run`] called by [`avx512`] and [`avx2`]: nothing outside `simd` can name
//! them, and `simd` uses only their constants. So the CPU supports their instructions.

use core::arch::x86_64::{
    __m256, __m512, _CMP_LT_OQ, _MM_HINT_T0, _mm_prefetch, _mm256_add_ps, _mm256_and_ps, _mm256_andnot_ps, _mm256_blendv_ps,
    _mm256_castps_si256, _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_div_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps,
    _mm256_mul_ps, _mm256_or_ps, _mm256_set1_ps, _mm256_slli_epi32, _mm256_sqrt_ps, _mm256_storeu_ps, _mm256_sub_ps, _mm512_add_ps,
    _mm512_and_ps, _mm512_andnot_ps, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_div_ps, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_mask_blend_ps, _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps, _mm512_or_ps, _mm512_set1_ps, _mm512_slli_epi32,
    _mm512_sqrt_ps, _mm512_storeu_ps, _mm512_sub_ps,
};

use super::{F32x16, Kernel, LANES, Vector};

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
pub(super) fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512>()
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx2>()
}

#[derive(Clone, Copy)]
pub(super) struct Avx512(__m512);

// SAFETY, for all of it: see the module documentation; loads and stores access sixteen numbers behind a reference.
impl Vector for Avx512 {
    const BLOCKS: usize = 2;
    const PIXELS: usize = 14;
    const COLUMNS: usize = 7;

    #[inline(always)]
    fn from_array(from: &[f32; LANES]) -> Self {
        Self(unsafe { _mm512_loadu_ps(from.as_ptr()) })
    }

    #[inline(always)]
    fn store_array(self, to: &mut [f32; LANES]) {
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn prefetch(from: &F32x16, lines: usize) {
        let ahead = core::ptr::from_ref(from).wrapping_add(lines);
        // SAFETY: a prefetch may be given any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.cast()) }
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, term.0) })
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(unsafe { _mm512_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(unsafe { _mm512_sqrt_ps(self.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(unsafe { _mm512_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(unsafe { _mm512_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn less(self, bound: Self, then: Self, otherwise: Self) -> Self {
        Self(unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, bound.0), otherwise.0, then.0) })
    }

    #[inline(always)]
    fn copy_sign(self, sign: Self) -> Self {
        Self(unsafe {
            let mask = _mm512_set1_ps(-0.0);
            _mm512_or_ps(_mm512_andnot_ps(mask, self.0), _mm512_and_ps(mask, sign.0))
        })
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        Self(unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(self.0))) })
    }
}

#[derive(Clone, Copy)]
pub(super) struct Avx2(__m256, __m256);

impl Avx2 {
    #[inline(always)]
    fn each(self, other: Self, operation: impl Fn(__m256, __m256) -> __m256) -> Self {
        Self(operation(self.0, other.0), operation(self.1, other.1))
    }
}

// SAFETY, for all of it: as for `Avx512`.
impl Vector for Avx2 {
    const BLOCKS: usize = 1;
    const PIXELS: usize = 6;
    const COLUMNS: usize = 5;

    #[inline(always)]
    fn from_array(from: &[f32; LANES]) -> Self {
        let (low, high) = from.split_at(LANES / 2);
        unsafe { Self(_mm256_loadu_ps(low.as_ptr()), _mm256_loadu_ps(high.as_ptr())) }
    }

    #[inline(always)]
    fn store_array(self, to: &mut [f32; LANES]) {
        let (low, high) = to.split_at_mut(LANES / 2);
        unsafe {
            _mm256_storeu_ps(low.as_mut_ptr(), self.0);
            _mm256_storeu_ps(high.as_mut_ptr(), self.1);
        }
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        Self(unsafe { _mm256_fmadd_ps(self.0, factor.0, term.0) }, unsafe { _mm256_fmadd_ps(self.1, factor.1, term.1) })
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.each(other, |a, b| unsafe { _mm256_add_ps(a, b) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.each(other, |a, b| unsafe { _mm256_sub_ps(a, b) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.each(other, |a, b| unsafe { _mm256_mul_ps(a, b) })
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.each(other, |a, b| unsafe { _mm256_div_ps(a, b) })
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.each(self, |a, _| unsafe { _mm256_sqrt_ps(a) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.each(other, |a, b| unsafe { _mm256_max_ps(a, b) })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.each(other, |a, b| unsafe { _mm256_min_ps(a, b) })
    }

    #[inline(always)]
    fn less(self, bound: Self, then: Self, otherwise: Self) -> Self {
        let tests = self.each(bound, |a, b| unsafe { _mm256_cmp_ps::<_CMP_LT_OQ>(a, b) });
        unsafe { Self(_mm256_blendv_ps(otherwise.0, then.0, tests.0), _mm256_blendv_ps(otherwise.1, then.1, tests.1)) }
    }

    #[inline(always)]
    fn copy_sign(self, sign: Self) -> Self {
        self.each(sign, |a, b| unsafe {
            let mask = _mm256_set1_ps(-0.0);
            _mm256_or_ps(_mm256_andnot_ps(mask, a), _mm256_and_ps(mask, b))
        })
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        self.each(self, |a, _| unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(a))) })
    }
}
