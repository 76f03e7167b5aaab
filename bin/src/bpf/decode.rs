//! What the kernel programs write, in the words of a collector.

use tcptop_abi::{EventKind, Flow, FlowFlags, IPPROTO_TCP, IPPROTO_UDP, Owner, TcptopEvent};

use crate::{
    collector::{ConnectionKey, Observation, ObservedOwner, Opening, Process, Protocol, TcpState, Traffic},
    sys::clock::Moment,
};

/// The place that a ring record announces; `None`: this version does not know the record.
pub fn place(record: &[u8]) -> Option<u32> {
    let word = |at: usize| Some(u32::from_ne_bytes(record.get(at..at + 4)?.try_into().ok()?));
    if record.len() < size_of::<TcptopEvent>() {
        return None;
    }
    // Both variants begin with the place.
    match word(0)? {
        EventKind::DATA | EventKind::STATE => word(4),
        _ => None,
    }
}

/// A flow of the table as an observation; `None`: it has no known protocol.
pub fn observation(flow: &Flow, key: ConnectionKey, sees_releases: bool) -> Option<Observation> {
    let (protocol, state) = match flow.protocol {
        IPPROTO_TCP => (Protocol::Tcp, TcpState::from_code(flow.state)),
        IPPROTO_UDP => (Protocol::Udp, None),
        _ => return None,
    };
    let has = |flag| flow.flags & flag != 0;
    let opening = if protocol == Protocol::Udp || has(FlowFlags::ACTIVE_OPEN) {
        Opening::Active
    } else if has(FlowFlags::PASSIVE_OPEN) {
        Opening::Passive
    } else {
        Opening::Unseen
    };
    let closed = flow.released != 0 || !sees_releases;
    Some(Observation {
        key,
        protocol,
        ends: flow.ends,
        opening,
        state,
        totals: flow.payload(),
        earlier: Traffic { rx: flow.earlier_rx, tx: flow.earlier_tx },
        owner: owner(&flow.owner, opening == Opening::Active || flow.released != 0),
        began: Moment::new(flow.began),
        ended: Moment::new(flow.ended),
        end_unconfirmed: protocol == Protocol::Tcp && closed && !has(FlowFlags::STATE_EVENTS),
    })
}

fn owner(owner: &Owner, certain: bool) -> Option<ObservedOwner> {
    let Owner { tgid, tid, uid, comm } = *owner;
    owner.is_known().then_some(ObservedOwner {
        process: Process { pid: tgid, uid, comm },
        named_by_thread: tid != tgid,
        certain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: ConnectionKey = ConnectionKey { index: 3, generation: 7 };

    fn record(kind: u32, place: u32) -> Vec<u8> {
        [kind.to_ne_bytes(), place.to_ne_bytes()].concat()
    }

    #[test]
    fn both_kinds_of_records_announce_a_place() {
        assert_eq!(place(&record(EventKind::DATA, 5)), Some(5));
        assert_eq!(place(&record(EventKind::STATE, u32::MAX)), Some(u32::MAX));
        assert_eq!(place(&record(99, 5)), None);
        for length in 0..8 {
            assert_eq!(place(&record(EventKind::DATA, 5)[..length]), None);
        }
    }

    #[test]
    fn a_udp_flow() {
        let mut flow = Flow { cookie: 5, protocol: IPPROTO_UDP, began: 9, ..Flow::default() };
        flow.ends.rport = 53;
        flow.counters.rx_bytes = 90;
        flow.owner = Owner { tgid: 42, tid: 43, uid: 1, comm: [b'x'; 16] };
        let seen = observation(&flow, KEY, true).expect("a protocol");
        assert_eq!(
            (seen.key, seen.protocol, seen.state, seen.opening),
            (KEY, Protocol::Udp, None, Opening::Active)
        );
        assert_eq!((seen.ends.rport, seen.totals.rx_bytes, seen.began), (53, 90, Moment::new(9)));
        let owner = seen.owner.expect("known");
        assert_eq!((owner.process.pid, owner.named_by_thread, owner.certain), (42, true, true));
        assert!(!observation(&Flow { released: 1, ..flow }, KEY, true).expect("a protocol").end_unconfirmed);
    }

    #[test]
    fn who_accepted_is_certain_once_the_socket_is_closed() {
        let flow = Flow {
            protocol: IPPROTO_TCP,
            flags: FlowFlags::PASSIVE_OPEN | FlowFlags::STATE_EVENTS,
            owner: Owner { tgid: 42, tid: 42, ..Owner::default() },
            ..Flow::default()
        };
        let certain =
            |flow: &Flow| observation(flow, KEY, true).and_then(|seen| seen.owner).map(|owner| owner.certain);
        assert_eq!(certain(&flow), Some(false));
        assert_eq!(certain(&Flow { released: 1, ..flow }), Some(true));
    }

    #[test]
    fn the_end_of_an_older_connection_is_for_others_to_confirm() {
        let flow = Flow { protocol: IPPROTO_TCP, ..Flow::default() };
        let unconfirmed = |flow: &Flow, sees_releases| {
            observation(flow, KEY, sees_releases).expect("a protocol").end_unconfirmed
        };
        assert!(!unconfirmed(&flow, true));
        assert!(unconfirmed(&flow, false));
        let released = Flow { released: 1, ..flow };
        assert!(unconfirmed(&released, true));
        assert!(!unconfirmed(&Flow { flags: FlowFlags::STATE_EVENTS, ..released }, true));
        assert_eq!(observation(&Flow::default(), KEY, true), None, "no protocol");
    }
}
