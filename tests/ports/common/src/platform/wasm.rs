//! WebAssembly: the host calls the exported `start` and provides a console, an exit and a clock (see wasm.mjs).

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    /// Prints the bytes at an address.
    fn print(address: *const u8, length: usize);
    /// Does not return: the host throws.
    safe fn quit(status: i32) -> !;
    /// Nanoseconds since an arbitrary moment.
    safe fn nanoseconds() -> f64;
}

unsafe extern "C" {
    /// The ends of the stack, from the linker: at the bottom of memory, growing down from `__stack_high`.
    static __stack_high: u8;
}

/// The unit of [`elapsed`].
pub const UNIT: &str = "ns";

/// Writes to the host's standard output.
pub fn write(bytes: &[u8]) {
    // SAFETY: the host reads `length` bytes at `address`, which belong to us.
    unsafe { print(bytes.as_ptr(), bytes.len()) }
}

/// Ends the program; the host exits with 0 if `ok`, else with 1.
pub fn exit(ok: bool) -> ! {
    quit(i32::from(!ok))
}

/// The clock now, for [`elapsed`].
pub fn ticks() -> u64 {
    nanoseconds() as u64
}

/// Nanoseconds between two readings.
pub fn elapsed(before: u64, after: u64) -> u64 {
    after.wrapping_sub(before)
}

/// The lowest address of the stack; not 0, which would be a null pointer. WebAssembly also has a call stack that cannot be measured.
pub fn stack_end() -> usize {
    16
}

/// The address just above the stack.
pub fn stack_start() -> usize {
    (&raw const __stack_high) as usize
}
