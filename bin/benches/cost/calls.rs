//! Counts the system calls of a process, except those that read /proc and those that write.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::FileExt,
    time::Duration,
};

use crate::trace::{self, Call};

/// The kinds of calls that have their own columns.
const KINDS: [(&str, &[libc::c_long]); 3] = [
    ("bpf", &[libc::SYS_bpf]),
    ("epoll_wait", &[libc::SYS_epoll_pwait]),
    ("read", &[libc::SYS_read, libc::SYS_readv, libc::SYS_pread64]),
];

/// The calls that write.
const WRITES: [libc::c_long; 3] = [libc::SYS_write, libc::SYS_writev, libc::SYS_pwrite64];
/// The calls whose first argument is a descriptor.
const OF_DESCRIPTOR: [libc::c_long; 8] = [
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_fcntl,
];
/// The calls whose second argument is a path, relative to the descriptor in the first one.
const OF_PATH_AT: [libc::c_long; 3] = [libc::SYS_openat, libc::SYS_readlinkat, libc::SYS_statx];
/// The calls whose first argument is a path. Newer architectures lack them.
#[cfg(any(target_arch = "x86_64", target_arch = "arm"))]
const OF_PATH: &[libc::c_long] = &[libc::SYS_open, libc::SYS_readlink, libc::SYS_stat, libc::SYS_access];
#[cfg(not(any(target_arch = "x86_64", target_arch = "arm")))]
const OF_PATH: &[libc::c_long] = &[];

/// Counts the calls that a process makes within this time, by kind.
pub fn count(pid: u32, time: Duration) -> BTreeMap<&'static str, u64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is alive").count();
    assert_eq!(threads, 1, "the tracer follows one thread only");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("root may read it");
    let mut kinds = BTreeMap::new();
    trace::calls(pid, time, |call| {
        if !WRITES.contains(&call.number) && !of_proc(pid, &memory, call) {
            let kind = KINDS.iter().find(|(_, numbers)| numbers.contains(&call.number));
            *kinds.entry(kind.map_or("other", |(kind, _)| kind)).or_default() += 1;
        }
    });
    kinds
}

/// Returns whether a call reads /proc: its path begins there, or its descriptor has a file there open.
fn of_proc(pid: u32, memory: &File, call: &Call) -> bool {
    let descriptor = |number: u64| {
        let link = fs::read_link(format!("/proc/{pid}/fd/{number}"));
        link.is_ok_and(|path| path.starts_with("/proc"))
    };
    let path = |address: u64| {
        let mut start = [0; 6];
        // A shorter path may be at the end of the memory, so fewer bytes are fine.
        let length = memory.read_at(&mut start, address).unwrap_or(0);
        start[..length].to_vec()
    };
    let [first, second, ..] = call.arguments;
    if OF_DESCRIPTOR.contains(&call.number) {
        descriptor(first)
    } else if OF_PATH_AT.contains(&call.number) {
        let path = path(second);
        if path.starts_with(b"/") {
            path.starts_with(b"/proc/") || path == b"/proc\0"
        } else {
            descriptor(first)
        }
    } else {
        OF_PATH.contains(&call.number) && path(first).starts_with(b"/proc/")
    }
}
