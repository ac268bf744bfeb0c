//! Functions of single numbers, and the activations made of them.

use crate::math::{self, lanes};
use crate::simd::Vector;

/// Clamps to a range. NaN is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) low: f32,
    pub(crate) high: f32,
}

impl Bounds {
    #[cfg(feature = "alloc")]
    pub(crate) const NONE: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };

    #[inline(always)]
    pub(crate) fn clamp<V: Vector>(self, value: V) -> V {
        V::splat(self.high).min(V::splat(self.low).max(value))
    }
}

/// The activation at the end of a layer: at most one of the two is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Activation {
    pub(crate) bounds: Bounds,
    pub(crate) function: Option<Unary>,
}

#[cfg(feature = "alloc")]
impl Activation {
    pub(crate) const NONE: Self = Self { bounds: Bounds::NONE, function: None };
}

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(not(feature = "alloc"), expect(dead_code, reason = "the activations of images are bounds"))]
pub(crate) enum Unary {
    /// max(x, 0)
    Relu,
    /// x, or for x < 0 x times the factor.
    LeakyRelu(f32),
    /// x above the threshold, else 0.
    ThresholdedRelu(f32),
    /// x, or for x < 0 the factor times e^x - 1.
    Elu(f32),
    /// [`Unary::Elu`] with the first number, times the second.
    Selu(f32, f32),
    /// x, or for x < 0 a (e^(x / a) - 1).
    Celu(f32),
    /// 1 / (1 + e^-x)
    Sigmoid,
    /// a x + b, clamped to 0 to 1.
    HardSigmoid(f32, f32),
    /// x times (x / 6 + 0.5 clamped to 0 to 1).
    HardSwish,
    /// x / (1 + e^-x)
    Silu,
    /// x tanh(ln(1 + e^x))
    Mish,
    /// ln(1 + e^x)
    Softplus,
    /// x / (1 + |x|)
    Softsign,
    /// The hyperbolic tangent.
    Tanh,
    /// x times the cumulative normal distribution function.
    Gelu,
    /// [`Unary::Gelu`], approximated with the hyperbolic tangent.
    GeluTanh,
    /// x clamped to a range.
    Clip(f32, f32),
    /// e^x
    Exp,
    /// The natural logarithm.
    Log,
    /// The square root.
    Sqrt,
    /// 1 / x
    Reciprocal,
    /// -x
    Neg,
    /// |x|
    Abs,
    /// The error function.
    Erf,
    /// The sine.
    Sin,
    /// The cosine.
    Cos,
    /// The inverse sine.
    Asin,
    /// The inverse cosine.
    Acos,
    /// The inverse tangent.
    Atan,
    /// The hyperbolic sine.
    Sinh,
    /// The hyperbolic cosine.
    Cosh,
    /// The inverse hyperbolic sine.
    Asinh,
    /// The inverse hyperbolic cosine.
    Acosh,
    /// The inverse hyperbolic tangent.
    Atanh,
    /// The largest integer not above x.
    Floor,
    /// The smallest integer not below x.
    Ceil,
    /// The nearest integer; ties to even.
    Round,
    /// -1, 0 or 1.
    Sign,
    /// 1 if x is 0, else 0.
    Not,
    /// 1 if x is NaN, else 0.
    IsNan,
    /// 1 if x is infinite, else 0.
    IsInf,
}

impl Unary {
    /// Whether the result is a boolean.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub(crate) fn is_test(self) -> bool {
        matches!(self, Self::Not | Self::IsNan | Self::IsInf)
    }

    /// The function of sixteen numbers.
    #[inline(always)]
    #[must_use]
    pub(crate) fn apply<V: Vector>(self, x: V) -> V {
        match self {
            Self::Relu => x.map(|x| below(x, 0.0)),
            Self::LeakyRelu(factor) => x.map(|x| if x < 0.0 { x * factor } else { x }),
            Self::ThresholdedRelu(bound) => x.map(|x| if x > bound { x } else { 0.0 }),
            Self::Elu(factor) => elu(x, factor),
            Self::Selu(factor, scale) => V::splat(scale).mul(elu(x, factor)),
            Self::Celu(a) => x.less(V::splat(0.0), V::splat(a).mul(lanes::exp_m1(x.div(V::splat(a)))), x),
            Self::Sigmoid => lanes::sigmoid(x),
            Self::HardSigmoid(a, b) => x.map(|x| above(below(a * x + b, 0.0), 1.0)),
            Self::HardSwish => x.map(|x| x * above(below(x * (1.0 / 6.0) + 0.5, 0.0), 1.0)),
            Self::Silu => lanes::silu(x),
            Self::Mish => lanes::mish(x),
            Self::Softplus => lanes::softplus(x),
            Self::Softsign => x.map(|x| x / (1.0 + x.abs())),
            Self::Tanh => lanes::tanh(x),
            Self::Gelu => lanes::gelu(x),
            Self::GeluTanh => lanes::gelu_tanh(x),
            Self::Clip(low, high) => x.map(|x| above(below(x, low), high)),
            Self::Exp => lanes::exp(x),
            Self::Log => x.map(math::ln),
            Self::Sqrt => x.sqrt(),
            Self::Reciprocal => x.map(|x| 1.0 / x),
            Self::Neg => x.map(|x| -x),
            Self::Abs => x.map(f32::abs),
            Self::Erf => lanes::erf(x),
            Self::Sin => x.map(math::sin),
            Self::Cos => x.map(math::cos),
            // Rare in classifiers; libm computes them by additions, products, divisions and square roots only, so that bits agree everywhere.
            Self::Asin => x.map(libm::asinf),
            Self::Acos => x.map(libm::acosf),
            Self::Atan => x.map(libm::atanf),
            Self::Sinh => x.map(libm::sinhf),
            Self::Cosh => x.map(libm::coshf),
            Self::Asinh => x.map(libm::asinhf),
            Self::Acosh => x.map(libm::acoshf),
            Self::Atanh => x.map(libm::atanhf),
            Self::Floor => x.map(math::floor),
            Self::Ceil => x.map(math::ceil),
            Self::Round => x.map(math::round),
            Self::Sign => x.map(|x| truth(x > 0.0) - truth(x < 0.0)),
            Self::Not => x.map(|x| truth(x == 0.0)),
            Self::IsNan => x.map(|x| truth(x.is_nan())),
            Self::IsInf => x.map(|x| truth(x.abs() == f32::INFINITY)),
        }
    }

    /// Whether the function is made of exponentials.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub(crate) fn uses_exponentials(self) -> bool {
        let units = matches!(self, Self::Elu(_) | Self::Selu(..) | Self::Celu(_) | Self::Silu | Self::Mish | Self::Gelu | Self::GeluTanh);
        units || matches!(self, Self::Exp | Self::Tanh | Self::Sigmoid | Self::Softplus | Self::Erf)
    }
}

/// x, or for x < 0 the factor times e^x - 1.
#[inline(always)]
fn elu<V: Vector>(x: V, factor: f32) -> V {
    x.less(V::splat(0.0), V::splat(factor).mul(lanes::exp_m1(x)), x)
}

/// `low` for smaller numbers; NaN is kept.
#[inline(always)]
fn below(x: f32, low: f32) -> f32 {
    if x < low { low } else { x }
}

/// `high` for larger numbers; NaN is kept.
#[inline(always)]
fn above(x: f32, high: f32) -> f32 {
    if x > high { high } else { x }
}

#[inline(always)]
fn truth(test: bool) -> f32 {
    if test { 1.0 } else { 0.0 }
}

/// A function of two numbers.
#[cfg(feature = "alloc")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a b
    Mul,
    /// a / b
    Div,
    /// a^b
    Pow,
    /// The larger; NaN if one is.
    Max,
    /// The smaller; NaN if one is.
    Min,
    /// The remainder of a / b with the sign of b.
    Mod,
    /// The remainder of a / b with the sign of a.
    Fmod,
    /// a, or for a < 0 a times b.
    PRelu,
    /// Whether a = b; 1 or 0, as in all that follow.
    Equal,
    /// Whether a < b.
    Less,
    /// Whether a <= b.
    LessOrEqual,
    /// Whether a > b.
    Greater,
    /// Whether a >= b.
    GreaterOrEqual,
    /// Logical and: whether neither is 0.
    And,
    /// Logical or: whether at least one is not 0.
    Or,
    /// Logical exclusive or: whether exactly one is 0.
    Xor,
}

#[cfg(feature = "alloc")]
impl Binary {
    /// Whether the result is a boolean.
    #[must_use]
    pub(crate) fn is_test(self) -> bool {
        matches!(
            self,
            Self::Equal | Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual | Self::And | Self::Or | Self::Xor
        )
    }

    /// The function of two numbers.
    #[inline(always)]
    #[must_use]
    pub(crate) fn apply(self, a: f32, b: f32) -> f32 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
            Self::Pow => math::pow(a, b),
            Self::Max => {
                if a > b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
            Self::Min => {
                if a < b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
            Self::Mod => {
                let rest = libm::fmodf(a, b);
                if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
            }
            Self::Fmod => libm::fmodf(a, b),
            Self::PRelu => {
                if a < 0.0 {
                    a * b
                } else {
                    a
                }
            }
            Self::Equal => truth(a == b),
            Self::Less => truth(a < b),
            Self::LessOrEqual => truth(a <= b),
            Self::Greater => truth(a > b),
            Self::GreaterOrEqual => truth(a >= b),
            Self::And => truth(a != 0.0 && b != 0.0),
            Self::Or => truth(a != 0.0 || b != 0.0),
            Self::Xor => truth((a != 0.0) != (b != 0.0)),
        }
    }
}
