//! Prepares and runs networks with the exact engine: layers of every family, a small colour network, and the built-in LeNet.
//!
//! Unlike the other programs it needs memory for the preparation, so it has a heap; running a network does not allocate.

#![no_std]
#![no_main]

extern crate alloc;

#[path = "../heap.rs"]
mod heap;
#[path = "../networks.rs"]
mod networks;
/// Where `networks` expects it.
mod digest {
    pub use ports_common::Digest;
}

use fooling_engine::simd::Instructions;
use networks::CASES;
use ports_common::{Failure, Report, program};

/// Nothing is lent.
struct Nothing;

impl Nothing {
    const EMPTY: Self = Self;
}

program!(network, Nothing);

/// Whether this is a Cortex-M0, whose timer is too short for a whole network.
const SHORT_TIMER: bool = cfg!(all(target_arch = "arm", not(target_abi = "eabihf")));

fn network(_: &mut Nothing, report: &mut Report) -> Result<(), Failure> {
    for case in CASES {
        let mut expected = None;
        for set in Instructions::ALL.into_iter().filter(|set| set.available()) {
            let prepared = case.prepare(1, set).map_err(|_| Failure("the engine refuses a network"))?;
            let digest = if SHORT_TIMER { prepared.run() } else { report.picture(|| prepared.run()) };
            if case.name == "lenet" {
                report.cost(match set {
                    Instructions::Baseline => "lenet/plain",
                    _ => "lenet/vectors",
                });
            } else {
                report.no_cost();
            }
            if *expected.get_or_insert(digest) != digest {
                report.digest(format_args!("{}/{set:?}", case.name), digest);
            }
        }
        // Three at once: dense layers are run for all rows together.
        if case.name == "dense" {
            let prepared = case.prepare(3, Instructions::widest()).map_err(|_| Failure("the engine refuses a network"))?;
            report.digest("dense/batch", prepared.run());
        }
        report.digest(case.name, expected.ok_or(Failure("no instructions"))?);
    }
    Ok(())
}
