//! Gives every bare-metal program its memory map. The lengths are budgets: the linker fails when a program outgrows them.

use std::{env, fs, path::Path};

/// What a program may take, in KiB; RAM holds the statics and at least `stack` of stack.
struct Budget {
    program: &'static str,
    flash: u32,
    ram: u32,
    stack: u32,
}

const CORTEX_M4F_AND_RISC_V: [Budget; 3] = [
    Budget { program: "render", flash: 64, ram: 32, stack: 6 },
    Budget { program: "evolve", flash: 128, ram: 128, stack: 8 },
    Budget { program: "replay", flash: 128, ram: 128, stack: 8 },
];

/// A real nRF51 for `render`; the others need one with more RAM than was ever made.
const CORTEX_M0: [Budget; 3] = [
    Budget { program: "render", flash: 64, ram: 16, stack: 6 },
    Budget { program: "evolve", flash: 128, ram: 128, stack: 8 },
    Budget { program: "replay", flash: 128, ram: 128, stack: 8 },
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=riscv.x");
    let target = env::var("TARGET").expect("cargo sets TARGET");
    // Where flash and RAM are: an STM32F405, an nRF51, and QEMU's `virt`, which has but RAM.
    let (flash, ram, budgets) = match target.split('-').next() {
        Some("thumbv7em") => (0x0800_0000, 0x2000_0000, CORTEX_M4F_AND_RISC_V),
        Some("thumbv6m") => (0, 0x2000_0000, CORTEX_M0),
        Some("riscv32imac" | "riscv32imafc") => (0x8000_0000, 0x8010_0000, CORTEX_M4F_AND_RISC_V),
        _ => return,
    };
    for budget in budgets {
        write_memory_map(flash, ram, &budget);
    }
}

/// Writes `memory.x`, which the linker script includes, into a folder that only this program's linker looks into.
fn write_memory_map(flash_at: u32, ram_at: u32, budget: &Budget) {
    let Budget { program, flash, ram, stack } = budget;
    let map = format!(
        "MEMORY {{\n  FLASH : ORIGIN = {flash_at:#x}, LENGTH = {flash}K\n  RAM : ORIGIN = {ram_at:#x}, LENGTH = {ram}K\n}}\n\
         ASSERT(_stack_start - _stack_end >= {stack}K, \"{program}: its statics leave less than {stack} KiB of {ram} for the stack\");\n"
    );
    let folder = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join(program);
    fs::create_dir_all(&folder).expect("OUT_DIR can be written to");
    fs::write(folder.join("memory.x"), map).expect("OUT_DIR can be written to");
    println!("cargo:rustc-link-arg-bin={program}=-L{}", folder.display());
    println!("cargo:rustc-link-arg-bin={program}=-L{}", env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
}
