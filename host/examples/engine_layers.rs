//! Time and share of the CPU's peak for each layer of networks in the exact engine, on one thread.
//!
//! ```sh
//! cargo run --release --no-default-features --features cli --example engine_layers -- 3 lenet mobilenet.onnx    # seconds, models
//! ```
//!
//! `3 --instructions avx2 lenet` uses this instruction set instead of the widest that the CPU has.
//!
//! The peak is that of a loop of fused multiply-adds in registers, with the same vectors. It is measured in turn with the network, so that
//! other work on the machine affects both alike. All times are those that a tenth of the rounds reach: other programs interrupt the others.
//! Layers that look the same share a line.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use fooling::Model;
use fooling::internals::Exact;
use fooling_engine::Network;
use fooling_engine::simd::{F32x16, Instructions, Kernel, LANES, Vector, dispatch};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [seconds, models @ ..] = &arguments[..] else {
        eprintln!("usage: engine_layers SECONDS [--instructions NAME] MODEL...");
        std::process::exit(2);
    };
    let time = Duration::from_secs_f64(seconds.parse().expect("seconds"));
    let (set, models) = match models {
        [option, name, models @ ..] if option == "--instructions" => (named(name).expect("an instruction set of this CPU"), models),
        _ => (Instructions::widest(), models),
    };
    for name in models {
        let model = if Path::new(name).exists() { Model::load(Path::new(name)) } else { Model::named(name) }.expect("a model");
        let rows = Exact::new(&model).expect("a network that the engine supports").network().rows();
        let exact = Exact::with(&model, rows, set).expect("the same network");
        print(name, set, exact.network(), &Times::of(exact.network(), set, time));
    }
}

fn named(name: &str) -> Option<Instructions> {
    Instructions::ALL.into_iter().find(|set| set.available() && format!("{set:?}").eq_ignore_ascii_case(name))
}

/// Times of a network, see [`usual`].
struct Times {
    /// Seconds for a multiply-add at the CPU's peak.
    peak: f64,
    /// Seconds of each step for one picture.
    steps: Vec<f64>,
}

impl Times {
    fn of(network: &Network, set: Instructions, time: Duration) -> Self {
        let pictures: Vec<f32> = (0..network.rows() * network.inputs()).map(|at| (at * 37 % 256) as f32 / 256.0).collect();
        let mut workspace = network.workspace();
        let (mut peaks, mut rounds) = (Vec::new(), vec![Vec::new(); network.steps().count()]);
        let begun = Instant::now();
        while begun.elapsed() < time || peaks.len() < 3 {
            peaks.push(peak(set));
            let mut round = vec![0.0; rounds.len()];
            let mut last = Instant::now();
            network.run_observed(&pictures, network.rows(), &mut workspace, |step| {
                let now = Instant::now();
                round[step] += (now - last).as_secs_f64() / network.rows() as f64;
                last = now;
            });
            rounds.iter_mut().zip(round).for_each(|(times, time)| times.push(time));
        }
        Self { peak: usual(peaks), steps: rounds.into_iter().map(usual).collect() }
    }
}

/// The time that a tenth of the rounds do not exceed.
fn usual(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 10]
}

/// Seconds for a multiply-add, in a loop that does nothing else.
fn peak(set: Instructions) -> f64 {
    const ROUNDS: usize = 10_000;
    /// Sums that do not depend on each other: more than the latency of a multiply-add times the number of units. Vectors that take
    /// several registers have fewer.
    const SUMS: usize = 24;
    struct Loop;
    impl Kernel for Loop {
        type Output = ();
        #[inline(always)]
        fn run<V: Vector>(self) {
            match V::BLOCKS {
                2 => sum::<V, SUMS>(),
                _ => sum::<V, { SUMS / 4 }>(),
            }
        }
    }
    #[inline(always)]
    fn sum<V: Vector, const COUNT: usize>() {
        let [factor, term] = black_box([F32x16([0.5; LANES]), F32x16([1.0; LANES])]);
        let (factor, mut sums) = (V::load(&factor), [V::load(&term); COUNT]);
        for _ in 0..ROUNDS * SUMS / COUNT {
            for sum in &mut sums {
                *sum = factor.mul_add(*sum, factor);
            }
        }
        for sum in sums {
            black_box(sum.to_array());
        }
    }
    let begun = Instant::now();
    dispatch(set, Loop);
    begun.elapsed().as_secs_f64() / (ROUNDS * SUMS * LANES) as f64
}

/// A table with a line for each kind of layer.
fn print(name: &str, set: Instructions, network: &Network, times: &Times) {
    let share = |work: f64, time: f64| format!("{:.0} %", 100.0 * work * times.peak / time);
    let mut lines: Vec<(&str, usize, f64, f64)> = Vec::new();
    for (step, &time) in network.steps().zip(&times.steps) {
        let work = step.multiply_adds as f64;
        match lines.iter_mut().find(|line| line.0 == step.what) {
            Some(line) => *line = (line.0, line.1 + 1, line.2 + work, line.3 + time),
            None => lines.push((step.what, 1, work, time)),
        }
    }
    let (work, time) = lines.iter().fold((0.0, 0.0), |sum, line| (sum.0 + line.2, sum.1 + line.3));
    println!("{name}: {set:?}, peak {:.1} billion multiply-adds a second", 1e-9 / times.peak);
    println!("| layer | times | million multiply-adds | microseconds | share of time | share of peak |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (what, count, work, spent) in lines.into_iter().chain([("all", times.steps.len(), work, time)]) {
        let of_peak = if work > 0.0 { share(work, spent) } else { String::new() };
        println!("| {what} | {count} | {:.3} | {:.2} | {:.1} % | {of_peak} |", work / 1e6, spent * 1e6, 100.0 * spent / time);
    }
}
