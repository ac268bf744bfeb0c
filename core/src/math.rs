//! The only access to transcendental functions, and the activation kernels of the CPPN.
//!
//! Everything here consists of IEEE 754 single-precision multiplications, additions, subtractions, divisions, comparisons, selections, and
//! integer operations on the bits. There is no fused multiply-add, no platform libm and no table, so the same input gives the same bits on
//! every target. No kernel branches on its argument, so the compiler turns a loop over lanes into vector code of the target's width.
//!
//! Each kernel states its largest error against the correctly rounded result; `cargo run --release --example ulp` measures it over all
//! floats of the stated range.

/// The largest |argument| for which [`sin`] keeps its stated error; beyond it the result is defined but meaningless.
///
/// A CPPN with L links of weight at most 10 on inputs of at most 1023 stays below 10 230 L. That is within the limit for 400 links into one
/// node, and for 1600 links with the paper's 256 pixels.
pub const SIN_LIMIT: f32 = 4_194_304.0;

/// The largest multiple of pi for which one product with each piece of pi is exact.
const NEAR: f32 = 8192.0;
/// Adding and subtracting this rounds a float below 2^22 to the nearest integer.
const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23
/// The same, to the nearest multiple of 2^14.
const ROUND_FAR: f32 = 206_158_430_208.0; // 1.5 * 2^37
const FRAC_1_PI: f32 = f32::from_bits(0x3ea2_f983);
/// Pi in four pieces of at most 11 bits, whose products with a 13-bit integer are exact, and a remainder.
const PI: [f32; 5] = [
    f32::from_bits(0x4049_0000),
    f32::from_bits(0x3a7d_c000),
    f32::from_bits(0xb4af_0000),
    f32::from_bits(0x2f05_c000),
    f32::from_bits(0xa9e7_b967),
];

/// Sine of `r + rest` for r in [-pi/2, pi/2] and |rest| at most half a unit in the last place of r, by a minimax polynomial (relative error
/// of the exact polynomial: 6.2e-9). The rest is multiplied by the slope, for which two terms of the cosine suffice.
#[inline(always)]
fn sin_reduced(r: f32, rest: f32) -> f32 {
    let s = r * r;
    let p = f32::from_bits(0x362e_e425);
    let p = p * s + f32::from_bits(0xb94f_b875);
    let p = p * s + f32::from_bits(0x3c08_876d);
    let p = p * s + f32::from_bits(0xbe2a_aaa6);
    r + (r * s * p + (rest - rest * (0.5 * s)))
}

/// The nearest integer to x / pi, as a float and as bits whose lowest bit is its parity.
#[inline(always)]
fn multiples_of_pi(x: f32) -> (f32, u32) {
    let shifted = x * FRAC_1_PI + ROUND;
    (shifted - ROUND, shifted.to_bits())
}

/// Subtracts the last three pieces of a multiple of pi from the remaining argument. `lost` is the rounding error so far (-0 for none).
/// Returns the result in two parts, negated if the multiple is odd, so that the sine of the result is the sine of the argument.
#[inline(always)]
fn without_tail(left: f32, [third, fourth, fifth]: [f32; 3], lost: f32, parity: u32) -> (f32, f32) {
    let r = left - third;
    let rest = (lost + ((left - r) - third)) - fourth;
    let sum = r + rest;
    let rest = ((r - sum) + rest) - fifth;
    let sign = parity << 31;
    (f32::from_bits(sum.to_bits() ^ sign), f32::from_bits(rest.to_bits() ^ sign))
}

/// Range reduction if |x / pi| is below [`NEAR`]: all but the last three subtractions are exact, and those keep their rounding errors.
#[inline(always)]
fn reduce_near(x: f32) -> (f32, f32) {
    let (k, parity) = multiples_of_pi(x);
    let left = (x - k * PI[0]) - k * PI[1];
    without_tail(left, [k * PI[2], k * PI[3], k * PI[4]], -0.0, parity)
}

/// Range reduction for every argument. A multiple of 2^14 pi is subtracted first; for a near argument it is zero and changes nothing, so
/// both functions give the same bits. It is even, so it does not change the parity.
#[inline(always)]
fn reduce_far(x: f32) -> (f32, f32) {
    let far = (x * FRAC_1_PI + ROUND_FAR) - ROUND_FAR;
    let near = (x - far * PI[0]) - far * PI[1];
    // The third piece must be known to choose k, but near - third has too many bits for the following steps.
    let third = far * PI[2];
    let (k, parity) = multiples_of_pi(near - third);
    let left = ((near - k * PI[0]) - k * PI[1]) - third;
    let r = left - far * PI[3];
    let lost = (left - r) - far * PI[3];
    without_tail(r, [k * PI[2], k * PI[3], k * PI[4] + far * PI[4]], lost, parity)
}

/// Sine of `x` radians. Largest error 2.0 ulp for |x| up to 2^20, 2.8 ulp up to [`SIN_LIMIT`].
#[inline]
#[must_use]
pub fn sin(x: f32) -> f32 {
    let (r, rest) = if x.abs() * FRAC_1_PI < NEAR - 1.0 { reduce_near(x) } else { reduce_far(x) };
    sin_reduced(r, rest)
}

/// [`sin`] of numbers of magnitude at most `largest`.
#[inline(always)]
pub fn sin_all(values: &mut [f32], spare: &mut [f32], largest: f32) {
    // The bound may have been rounded down slightly; pi is more than 3.
    if largest < 3.0 * NEAR {
        in_two_passes(values, spare, reduce_near, sin_reduced);
    } else {
        in_two_passes(values, spare, reduce_far, sin_reduced);
    }
}

const LOG2_E: f32 = f32::from_bits(0x3fb8_aa3b);
/// ln 2 in two parts; the first has 16 bits, so that its product with an exponent is exact.
const LN_2: [f32; 2] = [f32::from_bits(0x3f31_7200), f32::from_bits(0x35bf_be8e)];

/// 2^n for the integer n whose rounding bits (`n + ROUND`) are given; n from -126 to 127.
#[inline(always)]
fn exp2_of_rounding(bits: u32) -> f32 {
    f32::from_bits(bits.wrapping_add(127) << 23)
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

/// Splits x into n ln 2 + r: the rounding bits of n, and r as the difference of an exact head and a tail.
#[inline(always)]
fn split_ln_2(x: f32) -> (u32, f32, f32) {
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    (shifted.to_bits(), x - n * LN_2[0], n * LN_2[1])
}

/// The bipolar sigmoid 2 / (1 + e^-x) - 1, which is tanh(x / 2). Largest error 2.0 ulp over all floats.
#[inline(always)]
#[must_use]
pub fn sigmoid(x: f32) -> f32 {
    let (x, e) = sigmoid_exp_m1(x);
    sigmoid_of_exp_m1(x, e)
}

/// [`sigmoid`] of many numbers.
#[inline(always)]
pub fn sigmoid_all(values: &mut [f32], spare: &mut [f32]) {
    in_two_passes(values, spare, sigmoid_exp_m1, sigmoid_of_exp_m1);
}

/// x, and e^t - 1 without cancellation, where t is -|x| or |x|, whichever loses less.
#[inline(always)]
fn sigmoid_exp_m1(x: f32) -> (f32, f32) {
    // Beyond 20 the result is 1 to the last bit; the limit keeps the exponent small. Written so that a NaN would be replaced.
    let a = x.abs();
    let a = if a < 20.0 { a } else { 20.0 };
    let (n, head, tail) = split_ln_2(if a < 0.3 { -a } else { a });
    let scale = exp2_of_rounding(n);
    (x, ((scale - 1.0) + scale * head) + scale * (exp_reduced(head - tail) - tail))
}

/// |e / (e + 2)|, or 1 - 2 / (e + 2) beyond a half, which loses less there; with the sign of x.
#[inline(always)]
fn sigmoid_of_exp_m1(x: f32, e: f32) -> f32 {
    // Selected before the division, so that there is only one.
    let (one, numerator) = if x.abs() > 1.1 { (1.0, 2.0) } else { (0.0, e) };
    let signless: f32 = one - numerator / (e + 2.0);
    f32::from_bits((signless.to_bits() & 0x7fff_ffff) | (x.to_bits() & 0x8000_0000))
}

/// Beyond this |x| the Gaussian counts as zero (it is below 1.7e-38), so that no kernel makes a subnormal number.
const GAUSSIAN_LIMIT: f32 = 9.327;

/// The Gaussian e^(-x^2). Largest error 1.2 ulp where it does not count as zero (|x| < 9.327).
#[inline(always)]
#[must_use]
pub fn gaussian(x: f32) -> f32 {
    let (r, scale) = reduce_square(x);
    scaled_exp(r, scale)
}

/// [`gaussian`] of many numbers.
#[inline(always)]
pub fn gaussian_all(values: &mut [f32], spare: &mut [f32]) {
    in_two_passes(values, spare, reduce_square, scaled_exp);
}

/// r and a power of two, or zero, whose product with e^r is e^(-x^2).
#[inline(always)]
fn reduce_square(x: f32) -> (f32, f32) {
    let inside = x.abs() < GAUSSIAN_LIMIT;
    let x = if inside { x } else { 0.0 };
    // x^2 in two parts: the rounding error of the square alone would cost 40 ulp in the tail.
    let square = x * x;
    let head = f32::from_bits(x.to_bits() & 0xffff_f000);
    let tail = x - head;
    let rest = ((head * head - square) + (head * tail + head * tail)) + tail * tail;
    let (n, head, tail) = split_ln_2(-square);
    ((head - tail) - rest, if inside { exp2_of_rounding(n) } else { 0.0 })
}

/// scale * e^r
#[inline(always)]
fn scaled_exp(r: f32, scale: f32) -> f32 {
    scale + scale * (r + exp_reduced(r))
}

/// clamp(x, -3, 3) / 3, correctly rounded.
#[inline(always)]
#[must_use]
pub fn linear(x: f32) -> f32 {
    let x = if x < 3.0 { x } else { 3.0 };
    let x = if x > -3.0 { x } else { -3.0 };
    x / 3.0
}

/// [`linear`] of many numbers.
#[inline(always)]
pub fn linear_all(values: &mut [f32]) {
    for value in values {
        *value = linear(*value);
    }
}

/// Computes second(first(x)) for all values. `spare` holds the intermediate results and must be at least as long.
///
/// Two passes through the first-level cache are faster than one: each has half as long a chain of dependent operations, so an out-of-order
/// CPU finds twice as much independent work.
#[inline(always)]
fn in_two_passes(values: &mut [f32], spare: &mut [f32], first: impl Fn(f32) -> (f32, f32), second: impl Fn(f32, f32) -> f32) {
    for (value, spare) in values.iter_mut().zip(spare.iter_mut()) {
        (*value, *spare) = first(*value);
    }
    for (value, spare) in values.iter_mut().zip(spare.iter()) {
        *value = second(*value, *spare);
    }
}

/// The square root of `x` in [0, 4] by three of Heron's steps, branch-free. Largest error 0.8 ulp.
///
/// `core` has no square root, and libm's handles one number at a time; the distance of every pixel needs one for vectors.
#[inline(always)]
#[must_use]
pub fn sqrt_approximate(x: f32) -> f32 {
    let mut root = f32::from_bits((x.to_bits() >> 1) + 0x1fbd_1df5);
    for _ in 0..3 {
        root = 0.5 * (root + x / root);
    }
    if x > 0.0 { root } else { 0.0 }
}

/// The square root, correctly rounded (libm's, the same on every target).
#[must_use]
pub fn sqrt_rounded(x: f32) -> f32 {
    libm::sqrtf(x)
}

/// The natural logarithm (libm's, the same on every target).
#[must_use]
pub fn ln(x: f32) -> f32 {
    libm::logf(x)
}

/// ln(1 + x), in double precision (libm's, the same on every target).
#[must_use]
pub fn ln_1p(x: f64) -> f64 {
    libm::log1p(x)
}

/// x to the power of y, in double precision (libm's, the same on every target).
#[must_use]
pub fn pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}

/// e to the power of x, in double precision (libm's, the same on every target).
#[must_use]
pub fn exp(x: f64) -> f64 {
    libm::exp(x)
}
