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

/// Returns the state with this number. `None`: the number is `NONE` or unknown.
pub fn numbered(number: u8) -> Option<TcpState> {
    STATES.get(usize::from(number)).and_then(|(_, state)| *state)
}

/// Returns the state with this name. `None`: the name is `NONE` or unknown.
pub fn named(name: &[u8]) -> Option<TcpState> {
    STATES.iter().find(|(known, _)| *known == name).and_then(|(_, state)| *state)
}

/// Returns whether a connection in this state is closed. Its entry stays in the table until a timeout.
pub const fn is_closed(state: Option<TcpState>) -> bool {
    matches!(state, Some(TcpState::TimeWait | TcpState::Close))
}
