//! Fused multiply-add and square root of single numbers, on any target.
//!
//! Where the target has an instruction for the former, that is used. Elsewhere it is emulated, exactly: `a * b` of two `f32` is exact in
//! `f64`, and a sum in `f64` that is rounded to odd can be rounded once more, to `f32`, as if it had been exact (Boldo and Melquiond,
//! "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008). `libm::fmaf` is not used: where the result
//! is subnormal, version 0.2.16 rounds twice.

/// `a * b + c`, rounded once.
#[cfg(any(scalar_fma, feature = "alloc"))]
#[inline(always)]
#[must_use]
pub(crate) fn fused_multiply_add(a: f32, b: f32, c: f32) -> f32 {
    #[cfg(scalar_fma)]
    let result = instruction(a, b, c);
    #[cfg(not(scalar_fma))]
    let result = emulated(a, b, c);
    result
}

/// The square root.
#[inline(always)]
#[must_use]
pub(crate) fn square_root(a: f32) -> f32 {
    #[cfg(feature = "std")]
    let result = a.sqrt();
    #[cfg(not(feature = "std"))]
    let result = libm::sqrtf(a);
    result
}

#[cfg(all(scalar_fma, any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn instruction(a: f32, b: f32, c: f32) -> f32 {
    // SAFETY: the build script has found the feature.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use core::arch::x86_64::{_mm_cvtss_f32, _mm_fmadd_ss, _mm_set_ss};
        _mm_cvtss_f32(_mm_fmadd_ss(_mm_set_ss(a), _mm_set_ss(b), _mm_set_ss(c)))
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        use core::arch::aarch64::{vdup_n_f32, vfma_f32, vget_lane_f32};
        vget_lane_f32::<0>(vfma_f32(vdup_n_f32(c), vdup_n_f32(a), vdup_n_f32(b)))
    }
}

// A function, because rustc does not let stable programs name the registers of ARM's floating-point unit. The arguments are in s0 to s2.
#[cfg(all(scalar_fma, target_arch = "arm"))]
core::arch::global_asm!(
    ".pushsection .text.fooling_engine_fma, \"ax\"",
    // rustc does not tell the assembler which floating-point unit the target has.
    ".fpu fpv4-sp-d16",
    ".p2align 1",
    ".global fooling_engine_fma",
    ".thumb_func",
    "fooling_engine_fma:",
    "vfma.f32 s2, s0, s1",
    "vmov.f32 s0, s2",
    "bx lr",
    ".popsection",
);

#[cfg(all(scalar_fma, target_arch = "arm"))]
// SAFETY: the function above accepts any arguments, accesses no memory, and changes only registers that a call may change.
unsafe extern "C" {
    #[link_name = "fooling_engine_fma"]
    safe fn instruction(a: f32, b: f32, c: f32) -> f32;
}

#[cfg(all(scalar_fma, any(target_arch = "riscv32", target_arch = "riscv64")))]
#[inline(always)]
fn instruction(a: f32, b: f32, c: f32) -> f32 {
    let sum: f32;
    // SAFETY: the target has FMADD.S, which computes a * b + c, here rounded to nearest, and touches flags that nothing reads.
    unsafe {
        core::arch::asm!("fmadd.s {}, {}, {}, {}, rne", out(freg) sum, in(freg) a, in(freg) b, in(freg) c, options(pure, nomem, nostack));
    }
    sum
}

/// Whether rounding this sum to `f32` may differ from rounding the exact one: it is halfway between two `f32`, or it is
/// subnormal as an `f32`, which then has fewer bits.
#[cfg(any(test, not(scalar_fma)))]
#[inline(always)]
pub(super) fn is_doubtful(sum: f64) -> bool {
    let bits = sum.to_bits();
    let halfway = bits & 0x1fff_ffff == 0x1000_0000;
    let magnitude = bits & !(1 << 63);
    let small = magnitude.wrapping_sub(1) < 0x3810_0000_0000_0000 - 1; // 2^-126
    halfway | small
}

/// `a * b + c`, rounded once, without an instruction for it.
#[cfg(any(test, all(feature = "alloc", not(scalar_fma))))]
#[inline(always)]
fn emulated(a: f32, b: f32, c: f32) -> f32 {
    let (product, term) = (f64::from(a) * f64::from(b), f64::from(c));
    let sum = product + term;
    #[expect(clippy::cast_possible_truncation, reason = "rounded here")]
    if is_doubtful(sum) { to_odd(product, term) as f32 } else { sum as f32 }
}

/// `product + term`, rounded to odd: an inexact sum is rounded to the neighbour whose last bit is set.
#[cfg(any(test, not(scalar_fma)))]
#[inline(always)]
pub(super) fn to_odd(product: f64, term: f64) -> f64 {
    let sum = product + term;
    // The error of the sum, exactly (Knuth's TwoSum); NaN if the sum is not finite.
    let back = sum - term;
    let error = (product - back) + (term - (sum - back));
    let bits = sum.to_bits();
    let inexact = (error < 0.0) | (error > 0.0);
    // Away from 0 if the error has the sum's sign.
    let step = 1 | ((bits ^ error.to_bits()).cast_signed() >> 63);
    let odd = bits.wrapping_add_signed(if inexact & (bits & 1 == 0) { step } else { 0 });
    f64::from_bits(odd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{F32x16, Instructions, Kernel, LANES, Vector, dispatch};

    struct Fused([[f32; LANES]; 3]);

    impl Kernel for Fused {
        type Output = [f32; LANES];
        #[inline(always)]
        fn run<V: Vector>(self) -> Self::Output {
            let [a, b, c] = self.0.map(|numbers| V::load(&F32x16(numbers)));
            a.mul_add(b, c).to_array()
        }
    }

    /// Bits of a NaN count as equal.
    fn bits(number: f32) -> u32 {
        if number.is_nan() { f32::NAN.to_bits() } else { number.to_bits() }
    }

    #[test]
    fn known_results_that_are_easily_rounded_twice() {
        let tiny = f32::from_bits(1);
        let power = |exponent: i32| f32::from_bits((127 + exponent).cast_unsigned() << 23);
        // The product is 2^-150 - 2^-196: the sum is below the middle of two subnormal numbers, by less than an f64 can tell.
        let [a, b, c] = [power(-75) * (1.0 + f32::EPSILON), power(-75) * (1.0 - f32::EPSILON), f32::from_bits(0x0040_0001)];
        assert_eq!(emulated(a, b, c).to_bits(), 0x0040_0001);
        assert_eq!(emulated(a, -b, -c).to_bits(), 0x8040_0001);
        // Exactly halfway: to even.
        assert_eq!(emulated(power(-75), power(-75), c).to_bits(), 0x0040_0002);
        // Halfway between two normal numbers, and a little more or less.
        let half = f32::EPSILON / 2.0;
        assert_eq!(emulated(half, 1.0, 1.0), 1.0);
        assert_eq!(emulated(half, 1.0 + f32::EPSILON, 1.0), 1.0 + f32::EPSILON);
        assert_eq!(emulated(tiny, tiny, 1.0 + f32::EPSILON), 1.0 + f32::EPSILON);
        assert_eq!(emulated(f32::MAX, f32::MAX, f32::NEG_INFINITY), f32::NEG_INFINITY);
        assert!(emulated(f32::INFINITY, 0.0, 1.0).is_nan());
        assert_eq!(emulated(-1.0, 0.0, -0.0).to_bits(), (-0.0_f32).to_bits());
        assert_eq!(emulated(-1.0, 1.0, 1.0).to_bits(), 0);
    }

    #[test]
    fn emulation_agrees_with_every_instruction_set() {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from(state >> 32).unwrap()
        };
        for round in 0..100_000 {
            // Any bits, or exponents at which the product and the term overlap, or results near the subnormal numbers.
            let mut number = |which: u32| {
                let bits = random();
                let exponent = match (round % 4, which) {
                    (0, _) => return f32::from_bits(bits),
                    (1, _) => 112 + bits % 32,
                    (2, 2) => bits % 4,
                    (2, _) => 48 + bits % 32,
                    _ => return f32::from_bits(bits & 0xff80_0000 | (bits & 7) << 20),
                };
                f32::from_bits(bits & 0x807f_ffff | exponent << 23)
            };
            let numbers = [0, 1, 2].map(|which| core::array::from_fn(|_| number(which)));
            for set in Instructions::ALL.into_iter().filter(|set| set.available()) {
                for (lane, result) in dispatch(set, Fused(numbers)).into_iter().enumerate() {
                    let [a, b, c] = numbers.map(|numbers| numbers[lane]);
                    assert_eq!(bits(emulated(a, b, c)), bits(result), "{set:?}: {a:e} * {b:e} + {c:e}");
                }
            }
        }
    }
}
