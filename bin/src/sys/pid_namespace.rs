//! The PID namespace whose process ids /proc shows.

use std::{
    fs,
    os::{linux::fs::MetadataExt, unix::ffi::OsStrExt},
};

/// Which namespace it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PidNamespace {
    /// The machine's first one: its ids are those that the kernel tells BPF programs.
    Initial,
    /// Another one, by the device and the inode of its file, as the kernel numbers them.
    Other {
        /// `dev_t` inside the kernel: twelve bits of the major number, then twenty of the minor (include/linux/kdev_t.h).
        device: u64,
        /// Inode number.
        inode: u64,
    },
}

/// `PROC_PID_INIT_INO` of include/linux/proc_ns.h, the same since v3.8; in include/uapi/linux/nsfs.h since v6.18.
const INITIAL: &[u8] = b"pid:[4026531836]";

/// The namespace of /proc: that of its process 1, or where that may not be inspected, our own.
pub fn of_proc() -> PidNamespace {
    let file = ["/proc/1/ns/pid", "/proc/self/ns/pid"].into_iter().find_map(|file| {
        let name = fs::read_link(file).ok()?;
        Some((name, fs::metadata(file).ok()?))
    });
    match file {
        Some((name, file)) if name.as_os_str().as_bytes() != INITIAL => {
            let device = file.st_dev();
            let (major, minor) = (libc::major(device), libc::minor(device));
            PidNamespace::Other { device: u64::from(major) << 20 | u64::from(minor), inode: file.st_ino() }
        }
        // A kernel without PID namespaces has one.
        _ => PidNamespace::Initial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_there() {
        if let PidNamespace::Other { inode, .. } = of_proc() {
            assert!(inode > 0);
        }
    }
}
