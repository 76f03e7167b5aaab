//! Finds out which process a socket belongs to, in the hooks that run in process context.

use core::{arch::asm, ptr::write_volatile};

use aya_ebpf::{
    bindings::{bpf_sock, bpf_sock_addr},
    helpers::bpf_get_current_pid_tgid,
};
use tcptop_abi::{ClaimCode, Flow, FlowFlags, TcpStateCode as State};

use crate::{
    destination, flow,
    maps::{overflowed, stats},
    process::{current, is_kernel_worker},
    ring, sock,
    sock::{Address, field},
    socket,
    state::SocketState,
    words,
};

/// socket(2). The caller owns the new socket until another process connects it or sends from it.
#[inline(always)]
pub fn created(sk: *mut bpf_sock) {
    if (sock::is_tcp(sk) || sock::is_udp(sk))
        && let Some(state) = socket::make(sk, sk)
    {
        state.owner = current(bpf_get_current_pid_tgid());
    }
}

/// Makes the current process the owner of a socket. Returns true if another process was the owner before.
#[inline(always)]
fn take_over(state: &mut SocketState) -> bool {
    let pid_tgid = bpf_get_current_pid_tgid();
    if state.owner.tgid == (pid_tgid >> 32) as u32 {
        return false;
    }
    let user = current(pid_tgid);
    if state.owner.is_known() && is_kernel_worker(&user) {
        return false;
    }
    // Several CPUs may write at the same time. The process that was written last stays.
    state.owner = user;
    state.claim = ClaimCode::USED;
    true
}

/// sendmsg(2) on a UDP socket that is not connected. The caller becomes the owner.
#[inline(always)]
pub fn sent(addr: *mut bpf_sock_addr, to: Address) {
    let cookie = socket::cookie(addr);
    destination::record(addr, cookie, to);
    use_socket(addr, cookie);
}

/// connect(2). The caller becomes the owner.
#[inline(always)]
pub fn connected(addr: *mut bpf_sock_addr) {
    use_socket(addr, socket::cookie(addr));
}

#[inline(always)]
fn use_socket(addr: *mut bpf_sock_addr, cookie: u64) {
    let sk = field!(addr, __bindgen_anon_1.sk);
    if !sk.is_null()
        && let Some(state) = socket::find_or_make_stored(sk, cookie)
    {
        take_over(state);
    }
}

/// accept(2), getpeername(2) or getsockname(2). The caller has the connection open now, and becomes the owner of a connection
/// that was accepted. A connection that was opened by connect(2) keeps its owner.
#[inline(always)]
pub fn address_asked(addr: *mut bpf_sock_addr) {
    let sk = field!(addr, __bindgen_anon_1.sk);
    if sk.is_null() || !sock::is_tcp(sk) {
        return;
    }
    let Some(state) = socket::find_or_make_stored(sk, socket::cookie(addr)) else { return };
    // Read the place only once: the connection may end meanwhile, and `ring::changed` must get the place of this flow.
    let place = field!(&raw const *state, place);
    let flow = flow::at(place, state.cookie);
    // SAFETY: a live map value.
    let flow = flow.and_then(|flow| unsafe { flow.as_mut() });
    let before = state.claim;
    if flow.as_ref().is_some_and(|flow| flow.flags & FlowFlags::ACTIVE_OPEN != 0)
        || !take_over(state) && before != ClaimCode::BY_LISTENER
    {
        return;
    }
    let claim = if before >= ClaimCode::ACCEPTED { ClaimCode::SHARED } else { ClaimCode::ACCEPTED };
    state.claim = claim;
    if let Some(flow) = flow {
        // SAFETY: two live map values.
        unsafe { words::copy(&raw const state.owner, &raw mut flow.owner) };
        flow.claim = claim;
        ring::changed(flow, place);
    }
}

/// The last close(2) of a socket. The process that closes an accepted connection last becomes its owner, because a server may
/// accept in one process and serve in another. But if the listening server closes a connection that another process has
/// accepted, that process stays the owner.
#[inline(always)]
pub fn released(sk: *mut bpf_sock) {
    let tcp = sock::is_tcp(sk);
    if !tcp && !sock::is_udp(sk) {
        return;
    }
    let tcp_state = field!(sk, state) as u8;
    // The FIN leaves after this hook, and may be the first packet that tcptop sees of an older connection. The egress hook
    // must then find who closed the socket, so the state is made here. In CLOSE, LISTEN, SYN_SENT and FIN_WAIT2 the socket has
    // no FIN to send, and nothing would remove the state.
    let fin_follows = !matches!(tcp_state, State::CLOSE | State::LISTEN | State::SYN_SENT | State::FIN_WAIT2);
    let mut state = socket::find_own(sk, sk);
    // If the table is full, there may be no flow by which a hash entry would be removed later.
    if state.is_none() && tcp && fin_follows && (socket::has_storage() || !overflowed()) {
        state = socket::make(sk, sk);
    }
    let Some(state) = state else { return };
    let has_flow = mark_released(state, tcp, tcp_state);
    // In other cases the end of the connection removes the state.
    if !tcp || tcp_state == State::CLOSE || !has_flow && !fin_follows {
        socket::forget(state);
    }
}

/// Marks the flow of a socket whose last descriptor was closed. Returns false if the socket has no flow.
#[inline(always)]
fn mark_released(state: &mut SocketState, tcp: bool, tcp_state: u8) -> bool {
    state.released = Flow::RELEASED;
    let mut place = field!(&raw const *state, place);
    let mut found = flow::at(place, state.cookie);
    let counts = found.is_some();
    if !counts {
        place = field!(&raw const *state, quiet_place);
        found = flow::at(place, state.cookie);
    }
    // SAFETY: a live map value.
    let Some(flow) = found.and_then(|flow| unsafe { flow.as_mut() }) else {
        if !state.owner.is_known() {
            state.owner = current(bpf_get_current_pid_tgid());
        }
        return false;
    };
    if !flow.owner.is_known() || tcp && flow.flags & FlowFlags::ACTIVE_OPEN == 0 {
        name_closer(flow, state);
    }
    let released = if !tcp && state.had_other_flow() { Flow::RELEASED_WITH_OTHERS } else { Flow::RELEASED };
    // The owner must be stored before: userspace may read and end the flow as soon as `released` is set.
    // SAFETY: the first is no instruction, and keeps the compiler from moving stores across it. The second writes to a live
    // map value.
    unsafe {
        asm!("");
        write_volatile(&raw mut flow.released, released);
    }
    // End the flow here if no callback reports its end. A socket that is still connecting sends nothing when it closes.
    let reports = flow.flags & FlowFlags::STATE_EVENTS != 0;
    let has_ended = tcp && counts && (tcp_state == State::CLOSE || tcp_state == State::SYN_SENT && !reports);
    if has_ended {
        stats(|stats| stats.lost_callbacks += reports as u64);
        flow::end(flow, state, place);
    }
    if has_ended || !reports {
        ring::changed(flow, place);
    }
    true
}

/// Makes the current process, which closes the socket, the owner of the flow. [`released`] explains the exception.
#[inline(always)]
fn name_closer(flow: &mut Flow, state: &SocketState) {
    let pid_tgid = bpf_get_current_pid_tgid();
    let tgid = (pid_tgid >> 32) as u32;
    if tgid == flow.owner.tgid || flow.claim >= ClaimCode::ACCEPTED && tgid == state.listener {
        return;
    }
    let closer = current(pid_tgid);
    if !flow.owner.is_known() || !is_kernel_worker(&closer) {
        flow.owner = closer;
    }
}
