//! Makes the flow entries of TCP connections and listeners.

use aya_ebpf::bindings::bpf_sock;
use tcptop_abi::{Flow, FlowFlags, IPPROTO_TCP};

use crate::{
    flow::{self, Begins, NewFlow},
    sock,
    state::{HASHED, SocketState},
    words,
};

/// Makes and announces the entry of a connection, and stores its place in the socket's state. Returns `None` when the table
/// is full, which is counted.
#[inline(always)]
pub fn make_and_link(
    state: &mut SocketState,
    sk: *const bpf_sock,
    flags: u32,
    tcp_state: u8,
) -> Option<*mut Flow> {
    let new = make(state, sk, flags, tcp_state, Begins::Unknown)?;
    state.place = new.place;
    Some(new.flow)
}

/// Makes and announces an entry with the endpoints and the owner of a socket. No packet counts in it until the caller has
/// stored its place in the socket's state.
#[inline(always)]
pub fn make(
    state: &SocketState,
    sk: *const bpf_sock,
    flags: u32,
    tcp_state: u8,
    begins: Begins,
) -> Option<NewFlow> {
    let flags = flags | state.flags & HASHED;
    let new = flow::alloc(IPPROTO_TCP, tcp_state, flags, state.owner, begins)?;
    // SAFETY: a live map value, to which no socket leads yet.
    unsafe {
        if matches!(begins, Begins::Unknown) && flags & FlowFlags::LISTENER == 0 {
            // Until the socket is read, all bytes count as moved before tcptop saw the connection.
            words::set(&raw mut (*new.flow).earlier_rx, u64::MAX);
            words::set(&raw mut (*new.flow).earlier_tx, u64::MAX);
        }
        (*new.flow).ends = sock::endpoints(sk);
        (*new.flow).released = state.released;
        (*new.flow).claim = state.claim;
    }
    new.publish(state.cookie);
    new.announce();
    Some(new)
}
