//! Linux without a C library: our own `_start` and three system calls, for four CPUs.

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicUsize, Ordering};

// `_start`: the kernel has set a stack; align it and never return.
#[cfg(target_arch = "x86_64")]
global_asm!(".global _start", "_start:", "xor ebp, ebp", "and rsp, -16", "call enter");
#[cfg(target_arch = "x86")]
global_asm!(".global _start", "_start:", "xor ebp, ebp", "and esp, -16", "call enter");
#[cfg(target_arch = "aarch64")]
global_asm!(".global _start", "_start:", "bl enter");
#[cfg(target_arch = "powerpc")]
global_asm!(".global _start", "_start:", "li 0, 0", "stwu 0, -16(1)", "bl enter");

// The numbers of write, exit and clock_gettime.
#[cfg(target_arch = "x86_64")]
const CALLS: [usize; 3] = [1, 60, 228];
#[cfg(target_arch = "x86")]
const CALLS: [usize; 3] = [4, 1, 265];
#[cfg(target_arch = "aarch64")]
const CALLS: [usize; 3] = [64, 93, 113];
#[cfg(target_arch = "powerpc")]
const CALLS: [usize; 3] = [4, 1, 246];

/// Makes system call `number`; returns the kernel's result, which the callers ignore.
///
/// # Safety
///
/// The arguments must be valid for the call.
unsafe fn system_call(number: usize, a: usize, b: usize, c: usize) -> usize {
    let mut result = a;
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("syscall", inout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c,
            out("rcx") _, out("r11") _, options(nostack));
    }
    #[cfg(target_arch = "x86")]
    unsafe {
        asm!("int 0x80", inout("eax") number => result, in("ebx") a, in("ecx") b, in("edx") c, options(nostack));
    }
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("svc 0", in("x8") number, inout("x0") result, in("x1") b, in("x2") c, options(nostack));
    }
    #[cfg(target_arch = "powerpc")]
    unsafe {
        asm!("sc", inout("r0") number => _, inout("r3") result, inout("r4") b => _, inout("r5") c => _,
            out("r6") _, out("r7") _, out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
            out("cr0") _, out("ctr") _, out("xer") _, options(nostack));
    }
    result
}

/// The stack pointer on entry.
static STACK_START: AtomicUsize = AtomicUsize::new(0);

/// Bytes of the stack that we measure; the kernel provides more.
const STACK: usize = 256 * 1024;

/// The unit of [`elapsed`].
pub const UNIT: &str = "ns";

unsafe extern "C" {
    /// The program, from `program!`.
    safe fn start();
}

#[unsafe(no_mangle)]
extern "C" fn enter() -> ! {
    STACK_START.store(crate::stack::here(), Ordering::Relaxed);
    start();
    exit(false)
}

/// Writes to standard output.
pub fn write(bytes: &[u8]) {
    // SAFETY: write(1, address, length); the bytes belong to us.
    unsafe { system_call(CALLS[0], 1, bytes.as_ptr() as usize, bytes.len()) };
}

/// Ends the program with status 0 if `ok`, else with 1.
pub fn exit(ok: bool) -> ! {
    loop {
        // SAFETY: exit(status) accesses no memory.
        unsafe { system_call(CALLS[1], usize::from(!ok), 0, 0) };
    }
}

/// The clock now, in nanoseconds, for [`elapsed`].
pub fn ticks() -> u64 {
    let mut time = [0_usize; 2];
    // SAFETY: clock_gettime(CLOCK_MONOTONIC, &time); a timespec is two machine words on all four CPUs.
    unsafe { system_call(CALLS[2], 1, (&raw mut time) as usize, 0) };
    let [seconds, nanoseconds] = core::hint::black_box(time);
    seconds as u64 * 1_000_000_000 + nanoseconds as u64
}

/// Nanoseconds between two readings.
pub fn elapsed(before: u64, after: u64) -> u64 {
    after.wrapping_sub(before)
}

/// The lowest address of the stack that we measure.
pub fn stack_end() -> usize {
    stack_start() - STACK
}

/// The address of the stack on entry.
pub fn stack_start() -> usize {
    STACK_START.load(Ordering::Relaxed)
}
