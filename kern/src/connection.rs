//! Entries of TCP connections and listeners.

use aya_ebpf::bindings::bpf_sock;
use tcptop_abi::{Flow, FlowFlags, IPPROTO_TCP};

use crate::{
    flow::{self, Begins, NewFlow},
    sock,
    state::{HASHED, SocketState},
    words,
};

/// Makes the entry of a connection, and announces it; `None`, counted, when the table is full.
#[inline(always)]
pub fn insert(state: &mut SocketState, sk: *const bpf_sock, flags: u32, tcp_state: u8) -> Option<*mut Flow> {
    let new = describe(state, sk, flags, tcp_state, Begins::Unknown)?;
    state.place = new.place;
    Some(new.flow)
}

/// Makes and announces an entry with the ends and the owner of a socket, in which no packet counts yet.
#[inline(always)]
pub fn describe(
    state: &SocketState,
    sk: *const bpf_sock,
    flags: u32,
    tcp_state: u8,
    begins: Begins,
) -> Option<NewFlow> {
    let flags = flags | state.flags & HASHED;
    let new = flow::alloc(IPPROTO_TCP, tcp_state, flags, state.owner, begins)?;
    // SAFETY: a live map value, which is nobody's yet.
    unsafe {
        if matches!(begins, Begins::Unknown) && flags & FlowFlags::LISTENER == 0 {
            // Nothing of it is growth until its socket is read.
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
