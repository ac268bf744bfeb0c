//! Functions of single numbers: the same bits with all instructions, and known values.

use alloc::vec::Vec;

use super::apply;
use crate::kernels::function::Unary;
use crate::kernels::vectors;
use crate::math;
use crate::simd::{Instructions, floats};

/// With a function of single numbers.
type Case = (Unary, Option<fn(f32) -> f32>);

/// All functions, those with a public function of single numbers first.
const FUNCTIONS: [Case; 40] = [
    (Unary::Exp, Some(math::exp)),
    (Unary::Tanh, Some(math::tanh)),
    (Unary::Sigmoid, Some(math::sigmoid)),
    (Unary::Silu, Some(math::silu)),
    (Unary::Softplus, Some(math::softplus)),
    (Unary::Mish, Some(math::mish)),
    (Unary::Erf, Some(math::erf)),
    (Unary::Gelu, Some(math::gelu)),
    (Unary::GeluTanh, Some(math::gelu_tanh)),
    (Unary::Log, Some(math::ln)),
    (Unary::Floor, Some(math::floor)),
    (Unary::Ceil, Some(math::ceil)),
    (Unary::Round, Some(math::round)),
    (Unary::Sin, Some(math::sin)),
    (Unary::Cos, Some(math::cos)),
    (Unary::Relu, None),
    (Unary::LeakyRelu(0.1), None),
    (Unary::ThresholdedRelu(0.3), None),
    (Unary::Elu(1.5), None),
    (Unary::Selu(1.673_263_2, 1.050_701), None),
    (Unary::Celu(0.7), None),
    (Unary::HardSigmoid(0.2, 0.5), None),
    (Unary::HardSwish, None),
    (Unary::Softsign, None),
    (Unary::Clip(-0.5, 2.0), None),
    (Unary::Sqrt, None),
    (Unary::Reciprocal, None),
    (Unary::Neg, None),
    (Unary::Abs, None),
    (Unary::Asin, None),
    (Unary::Acos, None),
    (Unary::Atan, None),
    (Unary::Sinh, None),
    (Unary::Cosh, None),
    (Unary::Asinh, None),
    (Unary::Acosh, None),
    (Unary::Atanh, None),
    (Unary::Sign, None),
    (Unary::IsNan, None),
    (Unary::IsInf, None),
];

/// Zeros, infinities, NaN with and without a payload, subnormal numbers, numbers near limits of the functions, any bits, and numbers from -120
/// to 120.
fn arguments() -> Vec<f32> {
    let mut numbers: Vec<f32> =
        [0, 1, 0x0040_0000, 0x007f_ffff, 0x0080_0000, 0x7f7f_ffff, 0x7f80_0000, 0x7fc0_0000, 0x7fc0_0001, 0x7f80_0001]
            .into_iter()
            .flat_map(|bits: u32| [bits, bits | 1 << 31])
            .map(f32::from_bits)
            .collect();
    let limits = [0.55, 0.921_875, 1.0, 4.0, 6.7, 10.0, 15.0, 20.0, 87.3, 87.7, 88.0, 88.376, 88.7228, 89.0, 103.9, 104.0];
    numbers.extend(limits.into_iter().flat_map(|limit: f32| [limit, limit.next_up(), limit.next_down()]).flat_map(|limit| [limit, -limit]));
    let mut state = 1_u64;
    for _ in 0..10_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bits = u32::try_from(state >> 32).unwrap();
        numbers.extend([f32::from_bits(bits), (bits.cast_signed() as f32) * (120.0 / 2_147_483_648.0)]);
    }
    numbers
}

/// Bits of a NaN count as equal.
fn bits(number: f32) -> u32 {
    if number.is_nan() { f32::NAN.to_bits() } else { number.to_bits() }
}

fn results(set: Instructions, function: Unary, arguments: &[f32]) -> Vec<u32> {
    let mut numbers = vectors(arguments);
    apply(set, function, &mut numbers);
    floats(&numbers)[..arguments.len()].iter().copied().map(bits).collect()
}

#[test]
fn all_instructions_give_the_same_bits() {
    let arguments = arguments();
    for (function, of_one) in FUNCTIONS {
        let expected = results(Instructions::Baseline, function, &arguments);
        for set in Instructions::ALL.into_iter().filter(|set| set.available()) {
            for ((x, right), found) in arguments.iter().zip(&expected).zip(results(set, function, &arguments)) {
                assert_eq!(*right, found, "{function:?} of {x:e} with {set:?}");
            }
        }
        if let Some(of_one) = of_one {
            for (&x, right) in arguments.iter().zip(&expected) {
                assert_eq!(*right, bits(of_one(x)), "{function:?} of one number, {x:e}");
            }
        }
    }
}

#[test]
fn nan_stays_nan() {
    let numbers = [f32::NAN, f32::from_bits(0xffff_ffff), f32::from_bits(0x7fc0_0001)];
    for (function, _) in FUNCTIONS {
        let is_test = function.is_test() || matches!(function, Unary::Relu | Unary::ThresholdedRelu(_) | Unary::Sign);
        assert!(is_test || results(Instructions::widest(), function, &numbers) == [f32::NAN.to_bits(); 3], "{function:?}");
    }
}

#[test]
fn limits_of_functions_of_exponentials() {
    let (infinity, largest) = (f32::INFINITY, f32::MAX);
    // At minus infinity, at the smallest number, at 0, at the largest number, at infinity.
    let of_all = |function: fn(f32) -> f32| [-infinity, -largest, 0.0, largest, infinity].map(function);
    assert_eq!(of_all(math::exp), [0.0, 0.0, 1.0, infinity, infinity]);
    assert_eq!(of_all(math::tanh), [-1.0, -1.0, 0.0, 1.0, 1.0]);
    assert_eq!(of_all(math::erf), [-1.0, -1.0, 0.0, 1.0, 1.0]);
    assert_eq!(of_all(math::sigmoid), [0.0, 0.0, 0.5, 1.0, 1.0]);
    assert_eq!(of_all(math::softplus), [0.0, 0.0, core::f32::consts::LN_2, largest, infinity]);
    for function in [math::silu, math::mish, math::gelu, math::gelu_tanh] {
        assert_eq!(of_all(function), [0.0, 0.0, 0.0, largest, infinity]);
    }
    assert_eq!(of_all(math::exp_m1)[..3], [-1.0, -1.0, 0.0]);
    // Odd functions keep the sign of 0.
    for function in [math::tanh, math::erf] {
        assert_eq!(function(-0.0).to_bits(), (-0.0_f32).to_bits());
    }
    // Subnormal results.
    assert_eq!([-103.9, -103.0, -90.0].map(math::exp), [1e-45, 1e-45, 8.194_01e-40]);
    // The results of functions that end in 0 are monotonic there.
    let tail: Vec<f32> = (0..4000).map(|step| math::gelu(-3.0 - step as f32 / 1000.0)).collect();
    assert!(tail.windows(2).all(|pair| pair[0] <= pair[1] + 1e-9), "the tail of GELU");
}
