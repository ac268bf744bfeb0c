//! 32-bit RISC-V without a runtime crate: our own `_start`, `minstret` counts, semihosting prints.

pub use super::semihosting::{exit, write};
use core::arch::{asm, global_asm};

// `_start`: sets up a stack, a trap handler, the floating-point unit if there is one (mstatus.FS = initial), and a cleared .bss.
global_asm!(
    ".section .text.start, \"ax\"",
    ".global _start",
    "_start:",
    "la sp, _stack_start",
    "la t0, trap",
    "csrw mtvec, t0",
    "li t0, 0x2000",
    "csrs mstatus, t0",
    "la t0, _bss_start",
    "la t1, _bss_end",
    "1: bgeu t0, t1, 2f",
    "sw zero, 0(t0)",
    "addi t0, t0, 4",
    "j 1b",
    "2: call start",
    ".balign 4",
    "trap: la sp, _stack_start",
    "call trapped",
);

unsafe extern "C" {
    /// The ends of the stack, from riscv.x: it grows down from `_stack_start`.
    static _stack_start: u32;
    static _stack_end: u32;
}

/// A trap, for example after a stack overflow. It starts with an empty stack, and does not return.
#[unsafe(no_mangle)]
extern "C" fn trapped() -> ! {
    write(b"failed trap\n");
    exit(false)
}

/// The unit of [`elapsed`].
pub const UNIT: &str = "instructions";

/// Instructions since reset, modulo 2^32.
pub fn ticks() -> u64 {
    let retired: u32;
    // SAFETY: reads a counter.
    unsafe { asm!("csrr {}, minstret", out(reg) retired, options(nomem, nostack)) };
    u64::from(retired)
}

/// Instructions between two readings that are less than 2^32 apart.
pub fn elapsed(before: u64, after: u64) -> u64 {
    after.wrapping_sub(before) & u64::from(u32::MAX)
}

/// The lowest address of the stack.
pub fn stack_end() -> usize {
    (&raw const _stack_end) as usize
}

/// The address just above the stack.
pub fn stack_start() -> usize {
    (&raw const _stack_start) as usize
}
