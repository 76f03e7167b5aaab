//! Reads which process a hook runs in, and announces it.

use core::{
    mem::MaybeUninit,
    ptr::{read_volatile, write_volatile},
};

use aya_ebpf::{
    Global,
    bindings::bpf_pidns_info,
    helpers::{
        bpf_get_current_uid_gid,
        generated::{
            bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_ns_current_pid_tgid,
            bpf_ktime_get_boot_ns,
        },
    },
};
use tcptop_abi::{COMM_LEN, Owner};

use crate::{
    maps::{ANNOUNCED, ANNOUNCED_ENTRIES, is_eager, may_wake},
    ring,
    words::zeroed,
};

/// Device and inode of the PID namespace whose process ids are reported; inode 0: the initial namespace. Userspace sets both
/// before loading. Any namespace but the initial one needs Linux 6.10.
#[unsafe(no_mangle)]
static PID_NAMESPACE_DEVICE: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static PID_NAMESPACE_INODE: Global<u64> = Global::new(0);

/// Returns the id of the current process in the chosen PID namespace, or 0 if it has none there.
#[inline(always)]
fn chosen_id(tgid: u32) -> u32 {
    let inode = PID_NAMESPACE_INODE.load();
    if inode == 0 {
        return tgid;
    }
    let mut ids = MaybeUninit::<bpf_pidns_info>::uninit();
    // SAFETY: the buffer has the length passed, and the helper fills it with zeros when it fails.
    unsafe {
        bpf_get_ns_current_pid_tgid(
            PID_NAMESPACE_DEVICE.load(),
            inode,
            ids.as_mut_ptr(),
            size_of::<bpf_pidns_info>() as u32,
        );
        ids.assume_init().tgid
    }
}

/// Returns the process in which this hook runs, and announces it. The function is inlined into each hook, because the JIT
/// compilers of 32-bit CPUs do not support calls between functions of a program.
#[inline(always)]
pub fn current(pid_tgid: u64) -> Owner {
    let (tgid, tid) = ((pid_tgid >> 32) as u32, pid_tgid as u32);
    let pid = chosen_id(tgid);
    let other_thread = if tid == tgid { 0 } else { Owner::OTHER_THREAD };
    // SAFETY: helpers without arguments.
    let (now, cgroup) = unsafe { (bpf_ktime_get_boot_ns(), bpf_get_current_cgroup_id()) };
    let seen = (now >> Owner::SEEN_SHIFT) as u32;
    announce(pid, other_thread != 0, seen);
    let uid = bpf_get_current_uid_gid() as u32;
    Owner { tgid, pid: pid | other_thread, uid, seen, cgroup, comm: comm() }
}

/// Announces a process if userspace must read more about it from /proc than a hook knows. Userspace must do so soon, because
/// the process may exit. A process is announced about once per second at most.
#[inline(always)]
fn announce(pid: u32, is_other_thread: bool, seen: u32) {
    const SECOND_SHIFT: u32 = 30 - Owner::SEEN_SHIFT;
    if pid == 0 || !is_other_thread && !is_eager() {
        return;
    }
    let announcement = (pid as u64) << 32 | (seen >> SECOND_SHIFT) as u64;
    // Two processes may share this entry. Then both are announced more often.
    let Some(last) = ANNOUNCED.get_ptr_mut(pid % ANNOUNCED_ENTRIES) else { return };
    // SAFETY: a live map value, an aligned integer. Two CPUs may announce the same process.
    unsafe {
        if read_volatile(last) != announcement {
            write_volatile(last, announcement);
            ring::process(pid, may_wake());
        }
    }
}

/// Returns true for a thread of the kernel's workqueues. Such a thread works for other processes: it connects the further
/// paths of an MPTCP connection, and closes the sockets that a process has left to io_uring.
#[inline(always)]
pub fn is_kernel_worker(owner: &Owner) -> bool {
    const NAME: u64 = u64::from_ne_bytes(*b"kworker/");
    // SAFETY: half of the name, which begins at a multiple of eight bytes.
    let begin = unsafe { (&raw const owner.comm).cast::<u64>().read_volatile() };
    begin == NAME && owner.uid == 0
}

/// 1: the programs may read thread names, which needs CAP_PERFMON besides CAP_BPF. Userspace sets this before loading. With 0
/// the verifier does not see the call, and userspace reads the name from /proc.
#[unsafe(no_mangle)]
static READ_COMM: Global<u8> = Global::new(0);

/// Returns the current thread's name. The helper fills every byte (kernel/bpf/helpers.c `bpf_get_current_comm`, v6.1), so the
/// buffer is not cleared first. Clearing it would call `memset`, whose loop the verifier refuses without CAP_PERFMON.
#[inline(always)]
fn comm() -> [u8; COMM_LEN] {
    if READ_COMM.load() == 0 {
        return zeroed::<Owner>().comm;
    }
    let mut comm = MaybeUninit::<[u8; COMM_LEN]>::uninit();
    // SAFETY: the buffer has the length passed, and the helper initialises it even when it fails.
    unsafe {
        bpf_get_current_comm(comm.as_mut_ptr().cast(), COMM_LEN as u32);
        comm.assume_init()
    }
}
