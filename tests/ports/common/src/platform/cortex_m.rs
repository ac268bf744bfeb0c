//! Cortex-M: cortex-m-rt starts the program, `SysTick` counts, semihosting prints.

pub use super::semihosting::{exit, write};

unsafe extern "C" {
    /// The program, from `program!`.
    safe fn start();
    /// The ends of the stack, from cortex-m-rt's linker script: it grows down from `_stack_start`.
    static _stack_start: u32;
    static _stack_end: u32;
}

/// The unit of [`elapsed`].
pub const UNIT: &str = "instructions";

/// `SysTick` counts down in 24 bits.
const RELOAD: u32 = 0x00ff_ffff;
const SYST_CSR: *mut u32 = 0xe000_e010 as *mut u32;
const SYST_RVR: *mut u32 = 0xe000_e014 as *mut u32;
const SYST_CVR: *mut u32 = 0xe000_e018 as *mut u32;

/// The clock of the emulated machine in MHz: an MPS2 board, an nRF51. QEMU runs one instruction per nanosecond in any case.
const CLOCK: u64 = if cfg!(target_abi = "eabihf") { 25 } else { 16 };

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: every Cortex-M has these registers, and nothing else uses them.
    unsafe {
        SYST_RVR.write_volatile(RELOAD);
        SYST_CVR.write_volatile(0);
        SYST_CSR.write_volatile(0b101); // enabled, from the processor's clock, no interrupt
    }
    start();
    exit(false)
}

/// A fault, by default an endless loop: most likely a wrong address, caused by a stack that outgrew RAM.
#[cortex_m_rt::exception(trampoline = false)]
unsafe fn HardFault() -> ! {
    write(b"failed hard fault\n");
    exit(false)
}

/// The counter now, for [`elapsed`].
pub fn ticks() -> u64 {
    // SAFETY: as in `main`; reading changes nothing.
    u64::from(unsafe { SYST_CVR.read_volatile() })
}

/// Instructions between two readings that are less than 2^24 ticks apart: 670 million on the M4F, a billion on the M0.
pub fn elapsed(before: u64, after: u64) -> u64 {
    (before.wrapping_sub(after) & u64::from(RELOAD)) * 1000 / CLOCK
}

/// The lowest address of the stack.
pub fn stack_end() -> usize {
    (&raw const _stack_end) as usize
}

/// The address just above the stack.
pub fn stack_start() -> usize {
    (&raw const _stack_start) as usize
}
