//! TCP lifecycle: `sock_ops` callbacks, and the state changes they report.

use aya_ebpf::{
    bindings::{
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, BPF_SOCK_OPS_STATE_CB,
        BPF_SOCK_OPS_STATE_CB_FLAG, BPF_SOCK_OPS_TCP_CONNECT_CB, BPF_SOCK_OPS_TCP_LISTEN_CB, bpf_sock,
        bpf_sock_ops,
    },
    helpers::generated::{bpf_ktime_get_boot_ns, bpf_sock_ops_cb_flags_set, bpf_tcp_sock as tcp_sock},
};
use tcptop_abi::{Flow, FlowFlags, TcpStateCode as State};

use crate::{
    flow,
    maps::flow_table_full,
    ring,
    sock::field,
    socket,
    state::{NO_PLACE, SocketState},
    tcp,
};

/// One callback. Most are questions about the connection's parameters, which are none of our business.
#[inline(always)]
pub fn callback(ops: *mut bpf_sock_ops) {
    let op = field!(ops, op);
    match op {
        BPF_SOCK_OPS_TCP_CONNECT_CB
        | BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB
        | BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB
        | BPF_SOCK_OPS_TCP_LISTEN_CB => began(ops, op),
        BPF_SOCK_OPS_STATE_CB => state_changed(ops),
        _ => {}
    }
}

#[inline(always)]
fn socket(ops: *mut bpf_sock_ops) -> Option<*mut bpf_sock> {
    let sk = field!(ops, __bindgen_anon_2.sk);
    (!sk.is_null()).then_some(sk)
}

/// Asks the kernel to report this socket's state changes, without taking away what other programs asked for.
#[inline(always)]
fn ask_for_states(ops: *mut bpf_sock_ops) {
    let flags = field!(ops, bpf_sock_ops_cb_flags);
    if flags & BPF_SOCK_OPS_STATE_CB_FLAG == 0 {
        // SAFETY: the program's own context.
        unsafe { bpf_sock_ops_cb_flags_set(ops, (flags | BPF_SOCK_OPS_STATE_CB_FLAG) as i32) };
    }
}

/// A connection or a listener begins.
///
/// connect(2) calls back before the SYN: the socket's sequence numbers are not set yet (net/ipv4/tcp_output.c
/// `tcp_connect`, v6.1), so nothing is read. A connection that is accepted appears with its handshake complete; its change
/// of state is reported right after. A listener has an entry for its address and owner, in which no packet counts: the
/// handshakes of its connections leave through it.
#[inline(always)]
fn began(ops: *mut bpf_sock_ops, op: u32) {
    let Some(sk) = socket(ops) else { return };
    ask_for_states(ops);
    let Some(state) = socket::find_or_make(sk, ops) else {
        flow_table_full();
        return;
    };
    let (kind, tcp_state) = match op {
        BPF_SOCK_OPS_TCP_CONNECT_CB => (FlowFlags::ACTIVE_OPEN, State::SYN_SENT),
        BPF_SOCK_OPS_TCP_LISTEN_CB => (FlowFlags::LISTENER, State::LISTEN),
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => (FlowFlags::ACTIVE_OPEN, field!(sk, state) as u8),
        _ => (FlowFlags::PASSIVE_OPEN, field!(sk, state) as u8),
    };
    let flags = kind | FlowFlags::STATE_EVENTS;
    if op == BPF_SOCK_OPS_TCP_CONNECT_CB {
        // The peer's FIN of an earlier connection of this socket.
        state.fin_seen = 0;
    } else if op != BPF_SOCK_OPS_TCP_LISTEN_CB
        && let Some(flow) = flow::at(state.place, state.cookie)
    {
        // SAFETY: a live map value, written under the socket lock.
        unsafe { (*flow).flags |= flags };
        return;
    }
    if let Some(new) = tcp::describe(state, sk, flags, tcp_state) {
        if op == BPF_SOCK_OPS_TCP_LISTEN_CB {
            state.place = NO_PLACE;
            state.quiet_place = new.place;
        } else {
            state.place = new.place;
        }
    }
}

#[inline(always)]
fn state_changed(ops: *mut bpf_sock_ops) {
    let old = field!(ops, __bindgen_anon_1.args[0]) as u8;
    let new = field!(ops, __bindgen_anon_1.args[1]) as u8;
    if new == State::SYN_SENT || new == State::LISTEN {
        // These have callbacks of their own, at a moment when the addresses are set.
        return;
    }
    let Some(sk) = socket(ops) else { return };
    let Some(state) = socket::find(sk, ops) else { return };
    let listener = old == State::LISTEN;
    // Each is loaded by itself: the verifier refuses to choose an address without CAP_PERFMON.
    let (counting, quiet) = (field!(state, place), field!(state, quiet_place));
    let place = if listener { quiet } else { counting };
    let Some(flow) = flow::at(place, state.cookie) else {
        if new == State::CLOSE {
            socket::forget(state.cookie);
        }
        return;
    };
    // SAFETY: a live map value, written under the socket lock.
    let flow = unsafe { &mut *flow };
    flow.flags |= FlowFlags::STATE_EVENTS;
    if new == State::ESTABLISHED {
        // The handshake has set the sequence numbers: the next segment that leaves is not counted by its header alone.
        flow.read_at = flow.read_at.wrapping_sub(1);
    } else if !listener && !matches!(new, State::FIN_WAIT1 | State::FIN_WAIT2 | State::TIME_WAIT) {
        // The FIN that leads to the first of these is read where it leaves; the other two change no counter.
        // SAFETY: not null.
        let tp = unsafe { tcp_sock(sk) };
        if tp.is_null() {
            return;
        }
        let closed_by_peer = matches!(new, State::CLOSE_WAIT | State::CLOSING | State::LAST_ACK);
        tcp::read(flow, state, tp, None, if closed_by_peer { FlowFlags::FIN_RECEIVED } else { 0 });
    }
    if new == State::CLOSE {
        end(flow, state, place);
    } else {
        flow.state = new;
    }
    ring::changed(flow, place);
}

/// A connection has ended, or a listener. Its entry stays, with its final counters, until userspace has taken them. A
/// later packet or connection of the same socket belongs to another flow.
#[inline(always)]
fn end(flow: &mut Flow, state: &mut SocketState, place: u32) {
    // SAFETY: a helper without arguments.
    flow.ended = unsafe { bpf_ktime_get_boot_ns() };
    flow.state = State::CLOSE;
    state.place = NO_PLACE;
    state.quiet_place = place;
    // A socket that a process has open may connect once more, and its close is seen.
    if state.released != 0 || !state.owner.is_known() {
        socket::forget(state.cookie);
    }
}
