//! The machine: one of these files, each with the same functions.

#[cfg_attr(target_arch = "arm", path = "cortex_m.rs")]
#[cfg_attr(target_arch = "riscv32", path = "riscv.rs")]
#[cfg_attr(target_arch = "wasm32", path = "wasm.rs")]
#[cfg_attr(target_os = "linux", path = "linux.rs")]
mod machine;

#[cfg(target_os = "none")]
mod semihosting;

pub use machine::*;
