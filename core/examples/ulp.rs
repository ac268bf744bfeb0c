//! Measures the largest error of each activation kernel over all floats of a range, in units in the last place of the correctly rounded
//! result: `cargo run --release -p fooling-core --example ulp` (every float, takes minutes), or every N-th float with a number N after
//! `--`.

use fooling_core::math;

/// The largest |approximate - exact| over every float from `low` to `high`: in units in the last place of exact's f32, where it occurs, and
/// as an absolute error.
fn largest_error(stride: usize, low: f32, high: f32, kernel: fn(f32) -> f32, exact: fn(f64) -> f64) -> (f64, f32, f64) {
    let (mut worst, mut absolute) = ((0.0, 0.0), 0.0_f64);
    for bits in (low.to_bits()..=high.to_bits()).step_by(stride) {
        let x = f32::from_bits(bits);
        let reference = exact(f64::from(x));
        let ulp = f64::from((reference as f32).abs().next_up()) - f64::from((reference as f32).abs());
        let off = (f64::from(kernel(x)) - reference).abs();
        absolute = absolute.max(off);
        let error = off / ulp;
        if error > worst.0 {
            worst = (error, x);
        }
    }
    (worst.0, worst.1, absolute)
}

fn main() {
    let stride = std::env::args().nth(1).map_or(1, |n| n.parse().expect("a number"));
    type Case = (&'static str, f32, f32, fn(f32) -> f32, fn(f64) -> f64);
    let sigmoid = |x: f64| (x / 2.0).tanh();
    let cases: [Case; 9] = [
        ("sin", f32::MIN_POSITIVE, 25_000.0, math::sin, f64::sin),
        ("sin", 25_000.0, 100_000.0, math::sin, f64::sin),
        ("sin", 100_000.0, 1_048_576.0, math::sin, f64::sin),
        ("sin", 1_048_576.0, math::SIN_LIMIT, math::sin, f64::sin),
        ("sigmoid", 1e-36, f32::INFINITY, math::sigmoid, sigmoid),
        ("gaussian", f32::MIN_POSITIVE, 2.0, math::gaussian, |x| (-x * x).exp()),
        ("gaussian", 2.0, 9.3269, math::gaussian, |x| (-x * x).exp()),
        ("linear", 1e-37, f32::INFINITY, math::linear, |x| x.min(3.0) / 3.0),
        ("sqrt", f32::MIN_POSITIVE, 4.0, math::sqrt_approximate, f64::sqrt),
    ];
    for (name, low, high, kernel, exact) in cases {
        let (error, x, absolute) = largest_error(stride, low, high, kernel, exact);
        println!("{name:9} {low:e} to {high:e}: {error:.3} ulp at {x:e}; absolute error at most {absolute:.2e}");
    }
}
