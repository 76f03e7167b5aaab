//! TCP states as connection tracking numbers and prints them.

use crate::collector::TcpState;

/// In the order of `enum tcp_conntrack` (include/uapi/linux/netfilter/nf_conntrack_tcp.h, v6.1), with the names that
/// /proc prints (net/netfilter/nf_conntrack_proto_tcp.c `tcp_conntrack_names`, v6.1).
const STATES: [(&[u8], Option<TcpState>); 10] = [
    (b"NONE", None),
    (b"SYN_SENT", Some(TcpState::SynSent)),
    (b"SYN_RECV", Some(TcpState::SynRecv)),
    (b"ESTABLISHED", Some(TcpState::Established)),
    (b"FIN_WAIT", Some(TcpState::FinWait1)),
    (b"CLOSE_WAIT", Some(TcpState::CloseWait)),
    (b"LAST_ACK", Some(TcpState::LastAck)),
    (b"TIME_WAIT", Some(TcpState::TimeWait)),
    (b"CLOSE", Some(TcpState::Close)),
    // Both sides have sent a SYN.
    (b"SYN_SENT2", Some(TcpState::SynSent)),
];

/// The state with this number. `None`: it is none, or not a state.
pub fn numbered(number: u8) -> Option<TcpState> {
    STATES.get(usize::from(number)).and_then(|(_, state)| *state)
}

/// The state with this name, likewise.
pub fn named(name: &[u8]) -> Option<TcpState> {
    STATES.iter().find(|(known, _)| *known == name).and_then(|(_, state)| *state)
}

/// Whether a connection in this state moves nothing any more: it stays in the table until its timeout.
pub const fn is_over(state: Option<TcpState>) -> bool {
    matches!(state, Some(TcpState::TimeWait | TcpState::Close))
}
