//! A small allocator for agents that want `alloc`: blocks of powers of two, kept in lists when they are given back.
//!
//! What it does depends on nothing but the calls made, so a run and its replay use the same addresses.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;

/// Log2 of the smallest block.
const SMALLEST: u32 = 4;
/// How many sizes of blocks there are: the largest has 2 GiB.
const SIZES: usize = 28;
const PAGE_BYTES: usize = 1 << 16;

/// The heap that `tickwork::agent!(..., allocator)` makes the global allocator.
///
/// A block is rounded up to a power of two and at least 16 bytes, and goes back into the list of its size. Nothing is
/// merged.
pub struct Heap(UnsafeCell<Lists>);

struct Lists {
    /// First free block of each size; its first word is the address of the next one.
    free: [*mut u8; SIZES],
    /// Memory that was never given out: from here up to the end of the module's memory.
    next: usize,
}

// SAFETY: a module has one thread.
unsafe impl Sync for Heap {}

impl Heap {
    /// Returns a heap from which nothing was taken.
    #[expect(clippy::new_without_default, reason = "it stands in a static, where only const functions may be called")]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(Lists { free: [ptr::null_mut(); SIZES], next: 0 }))
    }
}

/// Returns which list a block belongs to.
fn place(layout: Layout) -> usize {
    let bytes = layout.size().max(layout.align()).max(1 << SMALLEST);
    (usize::BITS - (bytes - 1).leading_zeros() - SMALLEST) as usize
}

// SAFETY: a block is aligned to its size, which is at least the alignment, and is in one list or with one owner.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: nothing else refers to the lists while a call runs.
        let lists = unsafe { &mut *self.0.get() };
        let place = place(layout);
        let Some(first) = lists.free.get_mut(place).filter(|_| layout.align() <= PAGE_BYTES) else {
            return ptr::null_mut();
        };
        if first.is_null() {
            return lists.fresh(1 << (place as u32 + SMALLEST));
        }
        let block = *first;
        // SAFETY: a free block begins with the address of the next one.
        *first = unsafe { block.cast::<*mut u8>().read() };
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: nothing else refers to the lists while a call runs, and the block is nobody's any more.
        unsafe {
            let first = &mut (*self.0.get()).free[place(layout)];
            block.cast::<*mut u8>().write(*first);
            *first = block;
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise: `size` is not 0 and fits.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if place(wanted) == place(layout) {
            return block;
        }
        // SAFETY: two blocks do not overlap, and both have the bytes that are copied.
        unsafe {
            let moved = self.alloc(wanted);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

impl Lists {
    /// Returns a block that nobody had before, or null where the memory may not grow so far.
    fn fresh(&mut self, bytes: usize) -> *mut u8 {
        if self.next == 0 {
            self.next = heap_begin();
        }
        // A large block need not start at a multiple of its size: no alignment above a page is given.
        let start = self.next.next_multiple_of(bytes.min(PAGE_BYTES));
        let Some(end) = start.checked_add(bytes) else { return ptr::null_mut() };
        let missing = end.saturating_sub(memory_bytes());
        if missing > 0 && !grow(missing.div_ceil(PAGE_BYTES)) {
            return ptr::null_mut();
        }
        self.next = end;
        start as *mut u8
    }
}

#[cfg(target_arch = "wasm32")]
fn heap_begin() -> usize {
    unsafe extern "C" {
        static __heap_base: u8;
    }
    &raw const __heap_base as usize
}

#[cfg(target_arch = "wasm32")]
fn memory_bytes() -> usize {
    core::arch::wasm32::memory_size(0) * PAGE_BYTES
}

#[cfg(target_arch = "wasm32")]
fn grow(pages: usize) -> bool {
    core::arch::wasm32::memory_grow(0, pages) != usize::MAX
}

#[cfg(not(target_arch = "wasm32"))]
fn heap_begin() -> usize {
    0
}

#[cfg(not(target_arch = "wasm32"))]
fn memory_bytes() -> usize {
    0
}

#[cfg(not(target_arch = "wasm32"))]
fn grow(_pages: usize) -> bool {
    false
}
