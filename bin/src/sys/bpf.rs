//! The commands of bpf(2) that aya does not offer.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

/// The programs that are attached to one hook of a cgroup.
#[derive(Debug, PartialEq, Eq)]
pub struct Attached {
    /// The flags with which they were attached, `BPF_F_*`; 0 if the hook is empty.
    pub flags: u32,
    /// Ids of the first programs.
    pub ids: Vec<u32>,
}

impl Attached {
    /// Returns the id of a program that excludes others, because it was attached without `BPF_F_ALLOW_MULTI`
    /// (kernel/bpf/cgroup.c `__cgroup_bpf_attach`, v6.1).
    pub fn exclusive(&self) -> Option<u32> {
        const BPF_F_ALLOW_MULTI: u32 = 1 << 1;
        self.ids.first().copied().filter(|_| self.flags & BPF_F_ALLOW_MULTI == 0)
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

/// Asks which programs are attached to a hook of a cgroup: `BPF_PROG_QUERY`.
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

/// The part of `union bpf_attr` that `BPF_PROG_LOAD` needs.
#[repr(C, align(8))]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
}

/// Loads the smallest program for packets of a cgroup, and unloads it: `BPF_PROG_LOAD`.
///
/// # Errors
/// The kernel loads no program. The error says why.
pub fn try_load() -> io::Result<()> {
    const BPF_PROG_LOAD: libc::c_int = 5;
    const BPF_PROG_TYPE_CGROUP_SKB: u32 = 8;
    // r0 = 1; exit.
    let insns: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 1, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];
    let attr = Load {
        prog_type: BPF_PROG_TYPE_CGROUP_SKB,
        insn_cnt: 2,
        insns: (&raw const insns).addr() as u64,
        license: c"GPL".as_ptr().addr() as u64,
    };
    // SAFETY: a whole attribute, with as many instructions as it says and a string that ends with NUL.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attr, size_of::<Load>()) };
    super::descriptor(result).map(drop)
}

/// The part of `union bpf_attr` that `BPF_OBJ_GET_INFO_BY_FD` needs.
#[repr(C, align(8))]
struct Ask {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// The beginning of `struct bpf_link_info`, of a link to a cgroup.
#[repr(C, align(8))]
#[derive(Default)]
struct LinkInfo {
    link_type: u32,
    id: u32,
    prog_id: u32,
    pad: u32,
    cgroup_id: u64,
    attach_type: u32,
    end: u32,
}

/// Returns true if a link to a cgroup still attaches its program: `BPF_OBJ_GET_INFO_BY_FD`, for links since Linux 5.8. A link
/// that was detached has no cgroup any more (kernel/bpf/cgroup.c `bpf_cgroup_link_fill_link_info`, v6.1).
///
/// # Errors
/// The kernel's. They do not say whether the program is attached.
pub fn is_attached(link: BorrowedFd<'_>) -> io::Result<bool> {
    const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
    const INFO_LEN: u32 = 32;
    const { assert!(size_of::<LinkInfo>() == INFO_LEN as usize) };
    let mut info = LinkInfo::default();
    let attr = Ask {
        bpf_fd: link.as_raw_fd().cast_unsigned(),
        info_len: INFO_LEN,
        info: (&raw mut info).addr() as u64,
    };
    // SAFETY: a whole attribute, whose answer has the length given.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &raw const attr, size_of::<Ask>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(info.cgroup_id != 0) }
}

/// The part of `union bpf_attr` that `BPF_LINK_CREATE` needs, Linux 5.7.
#[repr(C)]
struct Create {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
}

/// Attaches a program to a cgroup beside others, until the link is closed: `BPF_LINK_CREATE`.
///
/// aya usually makes a link too. But if it takes the kernel to be older than 5.7, as on Raspberry Pi OS (it reads
/// `1:6.12.47-1+rpt1` as version 1), it attaches the program permanently, and excludes others.
///
/// # Errors
/// `EINVAL` without CONFIG_CGROUP_BPF or for an unknown type, `EPERM` without CAP_NET_ADMIN or beside a program that
/// excludes others.
pub fn link(program: BorrowedFd<'_>, cgroup: BorrowedFd<'_>, attach_type: u32) -> io::Result<OwnedFd> {
    const BPF_LINK_CREATE: libc::c_int = 28;
    let attr = Create {
        prog_fd: program.as_raw_fd().cast_unsigned(),
        target_fd: cgroup.as_raw_fd().cast_unsigned(),
        attach_type,
        flags: 0,
    };
    // SAFETY: a whole attribute.
    super::descriptor(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_LINK_CREATE, &raw const attr, size_of::<Create>())
    })
}
