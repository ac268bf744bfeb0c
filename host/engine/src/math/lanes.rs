//! Functions of sixteen numbers at once. Each operation is one IEEE 754 operation per lane, rounded once, so the bits do not depend on the
//! instructions. There are no branches on arguments.

use crate::simd::Vector;

/// The exponent of 1 as it is stored.
const BIAS: f32 = 127.0;
/// Adding this rounds a number from -127 to 128 to an integer, whose biased form is then in the last bits: see [`Vector::power_of_two`].
const ROUND: f32 = 12_582_912.0 + BIAS; // 1.5 * 2^23
const LOG2_E: f32 = f32::from_bits(0x3fb8_aa3b);
/// ln 2 in two parts.
const LN_2: [f32; 2] = [f32::from_bits(0x3f31_7218), f32::from_bits(0xb102_e308)];
/// (e^r - 1 - r) / r^2 over [-ln 2 / 2, ln 2 / 2], highest power first (error of the exact polynomial: 1.4e-8 of e^r - 1).
const EXP: [u32; 5] = [0x3ab5_f597, 0x3c09_1680, 0x3d2a_ab40, 0x3e2a_aa55, 0x3eff_ffff];

/// e^x as e^r 2^n with x = n ln 2 + r.
struct Power<V> {
    /// `n + ROUND`.
    shifted: V,
    n: V,
    /// r before the last bits of n ln 2 are subtracted: exact. Both have the other sign for e^-x, which saves changing the sign of x.
    head: V,
    r: V,
    /// (e^r - 1 - r) / r^2.
    p: V,
}

impl<V: Vector> Power<V> {
    /// Of e^(sign x), for n from -150 to 128. The sign is 1 or -1. NaN makes r NaN.
    #[inline(always)]
    fn of(x: V, sign: f32) -> Self {
        let shifted = x.mul_add(V::splat(sign * LOG2_E), V::splat(ROUND));
        let n = shifted.sub(V::splat(ROUND));
        let head = n.mul_add(V::splat(-sign * LN_2[0]), x);
        let r = n.mul_add(V::splat(-sign * LN_2[1]), head);
        let [a, b, c, d, e] = EXP.map(f32::from_bits);
        Self { shifted, n, head, r, p: polynomial(r, [a, sign * b, c, sign * d, e]) }
    }

    /// 2^n, for n up to 128: 0 for -127, infinity for 128.
    #[inline(always)]
    fn scale(&self) -> V {
        self.shifted.power_of_two()
    }

    /// e^r, from 0.7 to 1.5.
    #[inline(always)]
    fn of_rest(&self, sign: f32) -> V {
        self.r.mul_add(self.p.mul_add(self.r, V::splat(sign)), V::splat(1.0))
    }
}

/// Highest power first.
#[inline(always)]
fn polynomial<V: Vector, const N: usize>(x: V, coefficients: [f32; N]) -> V {
    let (first, rest) = coefficients.split_first().unwrap_or((&0.0, &[]));
    rest.iter().fold(V::splat(*first), |sum, &coefficient| sum.mul_add(x, V::splat(coefficient)))
}

/// [`polynomial`] of coefficients as bits.
#[inline(always)]
fn polynomial_of_bits<V: Vector, const N: usize>(x: V, coefficients: [u32; N]) -> V {
    polynomial(x, coefficients.map(f32::from_bits))
}

/// x clamped to `low` and `high`; NaN is kept.
#[inline(always)]
fn clamp<V: Vector>(x: V, low: f32, high: f32) -> V {
    V::splat(high).min(V::splat(low).max(x))
}

#[inline(always)]
fn abs<V: Vector>(x: V) -> V {
    x.copy_sign(V::splat(1.0))
}

/// e^x.
#[inline(always)]
pub(crate) fn exp<V: Vector>(x: V) -> V {
    // Outside the limits the result is 0 or infinity.
    let power = Power::of(clamp(x, -104.0, 89.0), 1.0);
    // Two factors, because the smallest results have exponents that no float has. The first product is exact.
    let half = power.n.mul_add(V::splat(0.5), V::splat(ROUND));
    let rest = power.shifted.sub(half.sub(V::splat(ROUND)));
    power.of_rest(1.0).mul(half.power_of_two()).mul(rest.power_of_two())
}

/// e^x for x up to 88, or NaN: the bits of [`exp`] from -87.3 on, and 0 below -87.7, where that is subnormal.
#[inline(always)]
pub(crate) fn exp_to_zero<V: Vector>(x: V) -> V {
    let power = Power::of(V::splat(-88.0).max(x), 1.0);
    power.of_rest(1.0).mul(power.scale())
}

/// e^x - 1, for x up to 88.
#[inline(always)]
pub(crate) fn exp_m1<V: Vector>(x: V) -> V {
    let Power { shifted, n, head, r, p } = Power::of(clamp(x, -20.0, 88.0), 1.0);
    let scale = shifted.power_of_two();
    // r in two parts, added one after the other: r itself is rounded, which would count where most of the sum cancels.
    let tail = r.mul(r).mul_add(p, n.mul(V::splat(-LN_2[1])));
    tail.mul_add(scale, head.mul_add(scale, scale.sub(V::splat(1.0))))
}

/// 1 + e^-x; 1 above 87.7 and infinity below -88.4.
#[inline(always)]
fn one_plus_exp_of_minus<V: Vector>(x: V) -> V {
    let power = Power::of(clamp(x, -89.0, 88.0), -1.0);
    power.of_rest(-1.0).mul_add(power.scale(), V::splat(1.0))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh<V: Vector>(x: V) -> V {
    // Beyond 10 the result is 1 to the last bit. NaN is kept.
    let a = V::splat(10.0).min(abs(x));
    let square = a.mul(a);
    let near = square.mul(a).mul_add(polynomial_of_bits(square, TANH), a);
    let power = Power::of(a.add(a), 1.0);
    let far = V::splat(1.0).sub(V::splat(2.0).div(power.of_rest(1.0).mul_add(power.scale(), V::splat(1.0))));
    a.less(V::splat(0.55), near, far).copy_sign(x)
}

/// (tanh(a) - a) / a^3 for a from 0 to 0.55, highest power of the square first (error of the exact polynomial: 4.6e-9 of the result).
const TANH: [u32; 5] = [0xbbcb_1eb1, 0x3cac_335e, 0xbd5c_87e5, 0x3e08_864c, 0xbeaa_aaa4];

/// 1 / (1 + e^-x).
#[inline(always)]
pub(crate) fn sigmoid<V: Vector>(x: V) -> V {
    V::splat(1.0).div(one_plus_exp_of_minus(x))
}

/// x / (1 + e^-x).
#[inline(always)]
pub(crate) fn silu<V: Vector>(x: V) -> V {
    // Finite where the divisor is infinite.
    V::splat(-89.0).max(x).div(one_plus_exp_of_minus(x))
}

/// ln(1 + e^x).
#[inline(always)]
pub(crate) fn softplus<V: Vector>(x: V) -> V {
    V::splat(0.0).max(x).add(ln_1p_unit(exp_to_zero(V::splat(0.0).sub(abs(x)))))
}

/// ln(1 + y) for y from 0 to 1, by odd powers of y / (2 + y).
#[inline(always)]
fn ln_1p_unit<V: Vector>(y: V) -> V {
    let s = y.div(y.add(V::splat(2.0)));
    let z = s.mul(s);
    s.mul(z).mul_add(polynomial_of_bits(z, LN_1P), s.add(s))
}

/// A minimax polynomial, highest power first (error of the exact one: 1.1e-10 of the logarithm).
const LN_1P: [u32; 5] = [0x3e78_d777, 0x3e5b_6b50, 0x3e92_84b9, 0x3ecc_cb54, 0x3f2a_aaac];

/// x tanh(softplus(x)).
#[inline(always)]
pub(crate) fn mish<V: Vector>(x: V) -> V {
    // Beyond 20 the tangent is 1 to the last bit.
    let e = exp_to_zero(V::splat(20.0).min(x));
    let n = e.mul_add(e, e.add(e));
    // Finite where the tangent is 0.
    V::splat(-89.0).max(x).mul(n.div(n.add(V::splat(2.0))))
}

/// The error function, by N. Juffa's polynomials (stackoverflow.com, answer 35148199).
#[inline(always)]
pub(crate) fn erf<V: Vector>(x: V) -> V {
    // Beyond 4 the result is 1 to the last bit. NaN is kept.
    let a = V::splat(4.0).min(abs(x));
    let tail = exp_to_zero(polynomial_of_bits(a, ERF_FAR).mul_add(a, V::splat(0.0).sub(a)));
    let near = polynomial_of_bits(a.mul(a), ERF_NEAR).mul_add(a, a);
    V::splat(0.921_875).less(a, V::splat(1.0).sub(tail), near).copy_sign(x)
}

/// For a from 0 to 0.92, highest power of the square first.
const ERF_NEAR: [u32; 6] = [0xba1c_7000, 0x3ba3_8d2c, 0xbcdb_48d9, 0x3de7_0e22, 0xbec0_9380, 0x3e03_75d4];
/// The logarithm of 1 - erf, plus a, over a, for a from 0.92 to 4, highest power first.
const ERF_FAR: [u32; 7] = [0xb791_0000, 0x39c8_e7d9, 0xbb7e_8a1c, 0x3cc6_b1a1, 0xbdda_ae5c, 0xbf22_8550, 0xbe03_ce86];

/// x times the cumulative normal distribution function, as x / (1 + e^-t).
#[inline(always)]
pub(crate) fn gelu<V: Vector>(x: V) -> V {
    let t = polynomial_of_bits(x.mul(x), GELU).mul(x);
    V::splat(GELU_LOW).max(x).div(one_plus_exp_of_minus(t))
}

/// ln(f / (1 - f)) / x for the cumulative normal distribution function f, highest power of the square of x first. Fitted from 0 to 6: the
/// exact polynomial times x is wrong by at most 7.5e-8 up to 2, and by so much that x f is wrong by at most 1.3e-8 beyond. Beyond 6 it only
/// grows.
const GELU: [u32; 10] =
    [0x2aa3_da0b, 0xae00_a53f, 0x3099_ca0d, 0xb297_5d2d, 0xb359_bd1c, 0x36e2_aab5, 0xb8e0_e55f, 0xb892_5865, 0x3d94_d33f, 0x3fcc_422e];

/// Below this both forms of GELU divide by infinity, so the dividend must be finite.
const GELU_LOW: f32 = -20.0;

/// GELU with the hyperbolic tangent instead of the error function.
#[inline(always)]
pub(crate) fn gelu_tanh<V: Vector>(x: V) -> V {
    // (1 + tanh(u)) / 2 is the sigmoid of 2 u.
    let factor = f32::from_bits(0x3fcc_4229);
    let double = x.mul(x).mul_add(V::splat(factor * 0.044_715), V::splat(factor)).mul(x);
    V::splat(GELU_LOW).max(x).div(one_plus_exp_of_minus(double))
}
