//! The system calls that std has no word for. The only rooms with `unsafe`.

pub mod bpf;
pub mod capability;
pub mod cgroup;
pub mod clock;
pub mod epoll;
pub mod kcmp;
pub mod kernel;
pub mod limit;
pub mod mapped;
pub mod memory;
pub mod pid_namespace;
pub mod poll;
pub mod signal;
pub mod timer;
pub mod tty;

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd},
};

/// The result of a system call that returns a descriptor.
fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Likewise, of syscall(2).
fn descriptor(result: libc::c_long) -> io::Result<OwnedFd> {
    owned(libc::c_int::try_from(result).unwrap_or(-1))
}

/// Runs a system call again while a signal interrupts it.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
