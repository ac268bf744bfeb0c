//! Prepares LeNet as an image for the program's flash, as `fooling models export --engine` does, and gives the program its memory map.

extern crate alloc;

#[allow(dead_code)] // Only the digest of outputs is used.
#[path = "../common/src/digest.rs"]
mod digest;
#[path = "../memory.rs"]
mod memory;
#[allow(dead_code)] // Only LeNet is used.
#[path = "../programs/src/networks.rs"]
mod networks;

use memory::{Budget, write_memory_maps, write_output};

/// The limits that docs/PORTING.md states, in KiB.
const BUDGET: Budget = Budget { program: "whole", flash: 2048, ram: 512, stack: 16 };

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../programs/src/networks.rs");
    println!("cargo:rerun-if-changed=../../../host/models/lenet.onnx");
    write_output("lenet.bin", &networks::lenet_image().expect("LeNet has only layers that an image supports"));
    write_memory_maps(&[BUDGET]);
}
