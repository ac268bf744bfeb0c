//! A heap for a program that prepares networks, each of which is dropped before the next one is made. Blocks are placed one after another;
//! freed memory is used again only if the last block or all blocks have been freed.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::null_mut;

/// The size in bytes. Preparing LeNet needs the most.
const SIZE: usize = 12 << 20;

/// The bytes have a cell of their own, because blocks of them are in use while the counts change.
#[repr(C, align(64))]
struct Heap {
    bytes: UnsafeCell<[u8; SIZE]>,
    counts: UnsafeCell<Counts>,
}

struct Counts {
    /// Where the next block starts.
    used: usize,
    /// Blocks that have not been freed.
    live: usize,
}

// SAFETY: the programs have one thread, and no interrupts.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap { bytes: UnsafeCell::new([0; SIZE]), counts: UnsafeCell::new(Counts { used: 0, live: 0 }) };

// SAFETY: blocks do not overlap: a block starts at `used` or later, and `used` is never below the end of a live block.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread, and no reference to the counts outlives a call.
        let counts = unsafe { &mut *self.counts.get() };
        let base = self.bytes.get().cast::<u8>();
        let start = (base as usize + counts.used).next_multiple_of(layout.align()) - base as usize;
        if SIZE - start.min(SIZE) < layout.size() {
            return null_mut();
        }
        counts.used = start + layout.size();
        counts.live += 1;
        // SAFETY: inside `bytes`.
        unsafe { base.add(start) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        let counts = unsafe { &mut *self.counts.get() };
        let start = block as usize - self.bytes.get() as usize;
        counts.live -= 1;
        if counts.live == 0 {
            counts.used = 0;
        } else if start + layout.size() == counts.used {
            counts.used = start;
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        {
            // SAFETY: as above.
            let counts = unsafe { &mut *self.counts.get() };
            let start = block as usize - self.bytes.get() as usize;
            if size <= layout.size() || start + layout.size() == counts.used && SIZE - start >= size {
                if start + layout.size() == counts.used {
                    counts.used = start + size;
                }
                return block;
            }
        }
        // SAFETY: the caller keeps the contract of the trait; the new block is another one.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                block.copy_to_nonoverlapping(new, layout.size());
                self.dealloc(block, layout);
            }
            new
        }
    }
}
