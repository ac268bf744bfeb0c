//! Turns the golden genomes into statics, and gives every bare-metal program its memory map. The lengths in the map are budgets: the linker
//! fails if a program exceeds them.

use std::fmt::Write;
use std::fs;

use serde_json::Value;

#[path = "../memory.rs"]
mod memory;

use memory::{Budget, write_memory_maps, write_output};

/// What they take on Cortex-M0 and RISC-V without floats, where they are largest, plus some reserve.
const BUDGETS: [Budget; 4] = [
    // The RAM of an nRF51.
    Budget { program: "render", flash: 40, ram: 16, stack: 7 },
    Budget { program: "evolve", flash: 64, ram: 64, stack: 8 },
    Budget { program: "replay", flash: 64, ram: 56, stack: 8 },
    // LeNet's file and the engine; a heap of 12 MiB to prepare networks.
    Budget { program: "network", flash: 3072, ram: 12 * 1024 + 256, stack: 128 },
];

const GENOMES: &str = "../../../fixtures/genomes.jsonl";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={GENOMES}");
    let genomes = fs::read_to_string(GENOMES).expect("the fixtures are there");
    write_output("genomes.rs", statics(&genomes).as_bytes());
    write_memory_maps(&BUDGETS);
}

/// The genomes as Rust code, one line each: name, outputs, activations, links.
fn statics(lines: &str) -> String {
    let mut text = String::from("static GENOMES: &[(&str, usize, &[Activation], &[Link])] = &[\n");
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).expect("one genome per line");
        write!(text, "({}, {}, &[", line["name"], line["outputs"]).expect("strings grow");
        for node in line["nodes"].as_array().expect("nodes are a list") {
            let name = node["activation"].as_str().expect("an activation is a name");
            let (first, rest) = name.split_at(1);
            write!(text, "Activation::{}{rest}, ", first.to_uppercase()).expect("strings grow");
        }
        text.push_str("], &[");
        for link in line["connections"].as_array().expect("connections are a list") {
            // The suffix makes whole numbers floats, too.
            let (source, target, weight) = (&link["source"], &link["target"], &link["weight"]);
            write!(text, "Link {{ source: {source}, target: {target}, weight: {weight}_f32 }}, ").expect("strings grow");
        }
        text.push_str("]),\n");
    }
    text + "];\n"
}
