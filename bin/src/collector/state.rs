//! TCP connection states (RFC 9293 section 3.3.2).

use tcptop_abi::TcpStateCode as Code;

/// State of a TCP connection, under the names that ss and netstat use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpState {
    Established,
    SynSent,
    SynRecv,
    FinWait1,
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
}

/// Every state with the kernel's number and its printed name.
const STATES: [(TcpState, u8, &str); 11] = [
    (TcpState::Established, Code::ESTABLISHED, "ESTABLISHED"),
    (TcpState::SynSent, Code::SYN_SENT, "SYN_SENT"),
    (TcpState::SynRecv, Code::SYN_RECV, "SYN_RECV"),
    (TcpState::FinWait1, Code::FIN_WAIT1, "FIN_WAIT1"),
    (TcpState::FinWait2, Code::FIN_WAIT2, "FIN_WAIT2"),
    (TcpState::TimeWait, Code::TIME_WAIT, "TIME_WAIT"),
    (TcpState::Close, Code::CLOSE, "CLOSE"),
    (TcpState::CloseWait, Code::CLOSE_WAIT, "CLOSE_WAIT"),
    (TcpState::LastAck, Code::LAST_ACK, "LAST_ACK"),
    (TcpState::Listen, Code::LISTEN, "LISTEN"),
    (TcpState::Closing, Code::CLOSING, "CLOSING"),
];

impl TcpState {
    /// Returns the state with the kernel's number, or `None` if there is none. `NEW_SYN_RECV` (a pending handshake) becomes
    /// `SYN_RECV`.
    pub fn from_code(code: u8) -> Option<Self> {
        let code = if code == Code::NEW_SYN_RECV { Code::SYN_RECV } else { code };
        STATES.iter().find(|(_, number, _)| *number == code).map(|(state, _, _)| *state)
    }

    /// Returns the state with this name.
    pub fn named(name: &str) -> Option<Self> {
        STATES.iter().find(|(_, _, known)| *known == name).map(|(state, _, _)| *state)
    }

    /// Returns every name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        STATES.iter().map(|(_, _, name)| *name)
    }

    /// Returns the name in reports.
    pub fn name(self) -> &'static str {
        STATES.iter().find(|(state, _, _)| *state == self).map_or("", |(_, _, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_number_has_one_state() {
        for code in 1..=11 {
            let state = TcpState::from_code(code).expect("1 to 11 are states");
            assert_eq!(STATES.iter().filter(|(_, number, _)| *number == code).count(), 1);
            assert!(!state.name().is_empty());
        }
        assert_eq!(TcpState::from_code(12), Some(TcpState::SynRecv));
        assert_eq!(TcpState::from_code(0), None);
        assert_eq!(TcpState::from_code(13), None);
    }
}
