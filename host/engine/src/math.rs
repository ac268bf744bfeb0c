//! The engine's transcendental functions: the same bits on every target and with every vector width.
//!
//! Everything here consists of IEEE 754 single-precision multiplications, additions, subtractions, divisions, comparisons, selections, and
//! integer operations on the bits. There is no fused multiply-add, no platform libm, no table, and no branch on an argument, so the
//! compiler turns a loop over lanes into vector code of any width.

/// Adding and subtracting this rounds a float below 2^22 to the nearest integer.
const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23
const LOG2_E: f32 = f32::from_bits(0x3fb8_aa3b);
/// ln 2 in two parts; the first has 16 bits, so that its product with an exponent is exact.
const LN_2: [f32; 2] = [f32::from_bits(0x3f31_7200), f32::from_bits(0x35bf_be8e)];

/// 2^n for an integer n from -126 to 127.
#[inline(always)]
fn exp2(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23).cast_unsigned())
}

/// e^r - 1 - r over [-ln 2 / 2, ln 2 / 2] (error of the exact polynomial: 1.4e-8 of e^r - 1).
#[inline(always)]
fn exp_reduced(r: f32) -> f32 {
    let p = f32::from_bits(0x3ab5_f597);
    let p = p * r + f32::from_bits(0x3c09_1680);
    let p = p * r + f32::from_bits(0x3d2a_ab40);
    let p = p * r + f32::from_bits(0x3e2a_aa55);
    let p = p * r + f32::from_bits(0x3eff_ffff);
    r * r * p
}

/// Splits x into n ln 2 + r: n, and r as the difference of an exact head and a tail.
#[inline(always)]
fn split_ln_2(x: f32) -> (i32, f32, f32) {
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let integer = shifted.to_bits().wrapping_sub(ROUND.to_bits()).cast_signed();
    (integer, x - n * LN_2[0], n * LN_2[1])
}

/// x clamped to `low` and `high`; NaN is kept.
#[inline(always)]
fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// e^x.
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    // Outside the limits the result is 0 or infinity; they keep the exponents small.
    let x = clamp(x, -104.0, 89.0);
    let (n, head, tail) = split_ln_2(x);
    let r = head - tail;
    // Two factors, because the smallest results have exponents that no float has.
    let half = n >> 1;
    ((1.0 + (r + exp_reduced(r))) * exp2(half)) * exp2(n - half)
}

/// e^x - 1, for x up to 88.
#[inline(always)]
#[must_use]
pub fn exp_m1(x: f32) -> f32 {
    let (n, head, tail) = split_ln_2(clamp(x, -20.0, 88.0));
    let scale = exp2(n);
    ((scale - 1.0) + scale * head) + scale * (exp_reduced(head - tail) - tail)
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

/// ln(1 + y) for y from 0 to 1, by odd powers of y / (2 + y).
#[inline(always)]
fn ln_1p_unit(y: f32) -> f32 {
    let s = y / (2.0 + y);
    let z = s * s;
    let p = f32::from_bits(LN_1P[4]);
    let p = p * z + f32::from_bits(LN_1P[3]);
    let p = p * z + f32::from_bits(LN_1P[2]);
    let p = p * z + f32::from_bits(LN_1P[1]);
    let p = p * z + f32::from_bits(LN_1P[0]);
    let double = s + s;
    double + s * z * p
}

/// A minimax polynomial (error of the exact one: 1.1e-10 of the logarithm).
const LN_1P: [u32; 5] = [0x3f2a_aaac, 0x3ecc_cb54, 0x3e92_84b9, 0x3e5b_6b50, 0x3e78_d777];

/// The hyperbolic tangent.
#[inline(always)]
#[must_use]
pub fn tanh(x: f32) -> f32 {
    // Beyond 10 the result is 1 to the last bit. NaN is kept.
    let a = clamp(x.abs(), 0.0, 10.0);
    let (n, head, tail) = split_ln_2(if a < 0.15 { -2.0 * a } else { 2.0 * a });
    let scale = exp2(n);
    let e = ((scale - 1.0) + scale * head) + scale * (exp_reduced(head - tail) - tail);
    // |e / (e + 2)|, or 1 - 2 / (e + 2) beyond a half, which loses less there.
    let (one, numerator) = if a > 0.55 { (1.0, 2.0) } else { (0.0, e) };
    let signless: f32 = one - numerator / (e + 2.0);
    signless.abs().copysign(x)
}

/// 1 / (1 + e^-x).
#[inline(always)]
#[must_use]
pub fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    let numerator = if x < 0.0 { e } else { 1.0 };
    numerator / (1.0 + e)
}

/// x / (1 + e^-x), also called swish.
#[inline(always)]
#[must_use]
pub fn silu(x: f32) -> f32 {
    let e = exp(-x.abs());
    // Both are correct for minus infinity, where x * e is NaN.
    let numerator = if x < 0.0 { if x < -110.0 { 0.0 } else { x * e } } else { x };
    numerator / (1.0 + e)
}

/// ln(1 + e^x).
#[inline(always)]
#[must_use]
pub fn softplus(x: f32) -> f32 {
    (if x < 0.0 { 0.0 } else { x }) + ln_1p_unit(exp(-x.abs()))
}

/// x tanh(softplus(x)).
#[inline(always)]
#[must_use]
pub fn mish(x: f32) -> f32 {
    // Beyond 20 the tangent is 1 to the last bit.
    let e = exp(clamp(x, -104.0, 20.0));
    let n = e * (e + 2.0);
    (if x < -110.0 { 0.0 } else { x }) * (n / (n + 2.0))
}

/// 1 minus the error function of a >= 0, and the function itself: one of them is exact to about an ulp, and the other follows from it.
/// Returns (erf, 1 - erf).
///
/// The polynomials are N. Juffa's (stackoverflow.com, answer 35148199).
#[inline(always)]
fn erf_parts(a: f32) -> (f32, f32) {
    let s = a * a;
    let far = f32::from_bits(ERF_FAR[0]);
    let far = far * a + f32::from_bits(ERF_FAR[1]);
    let far = far * a + f32::from_bits(ERF_FAR[2]);
    let far = far * a + f32::from_bits(ERF_FAR[3]);
    let far = far * a + f32::from_bits(ERF_FAR[4]);
    let far = far * a + f32::from_bits(ERF_FAR[5]);
    let far = far * a + f32::from_bits(ERF_FAR[6]);
    let tail = exp(far * a - a);
    let near = f32::from_bits(ERF_NEAR[0]);
    let near = near * s + f32::from_bits(ERF_NEAR[1]);
    let near = near * s + f32::from_bits(ERF_NEAR[2]);
    let near = near * s + f32::from_bits(ERF_NEAR[3]);
    let near = near * s + f32::from_bits(ERF_NEAR[4]);
    let near = near * s + f32::from_bits(ERF_NEAR[5]);
    let near = near * a + a;
    if a > 0.921_875 { (1.0 - tail, tail) } else { (near, 1.0 - near) }
}

/// For a from 0 to 0.92, highest power of the square first.
const ERF_NEAR: [u32; 6] = [0xba1c_7000, 0x3ba3_8d2c, 0xbcdb_48d9, 0x3de7_0e22, 0xbec0_9380, 0x3e03_75d4];
/// The logarithm of 1 - erf, plus a, over a, for a from 0.92 to 4, highest power first.
const ERF_FAR: [u32; 7] = [0xb791_0000, 0x39c8_e7d9, 0xbb7e_8a1c, 0x3cc6_b1a1, 0xbdda_ae5c, 0xbf22_8550, 0xbe03_ce86];
/// Beyond this, GELU takes 1 - erf as 0.
const GELU_LIMIT: f32 = 4.0;

/// The error function.
#[inline(always)]
#[must_use]
pub fn erf(x: f32) -> f32 {
    // Beyond 4 the result is 1 to the last bit.
    erf_parts(clamp(x.abs(), 0.0, 4.0)).0.copysign(x)
}

/// x times the cumulative normal distribution function: the exact form of GELU.
#[inline(always)]
#[must_use]
pub fn gelu(x: f32) -> f32 {
    let a = x * f32::from_bits(0x3f35_04f3); // 1 / sqrt(2)
    let (erf, rest) = erf_parts(clamp(a.abs(), 0.0, GELU_LIMIT));
    let doubled = if x < 0.0 { rest } else { 1.0 + erf };
    let bounded = if a < -GELU_LIMIT { 0.0 } else { x };
    0.5 * bounded * doubled
}

/// GELU with the hyperbolic tangent instead of the error function.
#[inline(always)]
#[must_use]
pub fn gelu_tanh(x: f32) -> f32 {
    // (1 + tanh(u)) / 2 is the sigmoid of 2 u.
    let double = f32::from_bits(0x3fcc_4229) * (x + 0.044_715 * x * x * x);
    (if x < -15.0 { 0.0 } else { x }) * sigmoid(double)
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
