//! Sixteen numbers at once.

use super::scalar::square_root;

/// Lanes of a vector.
pub const LANES: usize = 16;

/// Sixteen numbers in memory, aligned for the widest vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct F32x16(pub [f32; LANES]);

impl F32x16 {
    /// Sixteen zeros.
    pub const ZERO: Self = Self([0.0; LANES]);
}

/// The numbers of vectors, one after another.
pub(crate) fn floats(vectors: &[F32x16]) -> &[f32] {
    // SAFETY: an `F32x16` is sixteen `f32` without padding (its size equals its alignment), with at least their alignment.
    unsafe { core::slice::from_raw_parts(vectors.as_ptr().cast(), vectors.len() * LANES) }
}

/// The same, mutable.
pub(crate) fn floats_mut(vectors: &mut [F32x16]) -> &mut [f32] {
    // SAFETY: an `F32x16` is sixteen `f32` without padding (its size equals its alignment), with at least their alignment, and may hold any
    // values.
    unsafe { core::slice::from_raw_parts_mut(vectors.as_mut_ptr().cast(), vectors.len() * LANES) }
}

/// Bytes as lines of sixteen numbers; none unless they are aligned and consist of whole lines. The numbers have the target's byte order.
pub(crate) fn lines_of(bytes: &[u8]) -> Option<&[F32x16]> {
    // SAFETY: an `F32x16` is sixteen `f32` without padding, and may hold any bits.
    let (before, lines, after) = unsafe { bytes.align_to() };
    (before.is_empty() && after.is_empty()).then_some(lines)
}

/// The bits of the numbers of vectors, one after another.
pub(crate) fn words_of(vectors: &[F32x16]) -> &[u32] {
    // SAFETY: as for `floats`; a `u32` has the size and alignment of an `f32`.
    unsafe { core::slice::from_raw_parts(vectors.as_ptr().cast(), vectors.len() * LANES) }
}

/// Sixteen numbers in registers. Each operation is one IEEE 754 operation per lane.
pub trait Vector: Copy {
    /// The number of blocks of [`LANES`] outputs in a tile of a convolution: 1 or 2.
    const BLOCKS: usize;
    /// The largest number of pixels in such a tile, so that all its sums stay in registers.
    const PIXELS: usize;
    /// The largest number of columns of a depthwise kernel that are worth computing together, which takes registers and code.
    const COLUMNS: usize = 1;

    /// Loads sixteen numbers.
    #[must_use]
    #[inline(always)]
    fn load(from: &F32x16) -> Self {
        Self::from_array(&from.0)
    }
    /// Stores the numbers.
    #[inline(always)]
    fn store(self, to: &mut F32x16) {
        self.store_array(&mut to.0);
    }
    /// Loads sixteen numbers, aligned or not.
    #[must_use]
    fn from_array(from: &[f32; LANES]) -> Self;
    /// Stores the numbers, aligned or not.
    fn store_array(self, to: &mut [f32; LANES]);
    /// Tells the CPU that the numbers `lines` vectors after this one will be needed, whether they exist or not.
    #[inline(always)]
    fn prefetch(_from: &F32x16, _lines: usize) {}
    /// Sixteen copies of a number.
    #[must_use]
    fn splat(value: f32) -> Self;
    /// `self * factor + term`, rounded once.
    #[must_use]
    fn mul_add(self, factor: Self, term: Self) -> Self;
    /// `self + other`.
    #[must_use]
    fn add(self, other: Self) -> Self;
    /// `self - other`.
    #[must_use]
    fn sub(self, other: Self) -> Self;
    /// `self * other`.
    #[must_use]
    fn mul(self, other: Self) -> Self;
    /// `self / other`.
    #[must_use]
    fn div(self, other: Self) -> Self;
    /// The square root.
    #[must_use]
    fn sqrt(self) -> Self;
    /// The larger of `self` and `other`; `other` if one is NaN.
    #[must_use]
    fn max(self, other: Self) -> Self;
    /// The smaller of `self` and `other`; `other` if one is NaN.
    #[must_use]
    fn min(self, other: Self) -> Self;
    /// `then` where `self < bound`, and `otherwise` elsewhere, also where one of the two is NaN.
    #[must_use]
    fn less(self, bound: Self, then: Self, otherwise: Self) -> Self;
    /// The magnitude of `self` with the sign of `sign`.
    #[must_use]
    fn copy_sign(self, sign: Self) -> Self;
    /// 2^(k - 127) of numbers 1.5 * 2^23 + k, for integers k from 0 (which gives 0) to 255 (which gives infinity): the last bits of such a
    /// number become the exponent. Other numbers give anything.
    #[must_use]
    fn power_of_two(self) -> Self;

    /// The numbers as an array, for code in plain Rust: inside a kernel the compiler keeps it in registers.
    #[must_use]
    #[inline(always)]
    fn to_array(self) -> [f32; LANES] {
        let mut array = [0.0; LANES];
        self.store_array(&mut array);
        array
    }
    /// Applies a function to each number, in plain Rust.
    #[must_use]
    #[inline(always)]
    fn map(self, function: impl Fn(f32) -> f32) -> Self {
        let mut array = self.to_array();
        for number in &mut array {
            *number = function(*number);
        }
        Self::from_array(&array)
    }
}

/// Plain arrays, which the compiler vectorises for the baseline of the target.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; LANES]);

#[cfg(scalar_fma)]
#[inline(always)]
fn fused(a: &[f32; LANES], b: &[f32; LANES], c: &[f32; LANES]) -> [f32; LANES] {
    core::array::from_fn(|lane| super::fused_multiply_add(a[lane], b[lane], c[lane]))
}

/// Loops without branches, which the compiler vectorises. A plain sum in `f64` nearly always gives the same result as one that is rounded
/// to odd; if a lane is in doubt, all lanes are computed again.
#[cfg(not(any(scalar_fma, all(target_arch = "wasm32", target_feature = "relaxed-simd"))))]
#[inline(always)]
fn fused(a: &[f32; LANES], b: &[f32; LANES], c: &[f32; LANES]) -> [f32; LANES] {
    use super::scalar::{is_doubtful, to_odd};
    let mut sums = [0.0_f64; LANES];
    let mut doubtful = false;
    for lane in 0..LANES {
        sums[lane] = f64::from(a[lane]) * f64::from(b[lane]) + f64::from(c[lane]);
        doubtful |= is_doubtful(sums[lane]);
    }
    if doubtful {
        for lane in 0..LANES {
            sums[lane] = to_odd(f64::from(a[lane]) * f64::from(b[lane]), c[lane].into());
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "rounded here")]
    sums.map(|sum| sum as f32)
}

impl Portable {
    #[inline(always)]
    fn each(self, other: Self, operation: impl Fn(f32, f32) -> f32) -> Self {
        let mut to = self;
        for (to, &other) in to.0.iter_mut().zip(&other.0) {
            *to = operation(*to, other);
        }
        to
    }
}

impl Vector for Portable {
    const BLOCKS: usize = 1;
    const PIXELS: usize = 6;

    #[inline(always)]
    fn from_array(from: &[f32; LANES]) -> Self {
        Self(*from)
    }

    #[inline(always)]
    fn store_array(self, to: &mut [f32; LANES]) {
        *to = self.0;
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
        let result = {
            let mut sums = term.0;
            super::wasm::multiply_add(&self.0, &factor.0, &mut sums);
            sums
        };
        #[cfg(not(all(target_arch = "wasm32", target_feature = "relaxed-simd")))]
        let result = fused(&self.0, &factor.0, &term.0);
        Self(result)
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.each(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.each(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.each(other, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.each(other, |a, b| a / b)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.each(self, |a, _| square_root(a))
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.each(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.each(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn less(self, bound: Self, then: Self, otherwise: Self) -> Self {
        Self(core::array::from_fn(|lane| if self.0[lane] < bound.0[lane] { then.0[lane] } else { otherwise.0[lane] }))
    }

    #[inline(always)]
    fn copy_sign(self, sign: Self) -> Self {
        self.each(sign, f32::copysign)
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        self.each(self, |number, _| f32::from_bits(number.to_bits() << 23))
    }
}
