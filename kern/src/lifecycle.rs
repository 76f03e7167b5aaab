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
    flow, local,
    maps::{epoch, flow_table_full},
    owner, ring, sock,
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

/// connect(2), before the SYN: the socket's sequence numbers are not set yet (net/ipv4/tcp_output.c `tcp_connect`,
/// v6.1), so nothing is read, and the SYN tells userspace.
#[inline(always)]
fn connecting(ops: *mut bpf_sock_ops) {
    let Some(sk) = socket(ops) else { return };
    ask_for_states(ops);
    if let Some(local) = local::made_for_tcp(sk, ops) {
        // The peer's FIN of an earlier connection of this socket.
        local.fin_seen = 0;
        let owner = owner::known(local.cookie);
        let flags = FlowFlags::ACTIVE_OPEN | FlowFlags::STATE_EVENTS;
        tcp::insert(local, sk, flags, State::SYN_SENT, owner);
    } else {
        flow_table_full();
    }
}

/// The handshake is complete. The accepting side appears here; its change of state is reported right after.
#[inline(always)]
fn established(ops: *mut bpf_sock_ops, side: u32) {
    let Some(sk) = socket(ops) else { return };
    ask_for_states(ops);
    let flags = side | FlowFlags::STATE_EVENTS;
    let Some(local) = local::made_for_tcp(sk, ops) else {
        flow_table_full();
        return;
    };
    match flow::at(local.slot, local.cookie) {
        // SAFETY: a live map value, written under the socket lock.
        Some(flow) => unsafe { (*flow).flags |= flags },
        None => {
            // Who accepts is not known before the close.
            tcp::insert(local, sk, flags, field!(sk, state) as u8, zeroed());
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
    let Some(sk) = socket(ops) else { return };
    let Some(local) = local::of_tcp(sk, ops) else { return };
    let Some(flow) = flow::at(local.slot, local.cookie) else { return };
    // SAFETY: a live map value, written under the socket lock.
    let flow = unsafe { &mut *flow };
    flow.flags |= FlowFlags::STATE_EVENTS;
    flow.state = new;
    // The FIN that leads to the first of these is read where it leaves; the other two change no counter.
    if !matches!(new, State::FIN_WAIT1 | State::FIN_WAIT2 | State::TIME_WAIT) {
        // SAFETY: not null.
        let tp = unsafe { tcp_sock(sk) };
        if tp.is_null() {
            return;
        }
        tcp::read(flow, local, tp, None);
    }
    if matches!(new, State::CLOSE_WAIT | State::CLOSING | State::LAST_ACK) {
        flow.flags |= FlowFlags::FIN_RECEIVED;
    }
    if new != State::CLOSE {
        ring::active(flow);
        return;
    }
    flow.epoch = epoch();
    // Untold, the entry stays for userspace to find.
    if ring::state(flow, old, new) {
        flow::give_back(flow);
        local::closed(local.cookie);
    }
}

/// listen(2): accepted sockets without a known owner are shown under their listener's.
#[inline(always)]
fn listening(ops: *mut bpf_sock_ops) {
    let Some(sk) = socket(ops) else { return };
    // SAFETY: the program's own context.
    let cookie = unsafe { bpf_get_socket_cookie(ops.cast()) };
    let owner = owner::mark_reported(cookie);
    let ends = sock::endpoints(sk);
    let listener = Flow { cookie, protocol: IPPROTO_TCP, state: State::LISTEN, owner, ends, ..zeroed() };
    ring::state(&listener, State::CLOSE, State::LISTEN);
}
