//! The engine's transcendental functions: the same bits on every target and with every vector width.
//!
//! Exponentials and what is made of them consist of IEEE 754 single-precision operations: fused multiply-add, multiplication, addition,
//! subtraction, division, comparisons, selections, and shifts of the bits. They are computed for sixteen numbers at once (`lanes`); the
//! functions of single numbers here use the same code, with the widest vectors that the CPU has. All other functions are plain code without
//! fused multiply-add, which the compiler vectorises. There is no platform libm, no table, and no branch on an argument.

pub(crate) mod lanes;

use crate::simd::{Instructions, Kernel, Vector, dispatch};

/// Functions of single numbers by code for sixteen.
macro_rules! of_one {
    ($($(#[$documentation:meta])* $name:ident)*) => {$(
        $(#[$documentation])*
        #[must_use]
        pub fn $name(x: f32) -> f32 {
            struct One(f32);

            impl Kernel for One {
                type Output = f32;

                #[inline(always)]
                fn run<V: Vector>(self) -> f32 {
                    lanes::$name(V::splat(self.0)).to_array()[0]
                }
            }

            dispatch(Instructions::widest(), One(x))
        }
    )*};
}

of_one! {
    /// e^x, with subnormal results.
    exp
    /// e^x - 1, for x up to 88; larger x count as 88.
    exp_m1
    /// The hyperbolic tangent.
    tanh
    /// 1 / (1 + e^-x); 0 for x below -88.4, where the result would be subnormal.
    sigmoid
    /// x / (1 + e^-x), also called swish; -0 for x below -88.4, where the result would be above -4e-37.
    silu
    /// ln(1 + e^x); 0 for x below -87.7, where the result would be subnormal.
    softplus
    /// x tanh(ln(1 + e^x)); -0 for x below -87.7, where the result would be above -8e-37.
    mish
    /// The error function.
    erf
    /// x times the cumulative normal distribution function: the exact form of GELU. The absolute error is below 5.1e-8 for negative x.
    gelu
    /// GELU with the hyperbolic tangent instead of the error function. The absolute error is below 5.2e-8 for negative x.
    gelu_tanh
}

/// The natural logarithm.
#[inline(always)]
#[must_use]
pub fn ln(x: f32) -> f32 {
    let small = x < f32::MIN_POSITIVE;
    let scaled = if small { x * 33_554_432.0 } else { x }; // 2^25
    let bits = scaled.to_bits().wrapping_add(0x3f80_0000 - 0x3f35_04f3);
    let exponent = (bits >> 23).cast_signed() - 127 - if small { 25 } else { 0 };
    let f = f32::from_bits((bits & 0x007f_ffff) + 0x3f35_04f3) - 1.0;
    // The logarithm of 1 + f, f from -0.3 to 0.41, by odd powers of f / (2 + f) (after Sun's fdlibm).
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even = w * (f32::from_bits(0x3ecc_ce13) + w * f32::from_bits(0x3e78_9e26));
    let odd = z * (f32::from_bits(0x3f2a_aaaa) + w * f32::from_bits(0x3e91_e9ee));
    let half = 0.5 * f * f;
    #[expect(clippy::cast_precision_loss, reason = "below 256")]
    let k = exponent as f32;
    let ln = (((s * (half + (odd + even)) + k * f32::from_bits(0x3717_f7d1)) - half) + f) + k * f32::from_bits(0x3f31_7180);
    let ln = if x < f32::INFINITY { ln } else { x };
    let ln = if x == 0.0 { f32::NEG_INFINITY } else { ln };
    if x < 0.0 { f32::NAN } else { ln }
}

/// The largest integer that is not above x.
#[inline(always)]
#[must_use]
pub fn floor(x: f32) -> f32 {
    let rounded = round(x);
    (if rounded > x { rounded - 1.0 } else { rounded }).copysign(x)
}

/// The smallest integer that is not below x.
#[inline(always)]
#[must_use]
pub fn ceil(x: f32) -> f32 {
    let rounded = round(x);
    (if rounded < x { rounded + 1.0 } else { rounded }).copysign(x)
}

/// The nearest integer; ties to even.
#[inline(always)]
#[must_use]
pub fn round(x: f32) -> f32 {
    let whole = 8_388_608.0; // 2^23: from here on every float is an integer.
    let rounded = (x.abs() + whole) - whole;
    // NaN is kept.
    if x.abs() < whole { rounded.copysign(x) } else { x }
}

/// The sine by libm, the same on every target; slow.
#[must_use]
pub fn sin(x: f32) -> f32 {
    libm::sinf(x)
}

/// The cosine by libm, the same on every target; slow.
#[must_use]
pub fn cos(x: f32) -> f32 {
    libm::cosf(x)
}

/// x^y by libm, the same on every target; slow.
#[must_use]
pub fn pow(x: f32, y: f32) -> f32 {
    libm::powf(x, y)
}
