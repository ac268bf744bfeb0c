//! ONNX files through our checks and the exact engine alone, much faster than with tract: no panic, and the same scores to the last bit
//! with every instruction set of this machine.
#![no_main]

use fooling::internals::Exact;
use fooling::internals::Instructions;
use libfuzzer_sys::fuzz_target;

#[path = "../folder.rs"]
mod folder;
#[path = "../network.rs"]
mod network;

fuzz_target!(|bytes: &[u8]| {
    folder::with(|dir| {
        let Some(model) = network::load(dir, bytes) else { return };
        let mut first = None;
        for instructions in Instructions::ALL.into_iter().filter(|instructions| instructions.available()) {
            let Ok(exact) = Exact::with(&model, 2, instructions) else { return };
            let scores: Vec<u32> = network::scores_of(&exact).iter().map(|score| score.to_bits()).collect();
            assert_eq!(first.get_or_insert_with(|| scores.clone()), &scores, "{instructions:?}");
        }
    });
});
