//! setrlimit(2): a while in which this process can open no file.

use std::{io, mem::MaybeUninit};

/// Runs `work` while every attempt to open a file fails with EMFILE. What is open stays open.
///
/// # Errors
/// getrlimit(2)'s and setrlimit(2)'s.
pub fn without_opening<T>(work: impl FnOnce() -> T) -> io::Result<T> {
    let before = get()?;
    set(&libc::rlimit { rlim_cur: 0, rlim_max: before.rlim_max })?;
    let result = work();
    set(&before)?;
    Ok(result)
}

fn get() -> io::Result<libc::rlimit> {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: the kernel fills `limit` when it returns 0.
    unsafe {
        match libc::getrlimit(libc::RLIMIT_NOFILE, limit.as_mut_ptr()) {
            0 => Ok(limit.assume_init()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn set(limit: &libc::rlimit) -> io::Result<()> {
    // SAFETY: `limit` outlives the call.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
