//! The memory maps of bare-metal programs, for build scripts. The lengths in the maps are budgets: the linker fails if a program exceeds them.

use std::{env, fs, path::Path};

/// The limits of a program in KiB. `ram` covers the statics and the stack.
pub struct Budget {
    pub program: &'static str,
    pub flash: u32,
    pub ram: u32,
    pub stack: u32,
}

/// Writes the map of each program, if the target is bare metal.
pub fn write_memory_maps(budgets: &[Budget]) {
    println!("cargo:rerun-if-changed=../memory.rs");
    println!("cargo:rerun-if-changed=../riscv.x");
    let target = env::var("TARGET").expect("cargo sets TARGET");
    // Where flash, RAM and slow RAM are: an MPS2 board, an nRF51, and QEMU's `virt`, which has only RAM.
    let (flash, ram, large_ram) = match target.split('-').next() {
        Some("thumbv7em") => (0, 0x2000_0000, 0x2100_0000),
        Some("thumbv6m") => (0, 0x2000_0000, 0x2000_0000),
        Some("riscv32imac" | "riscv32imafc") => (0x8000_0000, 0x8080_0000, 0x8080_0000),
        _ => return,
    };
    for budget in budgets {
        write_memory_map(flash, if budget.ram > 4096 { large_ram } else { ram }, budget);
    }
}

/// Writes a file into the folder of the build script.
pub fn write_output(name: &str, contents: &[u8]) {
    let path = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join(name);
    fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("OUT_DIR can be written to");
    fs::write(path, contents).expect("OUT_DIR can be written to");
}

/// Writes `memory.x`, which the linker script includes, into a folder that only this program's linker searches. The stack is below the
/// statics: if it outgrows its place, it runs out of RAM and faults instead of overwriting them.
fn write_memory_map(flash_at: u32, ram_at: u32, Budget { program, flash, ram, stack }: &Budget) {
    let (statics_at, statics) = (ram_at + stack * 1024, ram - stack);
    let map = format!(
        "MEMORY {{\n  FLASH : ORIGIN = {flash_at:#x}, LENGTH = {flash}K\n  RAM : ORIGIN = {statics_at:#x}, LENGTH = {statics}K\n}}\n\
         _stack_end = {ram_at:#x};\n_stack_start = {statics_at:#x};\n"
    );
    write_output(&format!("{program}/memory.x"), map.as_bytes());
    println!("cargo:rustc-link-arg-bin={program}=-L{}/{program}", env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    // For riscv.x.
    println!("cargo:rustc-link-arg-bin={program}=-L{}/..", env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
}
