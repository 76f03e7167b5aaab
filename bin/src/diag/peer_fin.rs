//! Decides whether the peer's FIN is among the sequence numbers that a destroyed socket has received.
//!
//! The kernel counts a received FIN as one byte, which is not payload. The last message of a socket does not show whether one
//! arrived: its state is always CLOSE.

use std::time::Duration;

use tcptop_abi::TcpStateCode as State;

/// How long the kernel keeps a connection in `TIME_WAIT` after the peer's FIN (include/net/tcp.h `TCP_TIMEWAIT_LEN`, v6.1).
const TIME_WAIT: Duration = Duration::from_secs(60);

/// The largest difference between two times that the kernel measures in timer ticks.
const SLACK: Duration = Duration::from_millis(20);

/// The facts known about a destroyed socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The state that the last reading showed.
    pub last_state: Option<u8>,
    /// Whether our FIN was acknowledged. `None`: it depends on which side connected, and that is unknown.
    pub fin_acked: Option<bool>,
    /// Sequence numbers that the process has not read.
    pub unread: u32,
    /// How long before its end the socket received its last acknowledgement.
    pub last_ack: Duration,
}

/// The kernel's record of a connection that this side closed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// The peer's FIN has not arrived.
    FinWait2,
    /// The peer's FIN arrived this long ago.
    TimeWait(Duration),
}

impl Remains {
    /// Converts a record's state and its timer, in milliseconds.
    pub fn new(state: u8, expires: u32) -> Self {
        if state == State::TIME_WAIT {
            Self::TimeWait(TIME_WAIT.saturating_sub(Duration::from_millis(expires.into())))
        } else {
            Self::FinWait2
        }
    }
}

/// Returns whether a socket in this state has received the peer's FIN (RFC 9293 section 3.3.2).
pub const fn has_fin(state: u8) -> bool {
    matches!(state, State::CLOSE_WAIT | State::LAST_ACK | State::CLOSING | State::TIME_WAIT)
}

/// Returns whether the FIN arrived, if the socket's last message suffices. `None`: [`by_remains`] must decide.
///
/// close(2) sends a FIN only if the process has read all bytes, and resets the connection otherwise (net/ipv4/tcp.c
/// `__tcp_close`, v6.1). So a single unread sequence number is a FIN for which the process did not wait.
pub const fn at_once(evidence: &Evidence) -> Option<bool> {
    match (evidence.last_state, evidence.fin_acked) {
        (Some(state), _) if has_fin(state) => Some(true),
        _ if evidence.unread == 1 => Some(true),
        // The connection was reset, or nobody answered. We cannot know whether the peer had closed its side before.
        (_, Some(false)) => Some(false),
        _ => None,
    }
}

/// Returns whether the FIN arrived, by the record that remains of the connection. `within`: the socket was destroyed at most
/// this long ago. `listens`: a socket listened at its local port.
pub fn by_remains(evidence: &Evidence, remains: Option<Remains>, within: Duration, listens: bool) -> bool {
    match remains {
        Some(Remains::FinWait2) => false,
        // The FIN arrived before the socket was destroyed.
        Some(Remains::TimeWait(age)) if age > within + SLACK => true,
        // The FIN arrived after the socket's last segment, so after the socket was destroyed. The record received it.
        Some(Remains::TimeWait(age)) if evidence.last_ack > age + SLACK => false,
        // Either the process closed its side, waited for the FIN, and then closed the socket. Or the peer first
        // acknowledged our FIN, and the record received its FIN later. The former is likelier: most peers send one segment
        // for both.
        Some(Remains::TimeWait(_)) => true,
        // The socket was in LAST_ACK. A single SYN or FIN that was sent is the FIN if this side accepted.
        None => evidence.fin_acked.unwrap_or(listens),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn evidence(last_state: Option<u8>, fin_acked: Option<bool>, unread: u32) -> Evidence {
        Evidence { last_state, fin_acked, unread, last_ack: Duration::ZERO }
    }

    #[test]
    fn the_last_state_seen_tells_first() {
        for state in [State::CLOSE_WAIT, State::LAST_ACK, State::CLOSING] {
            assert_eq!(at_once(&evidence(Some(state), Some(false), 0)), Some(true));
        }
        for state in [State::ESTABLISHED, State::FIN_WAIT1, State::FIN_WAIT2, State::SYN_SENT] {
            assert_eq!(at_once(&evidence(Some(state), Some(true), 0)), None);
            assert_eq!(at_once(&evidence(Some(state), Some(false), 0)), Some(false));
        }
    }

    #[test]
    fn a_fin_that_nobody_read() {
        assert_eq!(at_once(&evidence(None, Some(true), 1)), Some(true));
        assert_eq!(at_once(&evidence(None, Some(false), 1)), Some(true));
        assert_eq!(at_once(&evidence(None, Some(false), 2)), Some(false), "the socket has unread bytes");
        assert_eq!(at_once(&evidence(None, None, 0)), None);
    }

    #[test]
    fn what_remains_tells() {
        let closed = evidence(None, Some(true), 0);
        let tells = |remains, within| by_remains(&closed, remains, within, false);
        assert!(!tells(Some(Remains::new(State::FIN_WAIT2, 59_000)), SECOND));
        assert!(tells(Some(Remains::new(State::TIME_WAIT, 59_500)), SECOND));
        assert!(tells(Some(Remains::new(State::TIME_WAIT, 50_000)), SECOND));
        assert!(tells(None, SECOND), "LAST_ACK");
        let silent = Evidence { last_ack: SECOND, ..closed };
        assert!(!by_remains(&silent, Some(Remains::new(State::TIME_WAIT, 59_900)), SECOND, false));
    }

    #[test]
    fn one_mark_of_an_unknown_side() {
        let unknown = evidence(None, None, 0);
        assert!(by_remains(&unknown, None, SECOND, true));
        assert!(!by_remains(&unknown, None, SECOND, false));
        assert_eq!(Remains::new(State::TIME_WAIT, u32::MAX), Remains::TimeWait(Duration::ZERO));
    }
}
