//! Measures the largest errors of the engine's transcendental functions against `f64`, over every N-th float of each range, in units in the
//! last place of the correctly rounded result: `cargo run --release -p fooling-engine --example math_ulp -- 101` (1 without a number: every float).

use fooling_engine::math;

/// What is measured: a name, a range of floats of one sign, the function, and the same in double precision.
type Case = (&'static str, f32, f32, fn(f32) -> f32, fn(f64) -> f64);

/// The largest error in units in the last place, the argument where it occurs, and the largest absolute error.
fn largest_error(stride: usize, low: f32, high: f32, function: fn(f32) -> f32, exact: fn(f64) -> f64) -> (f64, f32, f64) {
    let (mut worst, mut at, mut absolute) = (0.0, low, 0.0_f64);
    let (first, last) = (low.to_bits().min(high.to_bits()), low.to_bits().max(high.to_bits()));
    for bits in (first..=last).step_by(stride) {
        let x = f32::from_bits(bits);
        let reference = exact(f64::from(x));
        let rounded = (reference as f32).abs();
        let off = (f64::from(function(x)) - reference).abs();
        absolute = absolute.max(off);
        let error = off / (f64::from(rounded.next_up()) - f64::from(rounded));
        // Results below the smallest normal float have a place that is not their last.
        if rounded >= f32::MIN_POSITIVE && error > worst {
            (worst, at) = (error, x);
        }
    }
    (worst, at, absolute)
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

fn gelu(x: f64) -> f64 {
    0.5 * x * libm::erfc(-x * core::f64::consts::FRAC_1_SQRT_2)
}

fn gelu_tanh(x: f64) -> f64 {
    let u = (2.0 / core::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
    x / (1.0 + libm::exp(-2.0 * u))
}

fn main() {
    let stride = std::env::args().nth(1).map_or(1, |n| n.parse().expect("a number"));
    let least = f32::MIN_POSITIVE;
    let cases: [Case; 24] = [
        ("exp", least, 88.7, math::exp, libm::exp),
        ("exp", -87.3, -least, math::exp, libm::exp),
        ("exp_m1", least, 88.0, math::exp_m1, libm::expm1),
        ("exp_m1", -20.0, -least, math::exp_m1, libm::expm1),
        ("ln", least, f32::MAX, math::ln, libm::log),
        ("tanh", least, 20.0, math::tanh, libm::tanh),
        ("sigmoid", least, 80.0, math::sigmoid, |x| 1.0 / (1.0 + libm::exp(-x))),
        ("sigmoid", -87.0, -least, math::sigmoid, |x| 1.0 / (1.0 + libm::exp(-x))),
        ("softplus", least, 80.0, math::softplus, softplus),
        ("softplus", -87.0, -least, math::softplus, softplus),
        ("erf", least, 10.0, math::erf, libm::erf),
        ("silu", least, 80.0, math::silu, |x| x / (1.0 + libm::exp(-x))),
        ("silu", -80.0, -least, math::silu, |x| x / (1.0 + libm::exp(-x))),
        ("mish", least, 80.0, math::mish, |x| x * libm::tanh(softplus(x))),
        ("mish", -80.0, -least, math::mish, |x| x * libm::tanh(softplus(x))),
        ("gelu", least, 20.0, math::gelu, gelu),
        ("gelu", -2.0, -least, math::gelu, gelu),
        ("gelu", -5.0, -2.0, math::gelu, gelu),
        ("gelu", -20.0, -5.0, math::gelu, gelu),
        ("gelu_tanh", least, 20.0, math::gelu_tanh, gelu_tanh),
        ("gelu_tanh", -2.0, -least, math::gelu_tanh, gelu_tanh),
        ("gelu_tanh", -20.0, -2.0, math::gelu_tanh, gelu_tanh),
        ("sin", least, 1e6, math::sin, libm::sin),
        ("cos", least, 1e6, math::cos, libm::cos),
    ];
    for (name, low, high, function, exact) in cases {
        let (error, x, absolute) = largest_error(stride, low, high, function, exact);
        println!("{name:9} {low:10e} to {high:10e}: {error:9.3} ulp at {x:e}; absolute error at most {absolute:.1e}");
    }
}
