//! Which process a socket belongs to: the hooks that run in process context.

use core::mem::MaybeUninit;

use aya_ebpf::{
    Global,
    bindings::{bpf_sock, bpf_sock_addr},
    helpers::{bpf_get_current_pid_tgid, bpf_get_current_uid_gid, generated::bpf_get_current_comm},
};
use tcptop_abi::{COMM_LEN, Flow, FlowFlags, Owner, TcpStateCode as State};

use crate::{flow, ring, sock, sock::field, socket, state::SocketState, words, words::zeroed};

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

/// socket(2): its caller owns what it made, until another process connects or sends.
#[inline(always)]
pub fn created(sk: *mut bpf_sock) {
    if (sock::is_tcp(sk) || sock::is_udp(sk))
        && let Some(state) = socket::find_or_make(sk, sk)
    {
        state.owner = current(bpf_get_current_pid_tgid());
    }
}

/// The process of this hook is from now on the one that last used a socket. True: it was another one before.
#[inline(always)]
fn take_over(state: &mut SocketState) -> bool {
    let pid_tgid = bpf_get_current_pid_tgid();
    let is_new = state.owner.tgid != (pid_tgid >> 32) as u32;
    if is_new {
        // Concurrent writers each store one process; the last one stays.
        state.owner = current(pid_tgid);
    }
    is_new
}

/// connect(2), or a datagram sent: the caller owns the socket now.
#[inline(always)]
pub fn used(addr: *mut bpf_sock_addr) {
    let sk = field!(addr, __bindgen_anon_1.sk);
    if !sk.is_null()
        && let Some(state) = socket::find_or_store(sk, addr)
    {
        take_over(state);
    }
}

/// accept(2), or a question for a socket's address: the caller has an accepted connection open now. A connection that a
/// process has made stays with that one.
#[inline(always)]
pub fn held(addr: *mut bpf_sock_addr) {
    let sk = field!(addr, __bindgen_anon_1.sk);
    if sk.is_null() || !sock::is_tcp(sk) {
        return;
    }
    let Some(state) = socket::find_or_store(sk, addr) else { return };
    let flow = flow::at(state.place, state.cookie);
    // SAFETY: a live map value.
    let flow = flow.and_then(|flow| unsafe { flow.as_mut() });
    if flow.as_ref().is_some_and(|flow| flow.flags & FlowFlags::ACTIVE_OPEN != 0) || !take_over(state) {
        return;
    }
    if let Some(flow) = flow {
        // SAFETY: two live map values.
        unsafe { words::copy(&raw const state.owner, &raw mut flow.owner) };
        ring::changed(flow, state.place);
    }
}

/// The last close(2). The process that closes an accepted connection last is taken for its owner.
#[inline(always)]
pub fn released(sk: *mut bpf_sock) {
    let tcp = sock::is_tcp(sk);
    if !tcp && !sock::is_udp(sk) {
        return;
    }
    // The FIN of a connection older than tcptop may be its first packet seen, and leaves after this: it must find who
    // closed the socket.
    let open = !matches!(field!(sk, state) as u8, State::CLOSE | State::LISTEN);
    let state = if tcp && open { socket::find_or_make(sk, sk) } else { socket::find(sk, sk) };
    let Some(state) = state else { return };
    mark_released(state, tcp);
    // A connection that is still open is forgotten when it ends.
    if !tcp || field!(sk, state) as u8 == State::CLOSE {
        socket::forget(state.cookie);
    }
}

/// Marks the flow of a socket whose last descriptor is closed, if there is one.
#[inline(always)]
fn mark_released(state: &mut SocketState, tcp: bool) {
    state.released = Flow::RELEASED;
    let mut place = state.place;
    let mut found = flow::at(place, state.cookie);
    if found.is_none() {
        place = state.quiet_place;
        found = flow::at(place, state.cookie);
    }
    // SAFETY: a live map value.
    let Some(flow) = found.and_then(|flow| unsafe { flow.as_mut() }) else {
        if !state.owner.is_known() {
            state.owner = current(bpf_get_current_pid_tgid());
        }
        return;
    };
    flow.released = if state.several != 0 { Flow::RELEASED_WITH_OTHERS } else { Flow::RELEASED };
    if !flow.owner.is_known() || tcp && flow.flags & FlowFlags::ACTIVE_OPEN == 0 {
        flow.owner = current(bpf_get_current_pid_tgid());
    }
    if flow.flags & FlowFlags::STATE_EVENTS == 0 {
        ring::changed(flow, place);
    }
}
