//! getrlimit(2) and setrlimit(2): limits of open files, of locked memory and of the stack.

use std::{io, mem::MaybeUninit};

/// Checks that this process can open `count` more files.
///
/// # Errors
/// `EMFILE`: it cannot. Others: those of epoll_create1(2) and dup(2).
pub fn can_open(count: usize) -> io::Result<()> {
    // SAFETY: a call without pointers.
    let first = super::owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    let mut more = Vec::with_capacity(count);
    for _ in 1..count {
        more.push(first.try_clone()?);
    }
    Ok(())
}

/// Returns how many bytes this process may lock; `None`: no limit.
pub fn lockable() -> Option<u64> {
    let limit = get(libc::RLIMIT_MEMLOCK).ok()?.rlim_cur;
    #[allow(clippy::useless_conversion, reason = "the conversion is one on some targets only")]
    (limit != libc::RLIM_INFINITY).then(|| limit.into())
}

/// Lets the stack of the first thread grow to this many bytes. The kernel checks the limit whenever the stack grows (mm/vma.c
/// `acct_stack_growth`, v6.18). Returns false if this process may not raise the limit that far.
pub fn widen_stack(bytes: libc::rlim_t) -> bool {
    let Ok(limit) = get(libc::RLIMIT_STACK) else { return true };
    // Beyond the hard limit it takes CAP_SYS_RESOURCE.
    let raised = libc::rlimit { rlim_cur: bytes, rlim_max: limit.rlim_max.max(bytes) };
    limit.rlim_cur >= bytes || set(libc::RLIMIT_STACK, &raised).is_ok()
}

/// The type of a resource's number with glibc. It differs between C libraries.
#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
/// The type of a resource's number with other C libraries.
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

/// Runs `work` while every attempt to open a file fails with EMFILE. What is open stays open.
///
/// # Errors
/// getrlimit(2)'s and setrlimit(2)'s.
pub fn without_opening<T>(work: impl FnOnce() -> T) -> io::Result<T> {
    let before = get(libc::RLIMIT_NOFILE)?;
    set(libc::RLIMIT_NOFILE, &libc::rlimit { rlim_cur: 0, rlim_max: before.rlim_max })?;
    let result = work();
    set(libc::RLIMIT_NOFILE, &before)?;
    Ok(result)
}

fn get(resource: Resource) -> io::Result<libc::rlimit> {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: the kernel fills `limit` when it returns 0.
    unsafe {
        match libc::getrlimit(resource, limit.as_mut_ptr()) {
            0 => Ok(limit.assume_init()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn set(resource: Resource, limit: &libc::rlimit) -> io::Result<()> {
    // SAFETY: `limit` outlives the call.
    match unsafe { libc::setrlimit(resource, limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
