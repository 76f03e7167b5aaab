//! bpf(2), where aya has no word for it.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// What is attached to one hook of a cgroup.
#[derive(Debug, PartialEq, Eq)]
pub struct Attached {
    /// The flags that it was attached with, `BPF_F_*`; 0 of an empty hook.
    pub flags: u32,
    /// Ids of the first programs.
    pub ids: Vec<u32>,
}

impl Attached {
    /// The program that keeps others away: attached neither with `BPF_F_ALLOW_MULTI` nor with `BPF_F_ALLOW_OVERRIDE`
    /// (kernel/bpf/cgroup.c `hierarchy_allows_attach` and `__cgroup_bpf_attach`, v6.1).
    pub fn exclusive(&self) -> Option<u32> {
        self.ids.first().copied().filter(|_| self.flags == 0)
    }
}

/// The part of `union bpf_attr` that `BPF_PROG_QUERY` knows since Linux 4.15.
#[repr(C, align(8))]
struct Query {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    pad: u32,
}

/// Asks what is attached to a cgroup: `BPF_PROG_QUERY`.
///
/// # Errors
/// `ENOSYS` without CONFIG_BPF_SYSCALL, `EINVAL` without CONFIG_CGROUP_BPF or for an unknown type, `EPERM` without
/// CAP_NET_ADMIN.
pub fn query(cgroup: BorrowedFd<'_>, attach_type: u32) -> io::Result<Attached> {
    const BPF_PROG_QUERY: libc::c_int = 16;
    const ROOM: u32 = 64;
    let mut ids = [0u32; ROOM as usize];
    let mut attr = Query {
        target_fd: cgroup.as_raw_fd().cast_unsigned(),
        attach_type,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: (&raw mut ids).addr() as u64,
        prog_cnt: ROOM,
        pad: 0,
    };
    // SAFETY: a whole attribute, whose array has the length given.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, &raw mut attr, size_of::<Query>()) };
    let error = io::Error::last_os_error();
    // ENOSPC: there are more, and the array is full.
    if result < 0 && error.raw_os_error() != Some(libc::ENOSPC) {
        return Err(error);
    }
    let count = ids.len().min(attr.prog_cnt as usize);
    Ok(Attached { flags: attr.attach_flags, ids: ids[..count].to_vec() })
}
