//! Ends tcptop with a message when the system refuses memory, because of a limit of this process (`ulimit -v`) or because the
//! system does not overcommit.
//!
//! std ends a process by SIGABRT then, and a static build prints no message. A service manager must be able to distinguish a
//! lack of memory from a crash, and start tcptop again.

use std::alloc::{GlobalAlloc, Layout, System};

use crate::exit;

/// The system's allocator. If it has no memory, it ends the process.
struct Telling;

#[global_allocator]
static TELLING: Telling = Telling;

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Telling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's contract.
        given(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's contract.
        given(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: by the caller's contract.
        given(unsafe { System.realloc(block, layout, size) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: by the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

fn given(block: *mut u8) -> *mut u8 {
    if block.is_null() {
        end();
    }
    block
}

/// Ends the process with a message, without using more memory.
#[cold]
fn end() -> ! {
    const SAID: &[u8] = b"error: out of memory: free some, allow this process more, or count fewer connections with --flows\n";
    // SAFETY: a buffer and its length. _exit(2) runs nothing that would need memory.
    unsafe {
        libc::write(libc::STDERR_FILENO, SAID.as_ptr().cast(), SAID.len());
        libc::_exit(exit::OS.into())
    }
}
