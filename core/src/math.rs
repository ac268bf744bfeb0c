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

/// The fourth and the fifth piece combined.
const PI_TAIL: f32 = f32::from_bits(0x2f05_a309);

/// Sine of r in [-pi/2, pi/2] by a minimax polynomial (relative error of the exact polynomial: 6.2e-9).
#[inline(always)]
fn sin_reduced(r: f32) -> f32 {
    let s = r * r;
    let p = f32::from_bits(0x362e_e425);
    let p = p * s + f32::from_bits(0xb94f_b875);
    let p = p * s + f32::from_bits(0x3c08_876d);
    let p = p * s + f32::from_bits(0xbe2a_aaa6);
    r + r * s * p
}

/// The nearest integer to x / pi, as a float and as bits whose lowest bit is its parity.
#[inline(always)]
fn multiples_of_pi(x: f32) -> (f32, u32) {
    let shifted = x * FRAC_1_PI + ROUND;
    (shifted - ROUND, shifted.to_bits())
}

/// Negates the remainder of an argument if the multiple of pi subtracted from it is odd, so that their sines are equal.
#[inline(always)]
fn with_parity(r: f32, parity: u32) -> f32 {
    f32::from_bits(r.to_bits() ^ (parity << 31))
}

/// Range reduction if |x / pi| is below [`NEAR`]. The first two subtractions and all products but the last are exact.
#[inline(always)]
fn reduce_near(x: f32) -> f32 {
    let (k, parity) = multiples_of_pi(x);
    let left = (x - k * PI[0]) - k * PI[1];
    with_parity((left - k * PI[2]) - k * PI_TAIL, parity)
}

/// Range reduction for every argument. A multiple of 2^14 pi is subtracted first; for a near argument it is zero and changes nothing, so
/// both functions give the same bits. It is even, so it does not change the parity.
#[inline(always)]
fn reduce_far(x: f32) -> f32 {
    let far = (x * FRAC_1_PI + ROUND_FAR) - ROUND_FAR;
    let near = (x - far * PI[0]) - far * PI[1];
    // The third piece must be known to choose k, but near - third has too many bits for the following steps.
    let third = far * PI[2];
    let (k, parity) = multiples_of_pi(near - third);
    let left = ((near - k * PI[0]) - k * PI[1]) - third;
    let r = left - far * PI[3];
    // The rounding error of the last step.
    let lost = (left - r) - far * PI[3];
    with_parity((r - k * PI[2]) - ((k * PI_TAIL + far * PI[4]) - lost), parity)
}

/// Sine of `x` radians. Largest error 2.4 ulp and 1.2e-7 for |x| up to [`SIN_LIMIT`].
#[inline]
#[must_use]
pub fn sin(x: f32) -> f32 {
    sin_reduced(if x.abs() * FRAC_1_PI < NEAR - 1.0 { reduce_near(x) } else { reduce_far(x) })
}

/// [`sin`] of numbers of magnitude at most `largest`.
#[inline(always)]
pub fn sin_all(values: &mut [f32], largest: f32) {
    // The bound may have been rounded down slightly; pi is more than 3.
    if largest < 3.0 * NEAR {
        for value in values {
            *value = sin_reduced(reduce_near(*value));
        }
    } else {
        for value in values {
            *value = sin_reduced(reduce_far(*value));
        }
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

/// Splits x into n ln 2 + r: the rounding bits of n, and r.
#[inline(always)]
fn split_ln_2(x: f32) -> (u32, f32) {
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    (shifted.to_bits(), (x - n * LN_2[0]) - n * LN_2[1])
}

/// The bipolar sigmoid 2 / (1 + e^-x) - 1, which is tanh(x / 2). Largest error 2.7 ulp and 9.0e-8 over all floats.
#[inline(always)]
#[must_use]
pub fn sigmoid(x: f32) -> f32 {
    // Beyond 20 the result is 1 to the last bit; the limit keeps the exponent small. Written so that a NaN would be replaced.
    let a = x.abs();
    let a = if a < 20.0 { a } else { 20.0 };
    let (n, r) = split_ln_2(a);
    let scale = exp2_of_rounding(n);
    // e^a - 1 without cancellation.
    let e = (scale - 1.0) + scale * (r + exp_reduced(r));
    // |e / (e + 2)|, or 1 - 2 / (e + 2) beyond a half: only the latter rounds correctly close to 1, where one bit changes the byte of a
    // whole area. Selected before the division, so that there is only one.
    let (one, numerator) = if a > 1.1 { (1.0, 2.0) } else { (0.0, e) };
    let signless: f32 = one - numerator / (e + 2.0);
    f32::from_bits((signless.to_bits() & 0x7fff_ffff) | (x.to_bits() & 0x8000_0000))
}

/// [`sigmoid`] of many numbers.
#[inline(always)]
pub fn sigmoid_all(values: &mut [f32]) {
    for value in values {
        *value = sigmoid(*value);
    }
}

/// Beyond this |x| the Gaussian counts as zero (it is below 1.7e-38), so that no kernel makes a subnormal number.
const GAUSSIAN_LIMIT: f32 = 9.327;

/// The Gaussian e^(-x^2). Largest error 6.0e-8; 2.5 ulp for |x| up to 2, and 64 ulp beyond, where the values are small.
#[inline(always)]
#[must_use]
pub fn gaussian(x: f32) -> f32 {
    let inside = x.abs() < GAUSSIAN_LIMIT;
    let x = if inside { x } else { 0.0 };
    let (n, r) = split_ln_2(-(x * x));
    let scale = if inside { exp2_of_rounding(n) } else { 0.0 };
    scale + scale * (r + exp_reduced(r))
}

/// [`gaussian`] of many numbers.
#[inline(always)]
pub fn gaussian_all(values: &mut [f32]) {
    for value in values {
        *value = gaussian(*value);
    }
}

const ONE_THIRD: f32 = 1.0 / 3.0;

/// clamp(x, -3, 3) / 3. Largest error 0.7 ulp and 4.0e-8.
#[inline(always)]
#[must_use]
pub fn linear(x: f32) -> f32 {
    let x = if x < 3.0 { x } else { 3.0 };
    let x = if x > -3.0 { x } else { -3.0 };
    // A division would take as long as a sine.
    x * ONE_THIRD
}

/// [`linear`] of many numbers.
#[inline(always)]
pub fn linear_all(values: &mut [f32]) {
    for value in values {
        *value = linear(*value);
    }
}

/// The square root of `x` in [0, 4], without a branch or a division. Largest error 0.9 ulp and 1.1e-7.
///
/// `core` has no square root, and libm's handles one number at a time; the distance of every pixel needs one for vectors.
#[inline(always)]
#[must_use]
pub fn sqrt_approximate(x: f32) -> f32 {
    // 1 / sqrt(x) from half the exponent (Lomont 2003) and two of Newton's steps.
    let mut y = f32::from_bits(0x5f37_5a86_u32.wrapping_sub(x.to_bits() >> 1));
    let half = 0.5 * x;
    for _ in 0..2 {
        y *= 1.5 - half * y * y;
    }
    // A third step for the root itself, whose error is then that of rounding. The root of zero is zero.
    let root = x * y;
    root + 0.5 * y * (x - root * root)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A bound for many numbers decides which of the two is used, so they must agree wherever both are allowed.
    #[test]
    fn near_and_far_reduction_give_the_same_bits() {
        let bound = ((NEAR - 1.0) / FRAC_1_PI).to_bits();
        for bits in (0..bound).step_by(997).chain(bound - 100_000..bound) {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                assert_eq!(reduce_near(x).to_bits(), reduce_far(x).to_bits(), "{x:e}");
            }
        }
    }

    /// A step of 1 in 255 is 0.004; no byte may depend on the errors of these kernels.
    #[test]
    fn absolute_errors_are_small() {
        let check = |name: &str, low: f32, high: f32, kernel: fn(f32) -> f32, exact: fn(f64) -> f64| {
            for bits in (low.to_bits()..high.to_bits()).step_by(5003) {
                let x = f32::from_bits(bits);
                let error = (f64::from(kernel(x)) - exact(f64::from(x))).abs();
                assert!(error < 1.25e-7, "{name} of {x:e} is off by {error:e}");
            }
        };
        check("sine", 1e-9, SIN_LIMIT, sin, f64::sin);
        check("sigmoid", 1e-9, 100.0, sigmoid, |x| (x / 2.0).tanh());
        check("Gaussian", 1e-9, 100.0, gaussian, |x| (-x * x).exp());
        check("linear", 1e-9, 100.0, linear, |x| x.min(3.0) / 3.0);
        check("root", 1e-9, 4.0, sqrt_approximate, f64::sqrt);
    }

    #[test]
    fn ends_are_exact() {
        for (sign, x) in [(1.0, 20.0), (-1.0, -20.0), (1.0, f32::INFINITY), (-1.0, f32::NEG_INFINITY), (1.0, f32::MAX)] {
            assert_eq!(sigmoid(x), sign);
            assert_eq!(linear(x), sign);
            assert_eq!(gaussian(x), 0.0);
        }
        assert_eq!((sin(0.0), sigmoid(0.0), gaussian(0.0), linear(0.0)), (0.0, 0.0, 1.0, 0.0));
        assert_eq!((sqrt_approximate(0.0), sqrt_approximate(1.0), sqrt_approximate(4.0)), (0.0, 1.0, 2.0));
        assert_eq!(linear(3.0), 1.0);
    }
}
