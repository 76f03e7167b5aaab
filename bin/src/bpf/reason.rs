//! Finds out why a connection ended, from the flags that the kernel programs set at its end.
//!
//! - A reset from the peer passes the ingress hook before the socket handles it. A reset that we send passes the egress hook.
//! - `BPF_SOCK_OPS_RTO_CB` reports when the retransmission timer gives up (net/ipv4/tcp_timer.c `tcp_write_timeout`, v6.1).
//!   The timers of keepalive and of a closed window have no callback.
//! - An ICMP message passes no hook of the socket. It ends a connection only while the connection is being opened
//!   (net/ipv4/tcp_ipv4.c `tcp_v4_err`, v6.1), and no other cause leaves that phase without a flag.
//! - A process ends a connection at once, and by a reset, if it closes a socket with unread bytes or with `SO_LINGER` 0.

use tcptop_abi::{Flow, FlowFlags, TcpStateCode as State};

use crate::collector::Reason;

/// Returns why a TCP connection ended, or `None` if it is open or no hook saw its end.
pub fn reason(flow: &Flow) -> Option<Reason> {
    const FINS: u32 = FlowFlags::FIN_SENT | FlowFlags::FIN_RECEIVED;
    if flow.state != State::CLOSE {
        return None;
    }
    let has = |flags| flow.flags & flags == flags;
    let last = (flow.flags >> FlowFlags::LAST_STATE_SHIFT & 15) as u8;
    Some(match last {
        _ if has(FlowFlags::EXPIRED) => Reason::Timeout,
        // The process closed the socket, so the socket had ignored any reset that came before.
        State::SYN_SENT if has(FlowFlags::RELEASED_BEFORE) => Reason::Abandoned,
        State::SYN_SENT if has(FlowFlags::RESET_RECEIVED) => Reason::Refused,
        State::SYN_SENT => Reason::Unreachable,
        // After both FINs there is nothing left to reset. A reset that the socket ignored may have come before (RFC 5961).
        State::TIME_WAIT | State::LAST_ACK | State::FIN_WAIT2 | State::CLOSING if has(FINS) => Reason::Fin,
        _ if has(FlowFlags::RESET_RECEIVED) => Reason::ResetRemote,
        _ if has(FlowFlags::RESET_SENT) => Reason::ResetLocal,
        _ if has(FINS) => Reason::Fin,
        State::FIN_WAIT2 | State::CLOSING | State::LAST_ACK | State::TIME_WAIT => Reason::Fin,
        // No callback has reported the end.
        0 => return None,
        _ if has(FlowFlags::RELEASED_BEFORE) => Reason::ResetLocal,
        // If the state was a hash entry, it is already removed when such a socket sends its reset.
        _ if has(FlowFlags::HASHED_STATE) && !flow.owner.is_known() => return None,
        _ => Reason::Timeout,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(last: u8, flags: u32) -> Option<Reason> {
        let flags = flags | u32::from(last) << FlowFlags::LAST_STATE_SHIFT;
        reason(&Flow { state: State::CLOSE, flags, ..Flow::default() })
    }

    #[test]
    fn ends_and_their_reasons() {
        let (received, sent) = (FlowFlags::RESET_RECEIVED, FlowFlags::RESET_SENT);
        let (released, expired) = (FlowFlags::RELEASED_BEFORE, FlowFlags::EXPIRED);
        let fins = FlowFlags::FIN_SENT | FlowFlags::FIN_RECEIVED;
        let cases = [
            (State::SYN_SENT, received, Reason::Refused),
            (State::SYN_SENT, expired, Reason::Timeout),
            (State::SYN_SENT, released, Reason::Abandoned),
            (State::SYN_SENT, released | received, Reason::Abandoned),
            (State::SYN_SENT, 0, Reason::Unreachable),
            (State::ESTABLISHED, received, Reason::ResetRemote),
            (State::CLOSE_WAIT, received | released, Reason::ResetRemote),
            (State::ESTABLISHED, released, Reason::ResetLocal),
            (State::ESTABLISHED, sent, Reason::ResetLocal),
            (State::FIN_WAIT1, released, Reason::ResetLocal),
            (State::ESTABLISHED, expired, Reason::Timeout),
            (State::FIN_WAIT1, released | expired, Reason::Timeout),
            (State::ESTABLISHED, 0, Reason::Timeout),
            (State::FIN_WAIT2, released | fins, Reason::Fin),
            (State::FIN_WAIT2, released, Reason::Fin),
            (State::LAST_ACK, released | fins, Reason::Fin),
            (State::LAST_ACK, released | fins | received, Reason::Fin),
            (State::FIN_WAIT2, released | fins | received, Reason::Fin),
            (State::CLOSE_WAIT, fins | received, Reason::ResetRemote),
        ];
        for (last, flags, expected) in cases {
            assert_eq!(of(last, flags), Some(expected), "{last} {flags:#x}");
        }
        assert_eq!(of(0, 0), None, "no hook saw the end");
        assert_eq!(
            of(State::ESTABLISHED, FlowFlags::HASHED_STATE),
            None,
            "a removed hash entry hides the cause"
        );
        assert_eq!(of(0, fins), Some(Reason::Fin), "both FINs are a reason by themselves");
        let open = Flow { state: State::ESTABLISHED, flags: fins, ..Flow::default() };
        assert_eq!(reason(&open), None);
    }
}
