//! Sixteen numbers at once, as wide as the CPU's vectors are: arithmetic that is the same on all of them.
//!
//! [`vectorised`] runs a piece of work compiled for a set of [`Instructions`]. Every operation of [`Lanes`] is one IEEE operation a
//! lane, rounded once, so that the bits do not depend on the instructions; the fused multiply-add is the one that every CPU and
//! `f32::mul_add` agree on.

use super::Instructions;

/// Lanes of a [`Line`].
pub(crate) const WIDTH: usize = 16;

/// Sixteen numbers, aligned as the widest vectors are.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [f32; WIDTH]);

impl Line {
    pub(crate) const ZERO: Self = Self([0.0; WIDTH]);
}

/// A [`Line`] in registers.
pub(crate) trait Lanes: Copy {
    /// Blocks of [`WIDTH`] outputs that a tile of a convolution has: 1 or 2.
    const BLOCKS: usize;
    /// Pixels that such a tile has at most, so that all its sums stay in registers.
    const PIXELS: usize;

    fn load(line: &Line) -> Self;
    /// From the first [`WIDTH`] numbers.
    fn gather(numbers: &[f32; WIDTH]) -> Self;
    fn store(self, line: &mut Line);
    fn splat(value: f32) -> Self;
    /// `self * factor + term`, rounded once.
    fn fused(self, factor: Self, term: Self) -> Self;
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    fn over(self, other: Self) -> Self;
    fn root(self) -> Self;
    /// `self` where it is the larger, else `other`: `other` if one is not a number.
    fn larger(self, other: Self) -> Self;
    /// `self` where it is the smaller, else `other`: `other` if one is not a number.
    fn smaller(self, other: Self) -> Self;
}

/// Work to be compiled for each set of instructions. `run` must be `#[inline(always)]`, as must be what it calls in its loops, or it
/// is compiled for the baseline.
pub(crate) trait Work {
    fn run<V: Lanes>(self);
}

/// Does the work with these instructions, or with the baseline's where the CPU does not have them.
pub(crate) fn vectorised(instructions: Instructions, work: impl Work) {
    match instructions {
        // SAFETY: `available` says that the CPU has every instruction that the function was compiled for.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 if instructions.available() => unsafe { x86::avx512(work) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 if instructions.available() => unsafe { x86::avx2(work) },
        _ => work.run::<Plain>(),
    }
}

/// The shape of a convolution's tiles with these instructions: [`Lanes::BLOCKS`].
pub(crate) fn blocks(instructions: Instructions) -> usize {
    match instructions {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 if instructions.available() => <x86::Wide as Lanes>::BLOCKS,
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 if instructions.available() => <x86::Pair as Lanes>::BLOCKS,
        _ => Plain::BLOCKS,
    }
}

/// What the compiler makes of an array: NEON on aarch64; correct, and slow, on an x86-64 without fused multiply-add.
#[derive(Clone, Copy)]
struct Plain([f32; WIDTH]);

impl Plain {
    #[inline(always)]
    fn each(self, other: Self, operation: impl Fn(f32, f32) -> f32) -> Self {
        let mut to = self;
        for (to, &other) in to.0.iter_mut().zip(&other.0) {
            *to = operation(*to, other);
        }
        to
    }
}

impl Lanes for Plain {
    const BLOCKS: usize = 1;
    const PIXELS: usize = 6;

    #[inline(always)]
    fn load(line: &Line) -> Self {
        Self(line.0)
    }

    #[inline(always)]
    fn gather(numbers: &[f32; WIDTH]) -> Self {
        Self(*numbers)
    }

    #[inline(always)]
    fn store(self, line: &mut Line) {
        line.0 = self.0;
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; WIDTH])
    }

    #[inline(always)]
    #[expect(clippy::disallowed_methods, reason = "rounded once is what is wanted here, with every set of instructions")]
    fn fused(self, factor: Self, term: Self) -> Self {
        let mut to = term;
        for ((to, &a), &b) in to.0.iter_mut().zip(&self.0).zip(&factor.0) {
            *to = a.mul_add(b, *to);
        }
        to
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.each(other, |a, b| a + b)
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.each(other, |a, b| a * b)
    }

    #[inline(always)]
    fn over(self, other: Self) -> Self {
        self.each(other, |a, b| a / b)
    }

    #[inline(always)]
    fn root(self) -> Self {
        self.each(self, |a, _| a.sqrt())
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        self.each(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        self.each(other, |a, b| if a < b { a } else { b })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The types here exist only inside [`Work::run`] called by [`avx512`] and [`avx2`]: nothing outside of `lanes` can name them, and `lanes`
    //! takes no more than their constants. So the CPU has their instructions.

    use std::arch::x86_64::{
        __m256, __m512, _mm256_add_ps, _mm256_div_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps,
        _mm256_set1_ps, _mm256_sqrt_ps, _mm256_storeu_ps, _mm512_add_ps, _mm512_div_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_max_ps,
        _mm512_min_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_sqrt_ps, _mm512_storeu_ps,
    };

    use super::{Lanes, Line, WIDTH, Work};

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
    pub(super) fn avx512(work: impl Work) {
        work.run::<Wide>();
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2(work: impl Work) {
        work.run::<Pair>();
    }

    #[derive(Clone, Copy)]
    pub(super) struct Wide(__m512);

    // SAFETY, for all of it: see the module's documentation; loads and stores are of sixteen numbers that a reference vouches for.
    impl Lanes for Wide {
        const BLOCKS: usize = 2;
        const PIXELS: usize = 14;

        #[inline(always)]
        fn load(line: &Line) -> Self {
            Self::gather(&line.0)
        }

        #[inline(always)]
        fn gather(numbers: &[f32; WIDTH]) -> Self {
            Self(unsafe { _mm512_loadu_ps(numbers.as_ptr()) })
        }

        #[inline(always)]
        fn store(self, line: &mut Line) {
            unsafe { _mm512_storeu_ps(line.0.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn splat(value: f32) -> Self {
            Self(unsafe { _mm512_set1_ps(value) })
        }

        #[inline(always)]
        fn fused(self, factor: Self, term: Self) -> Self {
            Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, term.0) })
        }

        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn times(self, other: Self) -> Self {
            Self(unsafe { _mm512_mul_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn over(self, other: Self) -> Self {
            Self(unsafe { _mm512_div_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn root(self) -> Self {
            Self(unsafe { _mm512_sqrt_ps(self.0) })
        }

        #[inline(always)]
        fn larger(self, other: Self) -> Self {
            Self(unsafe { _mm512_max_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn smaller(self, other: Self) -> Self {
            Self(unsafe { _mm512_min_ps(self.0, other.0) })
        }
    }

    #[derive(Clone, Copy)]
    pub(super) struct Pair(__m256, __m256);

    impl Pair {
        #[inline(always)]
        fn each(self, other: Self, operation: impl Fn(__m256, __m256) -> __m256) -> Self {
            Self(operation(self.0, other.0), operation(self.1, other.1))
        }
    }

    // SAFETY, for all of it: as for `Wide`.
    impl Lanes for Pair {
        const BLOCKS: usize = 1;
        const PIXELS: usize = 6;

        #[inline(always)]
        fn load(line: &Line) -> Self {
            Self::gather(&line.0)
        }

        #[inline(always)]
        fn gather(numbers: &[f32; WIDTH]) -> Self {
            let (low, high) = numbers.split_at(WIDTH / 2);
            unsafe { Self(_mm256_loadu_ps(low.as_ptr()), _mm256_loadu_ps(high.as_ptr())) }
        }

        #[inline(always)]
        fn store(self, line: &mut Line) {
            let (low, high) = line.0.split_at_mut(WIDTH / 2);
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
        fn fused(self, factor: Self, term: Self) -> Self {
            unsafe { Self(_mm256_fmadd_ps(self.0, factor.0, term.0), _mm256_fmadd_ps(self.1, factor.1, term.1)) }
        }

        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            self.each(other, |a, b| unsafe { _mm256_add_ps(a, b) })
        }

        #[inline(always)]
        fn times(self, other: Self) -> Self {
            self.each(other, |a, b| unsafe { _mm256_mul_ps(a, b) })
        }

        #[inline(always)]
        fn over(self, other: Self) -> Self {
            self.each(other, |a, b| unsafe { _mm256_div_ps(a, b) })
        }

        #[inline(always)]
        fn root(self) -> Self {
            unsafe { Self(_mm256_sqrt_ps(self.0), _mm256_sqrt_ps(self.1)) }
        }

        #[inline(always)]
        fn larger(self, other: Self) -> Self {
            self.each(other, |a, b| unsafe { _mm256_max_ps(a, b) })
        }

        #[inline(always)]
        fn smaller(self, other: Self) -> Self {
            self.each(other, |a, b| unsafe { _mm256_min_ps(a, b) })
        }
    }
}
