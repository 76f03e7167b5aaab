//! Requests to sock_diag(7) for the TCP sockets of one address family in some states.

use tcptop_abi::{IPPROTO_TCP, TcpStateCode as State};

use super::message::INFO;

/// `SOCK_DIAG_BY_FAMILY`: the type of requests and of answers (include/uapi/linux/sock_diag.h).
pub const BY_FAMILY: u16 = 20;

/// Bytes of `struct inet_diag_req_v2` (include/uapi/linux/inet_diag.h).
const REQUEST: usize = 56;

/// A set of TCP states, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateSet(u32);

impl StateSet {
    /// Connections and listeners. Without `TIME_WAIT` and `CLOSE`, in which no payload moves.
    pub const OPEN: Self = Self(bit(State::LISTEN).0 | Self::CONNECTED.0);
    /// Connections alone.
    pub const CONNECTED: Self = Self::of(&[
        State::ESTABLISHED,
        State::SYN_SENT,
        State::SYN_RECV,
        State::FIN_WAIT1,
        State::FIN_WAIT2,
        State::CLOSE_WAIT,
        State::LAST_ACK,
        State::CLOSING,
    ]);
    /// Remains of connections that this side closed first. The kernel keeps them in small records, whose state is either of
    /// the two (net/ipv4/inet_diag.c `inet_twsk_diag_fill`, v6.1).
    pub const WAITING: Self = Self::of(&[State::TIME_WAIT, State::FIN_WAIT2]);

    const fn of(states: &[u8]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < states.len() {
            bits |= bit(states[at]).0;
            at += 1;
        }
        Self(bits)
    }
}

const fn bit(state: u8) -> StateSet {
    StateSet(1 << state)
}

/// Makes a `struct inet_diag_req_v2` that asks for all TCP sockets of a family in these states, with their `tcp_info`.
pub fn request(family: libc::c_int, states: StateSet) -> [u8; REQUEST] {
    let mut request = [0; REQUEST];
    let [family, ..] = family.to_le_bytes();
    request[..3].copy_from_slice(&[family, IPPROTO_TCP, 1 << (INFO - 1)]);
    request[4..8].copy_from_slice(&states.0.to_ne_bytes());
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_as_the_kernel_lays_it_out() {
        let request = request(libc::AF_INET6, StateSet::WAITING);
        assert_eq!(request[..4], [10, 6, 2, 0]);
        assert_eq!(request[4..8], (1u32 << 6 | 1 << 5).to_ne_bytes());
        assert_eq!(request[8..], [0; 48], "the request names no address, port or interface");
    }

    #[test]
    fn states_without_a_socket_are_not_asked_for() {
        for state in [State::TIME_WAIT, State::CLOSE] {
            assert_eq!(StateSet::OPEN.0 & bit(state).0, 0);
        }
        assert_eq!(StateSet::OPEN.0, StateSet::CONNECTED.0 | bit(State::LISTEN).0);
    }
}
