//! TCP lifecycle: `sock_ops` callbacks, and the state changes they report.

use aya_ebpf::{
    bindings::{
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, BPF_SOCK_OPS_STATE_CB,
        BPF_SOCK_OPS_STATE_CB_FLAG, BPF_SOCK_OPS_TCP_CONNECT_CB, BPF_SOCK_OPS_TCP_LISTEN_CB, bpf_sock,
        bpf_sock_ops,
    },
    helpers::generated::{bpf_get_socket_cookie, bpf_sock_ops_cb_flags_set, bpf_tcp_sock as tcp_sock},
};
use tcptop_abi::{Flow, FlowFlags, IPPROTO_TCP, TcpStateCode as State};

use crate::{
    maps::{TCP_FLOWS, epoch},
    owner,
    ring::{self, Change},
    sock,
    sock::field,
    tcp,
    zero::zeroed,
};

/// One callback. Most are questions about the connection's parameters, which are none of our business.
#[inline(always)]
pub fn callback(ops: *mut bpf_sock_ops) {
    match field!(ops, op) {
        BPF_SOCK_OPS_TCP_CONNECT_CB => connecting(ops),
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => established(ops, FlowFlags::ACTIVE_OPEN),
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => established(ops, FlowFlags::PASSIVE_OPEN),
        BPF_SOCK_OPS_STATE_CB => state_changed(ops),
        BPF_SOCK_OPS_TCP_LISTEN_CB => listening(ops),
        _ => {}
    }
}

#[inline(always)]
fn socket(ops: *mut bpf_sock_ops) -> Option<(u64, *mut bpf_sock)> {
    let sk = field!(ops, __bindgen_anon_2.sk);
    if sk.is_null() {
        return None;
    }
    // SAFETY: the program's own context.
    Some((unsafe { bpf_get_socket_cookie(ops.cast()) }, sk))
}

/// Asks the kernel to report this socket's state changes, without taking away what other programs asked for.
#[inline(always)]
fn ask_for_states(ops: *mut bpf_sock_ops) {
    let flags = field!(ops, bpf_sock_ops_cb_flags) | BPF_SOCK_OPS_STATE_CB_FLAG;
    // SAFETY: the program's own context.
    unsafe { bpf_sock_ops_cb_flags_set(ops, flags as i32) };
}

/// connect(2), before the SYN: the socket's sequence numbers are not set yet (net/ipv4/tcp_output.c `tcp_connect`,
/// v6.1), so nothing is read.
#[inline(always)]
fn connecting(ops: *mut bpf_sock_ops) {
    let Some((cookie, sk)) = socket(ops) else { return };
    ask_for_states(ops);
    let flags = FlowFlags::ACTIVE_OPEN | FlowFlags::STATE_EVENTS;
    if let Some(flow) = tcp::insert(cookie, sk, flags, State::SYN_SENT)
        && !tell(cookie, flow, State::CLOSE, State::SYN_SENT)
    {
        // SAFETY: a live map value, written under the socket lock.
        unsafe { (*flow).flags |= FlowFlags::UNTOLD };
    }
}

/// The handshake is complete. The accepting side appears here; its change of state is reported right after.
#[inline(always)]
fn established(ops: *mut bpf_sock_ops, side: u32) {
    let Some((cookie, sk)) = socket(ops) else { return };
    ask_for_states(ops);
    let flags = side | FlowFlags::STATE_EVENTS;
    match TCP_FLOWS.get_ptr_mut(cookie) {
        // SAFETY: a live map value, written under the socket lock.
        Some(flow) => unsafe { (*flow).flags |= flags },
        None => {
            tcp::insert(cookie, sk, flags, field!(sk, state) as u8);
        }
    }
}

#[inline(always)]
fn state_changed(ops: *mut bpf_sock_ops) {
    let old = field!(ops, __bindgen_anon_1.args[0]) as u8;
    let new = field!(ops, __bindgen_anon_1.args[1]) as u8;
    if new == State::SYN_SENT || new == State::LISTEN || old == State::LISTEN {
        // These have callbacks of their own, at a moment when the addresses are set; a listener has no flow.
        return;
    }
    let Some((cookie, sk)) = socket(ops) else { return };
    let Some(flow) = TCP_FLOWS.get_ptr_mut(cookie) else { return };
    // SAFETY: not null.
    let tp = unsafe { tcp_sock(sk) };
    if tp.is_null() {
        return;
    }
    // SAFETY: a live map value, written under the socket lock.
    let flow = unsafe { &mut *flow };
    tcp::read(flow, tp, None);
    flow.flags |= FlowFlags::STATE_EVENTS;
    if matches!(new, State::CLOSE_WAIT | State::CLOSING | State::LAST_ACK) {
        flow.flags |= FlowFlags::FIN_RECEIVED;
    }
    flow.state = new;
    flow.epoch = epoch();
    if !tell(cookie, flow, old, new) {
        // The entry stays, closed or not, for userspace to find.
        flow.flags |= FlowFlags::UNTOLD;
    } else if new == State::CLOSE {
        let _ = TCP_FLOWS.remove(cookie);
    } else {
        flow.flags &= !FlowFlags::UNTOLD;
    }
}

/// listen(2): accepted sockets without a known owner are shown under their listener's.
#[inline(always)]
fn listening(ops: *mut bpf_sock_ops) {
    let Some((cookie, sk)) = socket(ops) else { return };
    owner::mark_reported(cookie);
    let listener =
        Flow { protocol: IPPROTO_TCP, state: State::LISTEN, ends: sock::endpoints(sk), ..zeroed() };
    tell(cookie, &listener, State::CLOSE, State::LISTEN);
}

#[inline(always)]
fn tell(cookie: u64, flow: *const Flow, old_state: u8, new_state: u8) -> bool {
    let owner = owner::known(cookie);
    ring::state(Some(flow), &Change { cookie, owner, old_state, new_state, released: 0 })
}
