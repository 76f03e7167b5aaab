//! Which process a socket belongs to: the hooks that run in process context.

use core::mem::MaybeUninit;

use aya_ebpf::{
    Global,
    bindings::{BPF_ANY, bpf_sock, bpf_sock_addr},
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
        generated::{bpf_get_current_comm, bpf_get_socket_cookie},
    },
};
use tcptop_abi::{COMM_LEN, Owner, Socket, SocketFlags};

use crate::{
    local,
    maps::{SOCKETS, stats},
    ring, sock,
    zero::zeroed,
};

/// The process this hook runs in.
#[inline(always)]
fn current(pid_tgid: u64) -> Owner {
    Owner {
        tgid: (pid_tgid >> 32) as u32,
        tid: pid_tgid as u32,
        uid: bpf_get_current_uid_gid() as u32,
        comm: comm(),
    }
}

/// 1: the kernel lets us read thread names, which takes CAP_PERFMON besides CAP_BPF. Userspace sets it before loading;
/// with 0 the verifier never sees the call, and userspace asks /proc for the name.
#[unsafe(no_mangle)]
static READ_COMM: Global<u8> = Global::new(0);

/// The current thread's name. The helper fills every byte (kernel/bpf/helpers.c `bpf_get_current_comm`, v6.1), so the
/// buffer is not cleared before: that would be a call of `memset`, whose loop the verifier refuses without
/// CAP_PERFMON.
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

/// What is known of a socket's owner; all zero when nothing is.
#[inline(always)]
pub fn known(cookie: u64) -> Owner {
    // SAFETY: a value of the map, read as plain integers; a concurrent writer can only mix two owners' fields.
    unsafe { SOCKETS.get(cookie) }.map_or(zeroed(), |socket| socket.owner)
}

/// Userspace hears of this socket: so it must hear of its release. Returns the owner, as far as it is known.
#[inline(always)]
pub fn mark_reported(cookie: u64) -> Owner {
    if SOCKETS.get_ptr(cookie).is_none() {
        remember(cookie, &Socket { owner: zeroed(), flags: SocketFlags::REPORTED });
    }
    mark_reported_if_known(cookie)
}

/// Likewise, but a socket that no hook has seen is left alone: its release is told of anyway.
#[inline(always)]
pub fn mark_reported_if_known(cookie: u64) -> Owner {
    let Some(socket) = SOCKETS.get_ptr_mut(cookie) else { return zeroed() };
    // SAFETY: a live map value; the flag is only ever set.
    unsafe {
        (*socket).flags |= SocketFlags::REPORTED;
        (*socket).owner
    }
}

#[inline(always)]
fn remember(cookie: u64, socket: &Socket) {
    if SOCKETS.insert(cookie, socket, BPF_ANY as u64).is_err() {
        stats(|stats| stats.sockets_full += 1);
    }
}

#[inline(always)]
fn cookie_of<T>(ctx: *mut T) -> u64 {
    // SAFETY: the program's own context, as the helper demands.
    unsafe { bpf_get_socket_cookie(ctx.cast()) }
}

/// socket(2): its caller owns what it made, until another process connects or sends.
#[inline(always)]
pub fn created(sk: *mut bpf_sock) {
    if sock::is_tcp(sk) || sock::is_udp(sk) {
        let owner = current(bpf_get_current_pid_tgid());
        remember(cookie_of(sk), &Socket { owner, flags: 0 });
    }
}

/// connect(2), or a datagram sent or received: the caller owns the socket now.
#[inline(always)]
pub fn used(addr: *mut bpf_sock_addr) {
    let cookie = cookie_of(addr);
    let pid_tgid = bpf_get_current_pid_tgid();
    match SOCKETS.get_ptr_mut(cookie) {
        Some(socket) => {
            // SAFETY: a live map value; concurrent writers each store one process, the last one stays.
            unsafe {
                if (*socket).owner.tgid != (pid_tgid >> 32) as u32 {
                    (*socket).owner = current(pid_tgid);
                }
            }
        }
        None => remember(cookie, &Socket { owner: current(pid_tgid), flags: 0 }),
    }
}

/// The last close(2). The only moment at which the owner of an accepted socket shows itself.
#[inline(always)]
pub fn released(sk: *mut bpf_sock) {
    let tcp = sock::is_tcp(sk);
    if !tcp && !sock::is_udp(sk) {
        return;
    }
    let cookie = cookie_of(sk);
    if tcp {
        local::released(cookie);
    }
    let pid_tgid = bpf_get_current_pid_tgid();
    // SAFETY: a live map value, read only.
    let known = unsafe { SOCKETS.get(cookie) }.copied();
    let owner = known.map_or(zeroed(), |socket| socket.owner);
    let flags = known.map_or(0, |socket| socket.flags);
    // An accepted socket has no owner so far: its connection gets its name now, whether it has ended or not.
    let is_news = tcp && owner.tgid != (pid_tgid >> 32) as u32;
    if !is_news && flags & SocketFlags::REPORTED == 0 {
        let _ = SOCKETS.remove(cookie);
        return;
    }
    // UDP flows belong to who used their socket, whoever closes it.
    let teller = if !tcp && owner.is_known() { owner } else { current(pid_tgid) };
    if !ring::released(cookie, teller) {
        let owner = if owner.is_known() { owner } else { teller };
        remember(cookie, &Socket { owner, flags: flags | SocketFlags::RELEASED });
    } else if known.is_some() {
        let _ = SOCKETS.remove(cookie);
    }
}
