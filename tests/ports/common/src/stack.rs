//! Measures the depth of the stack: paints its free part, runs, and looks how much paint is left.

use crate::platform;
use core::hint::black_box;

const PAINT: u32 = 0xA5C3_5A3C;

/// Bytes right below the painter's own frame that it leaves alone: the frames of its callees, of which there are many without optimisation.
const MARGIN: usize = if cfg!(debug_assertions) { 1024 } else { 128 };

/// Paints the free stack.
#[inline(never)]
pub(crate) fn paint() {
    let end = here() - MARGIN;
    let mut word = platform::stack_end();
    while word < end {
        // SAFETY: the word is in the stack, and below every frame in use.
        unsafe { (word as *mut u32).write_volatile(PAINT) };
        word += size_of::<u32>();
    }
}

/// Bytes touched, including the margin: from the top to the lowest word that is not paint.
#[inline(never)]
pub(crate) fn used() -> usize {
    let mut word = platform::stack_end();
    // SAFETY: the word is in the stack: the loop ends in the frames in use, at the latest.
    while unsafe { (word as *const u32).read_volatile() } == PAINT {
        word += size_of::<u32>();
    }
    platform::stack_start() - word
}

/// The size of the stack in bytes.
pub(crate) fn size() -> usize {
    platform::stack_start() - platform::stack_end()
}

/// An address in the current frame, aligned to a word.
#[inline(always)]
pub(crate) fn here() -> usize {
    let local = 0_u32;
    black_box(&raw const local) as usize
}
