//! Wrappers for system calls that std does not offer. Only these modules have `unsafe` code.

// Unit tests count what they allocate: `heap`.
#[cfg(not(test))]
mod allocator;
pub mod bpf;
pub mod capability;
pub mod cgroup;
pub mod clock;
#[cfg(test)]
pub mod coverage;
pub mod epoll;
pub mod folder;
#[cfg(test)]
pub mod heap;
pub mod interfaces;
pub mod kcmp;
pub mod kernel;
pub mod keys;
pub mod limit;
pub mod mapped;
pub mod memory;
pub mod netlink;
pub mod out_of;
pub mod pid_namespace;
pub mod poll;
pub mod ring;
pub mod seccomp;
pub mod signal;
pub mod stack;
pub mod standard;
pub mod time_namespace;
pub mod timer;
pub mod tty;
pub mod zone;
mod zone_file;

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd},
};

/// Converts the result of a system call that returns a descriptor.
fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Converts the result of syscall(2) for a call that returns a descriptor.
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

/// Handles the failure of a read that does not block. Returns an error unless there was just nothing to read.
fn nothing_yet() -> io::Result<()> {
    let error = io::Error::last_os_error();
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}

/// Reads a 64-bit number by its halves while the kernel or one of its programs may write it; `read(true)` reads the upper
/// half. (The JIT compilers of 32-bit ARM and of little-endian MIPS store the lower half, then the upper one:
/// arch/arm/net/bpf_jit_32.c `emit_str_r`, arch/mips/net/bpf_jit_comp32.c `emit_stx`, v6.1. The latter stores the upper half
/// first in big-endian order: there, on several CPUs, a reading in between would be 4 GiB too much.)
///
/// If the number only grows, the result is never too high: a lower half counts only if the upper half was the same before and
/// after it. The result is 4 GiB too low if the program has stored only the lower half so far. The table keeps the highest
/// number that it has read, so such a reading changes nothing.
fn whole(mut read: impl FnMut(bool) -> u32) -> u64 {
    let mut upper = read(true);
    loop {
        let lower = read(false);
        let again = read(true);
        if again == upper {
            return u64::from(upper) << 32 | u64::from(lower);
        }
        upper = again;
    }
}

/// Returns the number of bytes of a page.
pub fn page_size() -> usize {
    // SAFETY: a call without pointers.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a counter that grows from one value to another by two stores. `stores` says before which reads these happen.
    fn read_while_it_grows(from: u64, to: u64, stores: [usize; 2]) -> u64 {
        let mut reads = 0;
        whole(|is_upper| {
            let [lower, upper] = stores.map(|store| if reads >= store { to } else { from });
            reads += 1;
            let half = if is_upper { upper >> 32 } else { lower & u64::from(u32::MAX) };
            u32::try_from(half).expect("32 bits")
        })
    }

    #[test]
    fn a_counter_read_in_halves_is_never_too_high() {
        const FROM: u64 = 0x1_ffff_ff00;
        const TO: u64 = 0x2_0000_0100;
        for lower in 0..5 {
            for upper in lower..6 {
                let read = read_while_it_grows(FROM, TO, [lower, upper]);
                let half_way = TO - (1 << 32);
                assert!([FROM, TO, half_way].contains(&read), "{read:x}: stores before {lower}, {upper}");
            }
        }
        assert_eq!(read_while_it_grows(FROM, TO, [0, 0]), TO);
        assert_eq!(read_while_it_grows(FROM, TO, [9, 9]), FROM);
    }
}
