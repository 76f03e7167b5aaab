//! capget(2): what this process may do.

use std::io;

/// Its effective capabilities, one bit each, numbered as in include/uapi/linux/capability.h.
///
/// # Errors
/// capget(2)'s: none are known.
pub fn effective() -> io::Result<u64> {
    /// `_LINUX_CAPABILITY_VERSION_3`, Linux 2.6.26: two words of 32 capabilities.
    const VERSION: u32 = 0x2008_0522;
    // Version and process; 0 is this one.
    let mut header = [VERSION, 0];
    // Effective, permitted, inheritable: the lower word's, then the upper one's.
    let mut data = [[0u32; 3]; 2];
    // SAFETY: the kernel writes the two words that this version has.
    let result = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), data.as_mut_ptr()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from(data[0][0]) | u64::from(data[1][0]) << 32)
}

/// The effective user.
pub fn user() -> u32 {
    // SAFETY: a call without pointers, which always succeeds.
    unsafe { libc::geteuid() }
}

/// Whether the effective user is 0.
pub fn is_root() -> bool {
    user() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_as_in_proc() {
        let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("Linux prints it");
        assert_eq!(Some(effective().expect("capget")), u64::from_str_radix(line.trim(), 16).ok());
    }
}
