//! Runs code on a larger stack than the limit allows, in a second thread: pthread_create(3).
//!
//! `std::thread` does the same, but takes 25 KB of the binary.

use std::{
    io,
    mem::MaybeUninit,
    ptr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// A function and, after its call, what it returned.
struct Work<T> {
    function: fn() -> T,
    /// It may be called.
    begins: AtomicBool,
    result: Option<T>,
}

/// Calls `function` in a thread with a stack of this many bytes, and waits for its end. Before the function begins, this
/// thread calls `first`, whose effect on this thread does not reach the new one.
///
/// # Errors
/// There is no memory for the thread, or there may be no more threads.
pub fn call_with<T: Send>(bytes: usize, function: fn() -> T, first: impl FnOnce()) -> io::Result<T> {
    let mut work = Work { function, begins: AtomicBool::new(false), result: None };
    let work_of_thread = &raw mut work;
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: the attributes are initialised first, and `work` outlives the thread, for which this one waits. Both use it
    // through this pointer, and this thread only what is atomic.
    let error = unsafe {
        libc::pthread_attr_init(attributes.as_mut_ptr());
        libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), bytes);
        let error =
            libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), begin::<T>, work_of_thread.cast());
        first();
        (*work_of_thread).begins.store(true, Relaxed);
        if error == 0 { libc::pthread_join(thread.assume_init(), ptr::null_mut()) } else { error }
    };
    work.result.ok_or_else(|| io::Error::from_raw_os_error(error))
}

extern "C" fn begin<T>(work: *mut libc::c_void) -> *mut libc::c_void {
    let work = work.cast::<Work<T>>();
    // SAFETY: the caller of pthread_create has passed this type, and waits. It touches only `begins` meanwhile.
    unsafe {
        // That takes some microseconds.
        while !(*work).begins.load(Relaxed) {
            libc::sched_yield();
        }
        let result = ((*work).function)();
        (&raw mut (*work).result).write(Some(result));
    }
    ptr::null_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_returned_comes_back() {
        let wide = || {
            let room = std::hint::black_box([7u8; 200_000]);
            room.iter().map(|byte| usize::from(*byte)).sum::<usize>()
        };
        let mut first = false;
        assert_eq!(call_with(512 * 1024, wide, || first = true).expect("a thread"), 1_400_000);
        assert!(first);
    }
}
