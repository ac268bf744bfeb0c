//! Turns the golden genomes into statics, and gives every bare-metal program its memory map. The lengths in the map are budgets: the linker
//! fails if a program exceeds them.

use std::fmt::Write;
use std::{env, fs, path::Path};

use serde_json::Value;

/// The limits of a program in KiB. `ram` covers the statics and the stack.
struct Budget {
    program: &'static str,
    flash: u32,
    ram: u32,
    stack: u32,
}

/// What they take on Cortex-M0 and RISC-V without floats, where they are largest, plus some reserve.
const BUDGETS: [Budget; 3] = [
    // The RAM of an nRF51.
    Budget { program: "render", flash: 40, ram: 16, stack: 7 },
    Budget { program: "evolve", flash: 64, ram: 64, stack: 8 },
    Budget { program: "replay", flash: 64, ram: 56, stack: 8 },
];

const GENOMES: &str = "../../../fixtures/genomes.jsonl";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=riscv.x");
    println!("cargo:rerun-if-changed={GENOMES}");
    let genomes = fs::read_to_string(GENOMES).expect("the fixtures are there");
    write_output("genomes.rs", &statics(&genomes));
    let target = env::var("TARGET").expect("cargo sets TARGET");
    // Where flash and RAM are: an STM32F405, an nRF51, and QEMU's `virt`, which has only RAM.
    let (flash, ram) = match target.split('-').next() {
        Some("thumbv7em") => (0x0800_0000, 0x2000_0000),
        Some("thumbv6m") => (0, 0x2000_0000),
        Some("riscv32imac" | "riscv32imafc") => (0x8000_0000, 0x8010_0000),
        _ => return,
    };
    for budget in BUDGETS {
        write_memory_map(flash, ram, &budget);
    }
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

fn write_output(name: &str, text: &str) {
    let path = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join(name);
    fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("OUT_DIR can be written to");
    fs::write(path, text).expect("OUT_DIR can be written to");
}

/// Writes `memory.x`, which the linker script includes, into a folder that only this program's linker searches. The stack is below the
/// statics: if it outgrows its place, it runs out of RAM and faults instead of overwriting them.
fn write_memory_map(flash_at: u32, ram_at: u32, Budget { program, flash, ram, stack }: &Budget) {
    let (statics_at, statics) = (ram_at + stack * 1024, ram - stack);
    let map = format!(
        "MEMORY {{\n  FLASH : ORIGIN = {flash_at:#x}, LENGTH = {flash}K\n  RAM : ORIGIN = {statics_at:#x}, LENGTH = {statics}K\n}}\n\
         _stack_end = {ram_at:#x};\n_stack_start = {statics_at:#x};\n"
    );
    write_output(&format!("{program}/memory.x"), &map);
    println!("cargo:rustc-link-arg-bin={program}=-L{}/{program}", env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo:rustc-link-arg-bin={program}=-L{}", env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
}
