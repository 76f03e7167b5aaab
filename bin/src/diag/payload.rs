//! Computes payload bytes and the side that connected from the counters of one socket.
//!
//! TCP numbers SYN and FIN like bytes. `bytes_acked` counts the SYN of the side that called connect(2), and our FIN once it
//! is acknowledged; `bytes_received` counts the peer's FIN once it arrived in order (net/ipv4/tcp_input.c
//! `tcp_snd_una_update` and `tcp_rcv_nxt_update`, v6.1). `bytes_sent` counts payload alone (net/ipv4/tcp_output.c
//! `__tcp_transmit_skb`, v6.1).

use tcptop_abi::TcpStateCode as State;

use super::message::{Info, SocketMessage};
use crate::collector::ObservedOpening;

/// Sequence numbers sent: payload, the SYN of the side that connected, and our FIN. `None`: the kernel does not report them
/// (before 4.6), or its numbers belong to two different moments.
///
/// The kernel reads the number of unacknowledged bytes before it locks the socket for `tcp_info` (net/ipv4/tcp_diag.c
/// `tcp_diag_get_info`, v6.1). So we use it only if segments are in flight, or if the socket is closed: then `unacked` is zero
/// whatever was in flight (net/ipv4/tcp.c `tcp_write_queue_purge`, v6.1).
fn sequence_sent(message: &SocketMessage, info: &Info) -> Option<u64> {
    if info.unacked == 0 && message.state != State::CLOSE {
        return Some(info.bytes_acked);
    }
    let in_flight = message.unacknowledged.checked_sub(info.not_sent?)?;
    info.bytes_acked.checked_add(in_flight.into())
}

/// How many of the sequence numbers sent are a SYN or a FIN: 0 to 2. `None`: they cannot be distinguished from payload.
pub fn marks_sent(message: &SocketMessage) -> Option<u64> {
    let info = message.info.as_ref()?;
    let marks = sequence_sent(message, info)?.checked_sub(info.payload_sent?)?;
    (marks <= 2).then_some(marks)
}

/// Returns whether our FIN was sent. `None`: the socket is closed, or the kernel is older than 4.6.
fn fin_sent(message: &SocketMessage) -> Option<bool> {
    match message.state {
        State::SYN_SENT | State::SYN_RECV | State::ESTABLISHED | State::CLOSE_WAIT => Some(false),
        State::FIN_WAIT2 | State::TIME_WAIT => Some(true),
        // The FIN is the last sequence number written.
        State::FIN_WAIT1 | State::CLOSING | State::LAST_ACK => Some(message.info?.not_sent? == 0),
        _ => None,
    }
}

/// Returns which side connected, if this message alone shows it.
pub fn opening(message: &SocketMessage) -> Option<ObservedOpening> {
    let side = |syns| match syns {
        0 => Some(ObservedOpening::Passive),
        1 => Some(ObservedOpening::Active),
        _ => None,
    };
    match (message.state, marks_sent(message)) {
        (State::SYN_SENT, _) => Some(ObservedOpening::Active),
        (State::SYN_RECV, _) => Some(ObservedOpening::Passive),
        // A single mark is either the SYN or the FIN.
        (State::CLOSE, Some(0)) => Some(ObservedOpening::Passive),
        (State::CLOSE, Some(2)) => Some(ObservedOpening::Active),
        (State::CLOSE, _) => None,
        (_, marks) => side(marks?.checked_sub(fin_sent(message)?.into())?),
    }
}

/// Returns the payload bytes sent, without retransmits. `opening`: which side connected. From 4.19 on, `bytes_sent` is exact
/// unless this host itself dropped segments. It counts their bytes twice, because the kernel sends them once more as new ones
/// (net/ipv4/tcp_output.c `tcp_write_xmit`, v6.1). Then the sequence numbers limit the result.
pub fn sent(message: &SocketMessage, info: &Info, opening: ObservedOpening) -> u64 {
    let syn = u64::from(opening == ObservedOpening::Active);
    let Some(payload) = info.payload_sent else {
        // Before 4.19, the acknowledged bytes have to do. If a closed socket has nothing left to be acknowledged, the peer
        // acknowledged its FIN, unless the connection was reset.
        let closed = message.state == State::CLOSE && message.unacknowledged == 0;
        let fin = matches!(message.state, State::FIN_WAIT2 | State::TIME_WAIT) || closed;
        return info.bytes_acked.saturating_sub(syn + u64::from(fin));
    };
    let steady = info.unacked == 0 || message.state == State::CLOSE;
    match sequence_sent(message, info).filter(|_| steady) {
        Some(sequence) => {
            let most = sequence.saturating_sub(syn + u64::from(fin_sent(message) == Some(true)));
            let least = if fin_sent(message).is_some() { most } else { most.saturating_sub(1) };
            payload.clamp(least, most)
        }
        None => payload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::message::tests::bytes;

    /// Returns a message with these sequence numbers (acknowledged, in flight, not sent) and this payload sent.
    fn message(state: u8, acked: u64, in_flight: u32, not_sent: u32, payload: Option<u64>) -> SocketMessage {
        let mut message = SocketMessage::parse(&bytes(libc::AF_INET, 248)).expect("whole");
        message.state = state;
        message.unacknowledged = in_flight + not_sent;
        message.info = Some(Info {
            unacked: u32::from(in_flight > 0 && state != State::CLOSE),
            bytes_acked: acked,
            not_sent: Some(not_sent),
            payload_sent: payload,
            ..Info::default()
        });
        message
    }

    fn tells(message: &SocketMessage) -> (Option<ObservedOpening>, u64) {
        let opening = opening(message);
        let info = message.info.expect("given");
        (opening, sent(message, &info, opening.unwrap_or(ObservedOpening::Passive)))
    }

    #[test]
    fn either_side_in_each_state() {
        for (state, marks) in [(State::ESTABLISHED, 0), (State::CLOSE_WAIT, 0), (State::FIN_WAIT2, 1)] {
            let of = |syn: u64| message(state, 100 + syn + marks, 0, 7, Some(100));
            assert_eq!(tells(&of(1)), (Some(ObservedOpening::Active), 100), "{state}");
            assert_eq!(tells(&of(0)), (Some(ObservedOpening::Passive), 100), "{state}");
        }
        let busy = |syn: u64| message(State::ESTABLISHED, 100 + syn, 50, 7, Some(150));
        assert_eq!(tells(&busy(1)), (Some(ObservedOpening::Active), 150));
        assert_eq!(tells(&busy(0)), (Some(ObservedOpening::Passive), 150));
        for state in [State::FIN_WAIT1, State::LAST_ACK, State::CLOSING] {
            let left = message(state, 101, 51, 0, Some(150));
            assert_eq!(tells(&left), (Some(ObservedOpening::Active), 150), "the FIN has left");
            let waits = message(state, 101, 50, 9, Some(150));
            assert_eq!(tells(&waits), (Some(ObservedOpening::Active), 150), "the FIN waits");
        }
        assert_eq!(tells(&message(State::SYN_SENT, 0, 1, 0, Some(0))), (Some(ObservedOpening::Active), 0));
    }

    #[test]
    fn of_a_closed_socket_one_mark_may_be_either() {
        let of = |marks: u64| message(State::CLOSE, 100 + marks, 0, 0, Some(100));
        assert_eq!(
            [0, 1, 2].map(|marks| opening(&of(marks))),
            [Some(ObservedOpening::Passive), None, Some(ObservedOpening::Active)]
        );
        assert_eq!([0, 1, 2, 3].map(|marks| marks_sent(&of(marks))), [Some(0), Some(1), Some(2), None]);
        assert_eq!(
            marks_sent(&message(State::CLOSE, 51, 50, 9, Some(100))),
            Some(1),
            "the data in flight count, too"
        );
    }

    #[test]
    fn bytes_dropped_on_this_host_count_once() {
        let dropped = message(State::ESTABLISHED, 101, 0, 0, Some(130));
        assert_eq!(sent(&dropped, &dropped.info.expect("given"), ObservedOpening::Active), 100);
        let closed = message(State::CLOSE, 102, 0, 0, Some(130));
        assert_eq!(
            sent(&closed, &closed.info.expect("given"), ObservedOpening::Active),
            101,
            "the last number may be the FIN"
        );
        assert_eq!(opening(&dropped), None);
    }

    #[test]
    fn an_older_kernel_tells_what_was_acknowledged() {
        let of = |state, acked, left| {
            let message = message(state, acked, left, 0, None);
            sent(&message, &message.info.expect("given"), ObservedOpening::Active)
        };
        assert_eq!(of(State::ESTABLISHED, 101, 50), 100);
        assert_eq!(of(State::FIN_WAIT2, 102, 0), 100);
        assert_eq!(of(State::CLOSE, 102, 0), 100);
        assert_eq!(of(State::CLOSE, 101, 50), 100, "bytes in flight at a reset do not count");
        assert_eq!(of(State::SYN_SENT, 0, 1), 0);
    }
}
