//! The PID namespace whose process ids /proc shows.

use std::{
    fs,
    os::{linux::fs::MetadataExt, unix::ffi::OsStrExt},
};

/// A PID namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PidNamespace {
    /// The initial one of the machine. BPF programs get its process ids from the kernel.
    Initial,
    /// Another one, identified by the device and the inode of its file.
    Other {
        /// `dev_t` inside the kernel: twelve bits of the major number, then twenty of the minor (include/linux/kdev_t.h).
        device: u64,
        /// Inode number.
        inode: u64,
    },
}

/// `PROC_PID_INIT_INO` of include/linux/proc_ns.h, the same since v3.8; in include/uapi/linux/nsfs.h since v6.18.
const INITIAL: &[u8] = b"pid:[4026531836]";

/// Returns the namespace of /proc, which is that of its process 1. If that process may not be inspected, and /proc shows us
/// under our own id, it is our own namespace. If /proc does not show us so, it was mounted outside.
pub fn of_proc() -> PidNamespace {
    read("/proc/1/ns/pid").unwrap_or_else(|| {
        let id = fs::read_link("/proc/self").unwrap_or_default();
        if id.as_os_str().as_bytes() != std::process::id().to_string().as_bytes() {
            return PidNamespace::Initial;
        }
        // A kernel without PID namespaces has one.
        read("/proc/self/ns/pid").unwrap_or(PidNamespace::Initial)
    })
}

fn read(file: &str) -> Option<PidNamespace> {
    let name = fs::read_link(file).ok()?;
    let name = name.as_os_str().as_bytes();
    if name == INITIAL {
        return Some(PidNamespace::Initial);
    }
    // Linux 5.10 gives an empty name for a process that may not be inspected.
    if name.is_empty() {
        return None;
    }
    let file = fs::metadata(file).ok()?;
    let (major, minor) = (libc::major(file.st_dev()), libc::minor(file.st_dev()));
    Some(PidNamespace::Other { device: u64::from(major) << 20 | u64::from(minor), inode: file.st_ino() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_kind_of_namespace_is_not_the_initial_one() {
        let inode = fs::metadata("/proc/self/ns/mnt").map(|file| file.st_ino());
        let Ok(inode) = inode else { return };
        assert!(
            matches!(read("/proc/self/ns/mnt"), Some(PidNamespace::Other { inode: other, .. }) if other == inode)
        );
        assert_eq!(read("/proc/self/ns/none"), None);
        let name = fs::read_link("/proc/self/ns/pid").expect("the link of mnt exists, too");
        let is_initial = name.as_os_str().as_bytes() == INITIAL;
        assert_eq!(read("/proc/self/ns/pid") == Some(PidNamespace::Initial), is_initial);
    }
}
