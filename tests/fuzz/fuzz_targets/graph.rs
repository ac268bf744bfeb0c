//! Graphs made of decisions instead of mutated files, passed straight to the engine: folding, lowering, planning and running may refuse
//! them but never panic, and every instruction set of this machine gives the same bits.
#![no_main]

use fooling_engine::simd::Instructions;
use fooling_engine::{Layers, Network};
use libfuzzer_sys::fuzz_target;

#[path = "../graph.rs"]
mod graph;

fuzz_target!(|bytes: &[u8]| run(bytes));

fn run(bytes: &[u8]) {
    let (graph, [channels, height, width]) = graph::graph(bytes);
    let output = graph.outputs[0].clone();
    let Ok(layers) = Layers::new(graph, &output, &[1, channels, height, width]) else { return };
    let mut first = None;
    for instructions in Instructions::ALL.into_iter().filter(|instructions| instructions.available()) {
        let Ok(network) = Network::new(&layers, 2, instructions) else { return };
        if network.workspace_len() > 1 << 20 {
            return;
        }
        let pictures: Vec<f32> = (0..2 * network.inputs()).map(|at| (at * 37 % 64) as f32 / 64.0 - 0.25).collect();
        let (mut workspace, mut output) = (network.workspace(), vec![0.0; network.outputs()]);
        network.run(&pictures, 2, &mut workspace);
        network.output(1, &workspace, &mut output);
        let bits: Vec<u32> = output.iter().map(|number| if number.is_nan() { 0 } else { number.to_bits() }).collect();
        assert_eq!(first.get_or_insert_with(|| bits.clone()), &bits, "{instructions:?}");
    }
}
