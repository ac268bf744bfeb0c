//! What every ported program needs from its machine, so that the programs are written once.
//!
//! Job: start on bare metal, on Linux without a C library, or in a wasm host; lend the program its storage; print its report; measure the
//! stack it used; exit with its result. Contract: no heap, no std, and nothing that could change a byte of what the program computes.
//!
//! A port to a new machine is one more file in `platform/`: [`platform::write`], [`platform::exit`], [`platform::ticks`],
//! [`platform::stack_end`], and code at reset that calls the program's `start`.

#![no_std]

pub mod cases;
mod digest;
pub mod platform;
mod report;
mod stack;

pub use digest::{Digest, Digestible};
pub use report::{Failure, Report};

use core::fmt::Write;
use core::panic::PanicInfo;

/// Makes `$body` the program of this binary, and lends it the only static `$Storage`.
///
/// `$body` is a `fn(&mut $Storage, &mut Report) -> Result<(), Failure>`; `$Storage` has a `const EMPTY: Self`. If that is all zeros, it
/// takes RAM only (`.bss`); anything else is stored in flash as well (`.data`).
#[macro_export]
macro_rules! program {
    ($body:ident, $Storage:ty) => {
        /// Called once, by the platform, after reset.
        #[unsafe(no_mangle)]
        extern "C" fn start() {
            static mut STORAGE: $Storage = <$Storage>::EMPTY;
            // SAFETY: the platform calls `start` once and nothing interrupts it, so this is the only reference.
            let storage = unsafe { &mut *::core::ptr::addr_of_mut!(STORAGE) };
            $crate::run(|report| $body(storage, report))
        }
    };
}

/// Runs a program and exits with 0 if it returned `Ok`, or with 1 if it failed or panicked. Called by [`program!`].
pub fn run(program: impl FnOnce(&mut Report) -> Result<(), Failure>) {
    stack::paint();
    let mut report = Report::new();
    let result = program(&mut report);
    report.finish(stack::used(), stack::size());
    if let Err(Failure(why)) = result {
        report.line(format_args!("failed {why}"));
    }
    platform::exit(result.is_ok())
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    // The location without the message: formatting any message costs a microcontroller kilobytes of flash.
    let mut console = report::Console;
    let _ = match info.location() {
        Some(place) => writeln!(console, "failed panic at {}:{}", place.file(), place.line()),
        None => writeln!(console, "failed panic"),
    };
    platform::exit(false)
}
