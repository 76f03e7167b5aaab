//! Translates what the kernel programs write into the types of [`crate::collector`].

use std::time::Duration;

use tcptop_abi::{
    self as abi, Counters, EventKind, Flow, FlowFlags, IPPROTO_TCP, IPPROTO_UDP, Owner, TcptopEvent,
};

use super::reason::reason;
use crate::{
    collector::{
        Claim, ConnectionKey, Details, Observation, ObservedOpening, ObservedOwner, Protocol, TcpState,
        Traffic,
    },
    sys::clock::Moment,
};

/// What a ring record announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// The flow at this place of the table has changed.
    Place(u32),
    /// The process with this id (`Owner::pid`) begins to use sockets.
    Process(u32),
}

/// Reads a ring record. Returns `None` if this version does not know its kind.
pub fn record(record: &[u8]) -> Option<Announced> {
    let word = |at: usize| Some(u32::from_ne_bytes(record.get(at..at + 4)?.try_into().ok()?));
    if record.len() < size_of::<TcptopEvent>() {
        return None;
    }
    // Each variant is one word.
    match word(0)? {
        EventKind::DATA | EventKind::STATE => word(4).map(Announced::Place),
        EventKind::OWNER => word(4).map(Announced::Process),
        _ => None,
    }
}

/// What decoding an entry of the flow table needs to know.
#[derive(Clone, Copy, Debug)]
pub struct DecodeContext {
    /// The hook that sees the end of sockets is attached.
    pub sees_releases: bool,
    /// A TCP connection that has not moved since this interval began may have ended unseen; 0: no connection may.
    pub doubted: u32,
    /// The kernel programs number processes as /proc does.
    pub pids_are_ours: bool,
    /// Time since the boot when reading the table began.
    pub now: Duration,
}

/// Makes an observation of a flow of the table. Returns `None` if its protocol is not known.
pub fn observation(flow: &Flow, key: ConnectionKey, reading: DecodeContext) -> Option<Observation> {
    let (protocol, state) = match flow.protocol {
        IPPROTO_TCP => (Protocol::Tcp, TcpState::from_code(flow.state)),
        IPPROTO_UDP => (Protocol::Udp, None),
        _ => return None,
    };
    let has = |flag| flow.flags & flag != 0;
    let opening = if protocol == Protocol::Udp || has(FlowFlags::ACTIVE_OPEN) {
        ObservedOpening::Active
    } else if has(FlowFlags::PASSIVE_OPEN) {
        ObservedOpening::Passive
    } else {
        ObservedOpening::Unseen
    };
    let closed = flow.released != 0 || !reading.sees_releases;
    let (totals, earlier) = moved(flow);
    Some(Observation {
        key,
        protocol,
        ends: flow.ends,
        opening,
        state,
        totals,
        earlier,
        owner: owner(flow, opening, reading),
        began: Moment::new(flow.began),
        ended: Moment::new(flow.ended),
        forwarded: None,
        sent_to: None,
        details: Details { interface: flow.interface, reason: reason(flow) },
        end_unconfirmed: protocol == Protocol::Tcp
            && (closed && !has(FlowFlags::STATE_EVENTS) || flow.interval < reading.doubted),
    })
}

/// Returns the totals that a flow's row shows, and the part of them that was moved before tcptop saw the flow. Neither
/// includes what was counted as untracked.
fn moved(flow: &Flow) -> (Counters, Traffic) {
    let mut totals = flow.payload();
    let earlier = Traffic { rx: flow.earlier_rx, tx: flow.earlier_tx };
    if flow.flags & FlowFlags::PARTLY_UNTRACKED == 0 {
        return (totals, earlier);
    }
    totals.rx_bytes = totals.rx_bytes.saturating_sub(earlier.rx);
    totals.tx_bytes = totals.tx_bytes.saturating_sub(earlier.tx);
    (totals, Traffic::default())
}

fn owner(flow: &Flow, opening: ObservedOpening, reading: DecodeContext) -> Option<ObservedOwner> {
    let Owner { pid, uid, seen, cgroup, comm, .. } = flow.owner;
    let claim = match flow.claim {
        _ if opening == ObservedOpening::Active || flow.released != 0 => Claim::Used,
        abi::ClaimCode::BY_LISTENER => Claim::Listener,
        abi::ClaimCode::SHARED => Claim::Shared,
        _ => Claim::Accepted,
    };
    flow.owner.is_known().then_some(ObservedOwner {
        pid: if reading.pids_are_ours { pid & !Owner::OTHER_THREAD } else { 0 },
        uid,
        comm,
        is_other_thread: pid & Owner::OTHER_THREAD != 0,
        seen: moment(seen, reading.now),
        cgroup,
        claim,
    })
}

/// Turns `Owner::seen` into time since the boot. A hook may have seen an owner after `now`, while the table was being read. A
/// value of up to eight seconds after `now` therefore counts as `now`, and not as one of 417 days ago.
fn moment(seen: u32, now: Duration) -> Duration {
    const LATER: u32 = 1000;
    let now = u64::try_from(now.as_nanos() >> Owner::SEEN_SHIFT).unwrap_or(u64::MAX);
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    let age = (now as u32).wrapping_sub(seen);
    let age = if age > u32::MAX - LATER { 0 } else { age };
    Duration::from_nanos(now.saturating_sub(age.into()) << Owner::SEEN_SHIFT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sys::mapped, testing::hostile};

    const KEY: ConnectionKey = ConnectionKey { index: 3, generation: 7 };

    const READING: DecodeContext =
        DecodeContext { sees_releases: true, doubted: 0, pids_are_ours: true, now: Duration::from_secs(100) };

    fn event(kind: u32, word: u32) -> Vec<u8> {
        [kind.to_ne_bytes(), word.to_ne_bytes()].concat()
    }

    #[test]
    fn records_announce_places_and_processes() {
        assert_eq!(record(&event(EventKind::DATA, 5)), Some(Announced::Place(5)));
        assert_eq!(record(&event(EventKind::STATE, u32::MAX)), Some(Announced::Place(u32::MAX)));
        assert_eq!(record(&event(EventKind::OWNER, 42)), Some(Announced::Process(42)));
        assert_eq!(record(&event(99, 5)), None);
        for length in 0..8 {
            assert_eq!(record(&event(EventKind::DATA, 5)[..length]), None);
        }
    }

    #[test]
    fn a_udp_flow() {
        let mut flow = Flow { cookie: 5, protocol: IPPROTO_UDP, began: 9, ..Flow::default() };
        flow.ends.rport = 53;
        flow.counters.rx_bytes = 90;
        flow.owner =
            Owner { tgid: 42, pid: 42 | Owner::OTHER_THREAD, uid: 1, seen: 7, cgroup: 8, comm: [b'x'; 16] };
        let seen = observation(&flow, KEY, READING).expect("a protocol");
        assert_eq!(
            (seen.key, seen.protocol, seen.state, seen.opening),
            (KEY, Protocol::Udp, None, ObservedOpening::Active)
        );
        assert_eq!((seen.ends.rport, seen.totals.rx_bytes, seen.began), (53, 90, Moment::new(9)));
        let owner = seen.owner.expect("known");
        assert_eq!((owner.pid, owner.is_other_thread, owner.claim, owner.cgroup), (42, true, Claim::Used, 8));
        assert_eq!(owner.seen, Duration::from_nanos(7 << Owner::SEEN_SHIFT));
        let flow = Flow { released: 1, ..flow };
        assert!(!observation(&flow, KEY, READING).expect("a protocol").end_unconfirmed);
        let elsewhere = DecodeContext { pids_are_ours: false, ..READING };
        let owner = observation(&flow, KEY, elsewhere).and_then(|seen| seen.owner).expect("known");
        assert_eq!((owner.pid, owner.uid), (0, 1), "another process may have this pid here");
    }

    #[test]
    fn moments_survive_the_counter_s_wrap() {
        let turn = Duration::from_nanos(1 << (32 + Owner::SEEN_SHIFT));
        let unit = ObservedOwner::SEEN_WITHIN;
        assert_eq!(moment(5, turn + unit * 7), turn + unit * 5);
        assert_eq!(moment(u32::MAX, turn + unit * 7), turn - unit);
        assert_eq!(moment(7, unit * 7), unit * 7);
        for at in [unit * 7, turn - unit * 2, turn + unit * 7] {
            let seen = u32::try_from((at.as_nanos() >> Owner::SEEN_SHIFT) % (1 << 32)).expect("32 bits");
            assert_eq!(moment(seen.wrapping_add(3), at), at, "a hook saw it while the table was read");
        }
    }

    #[test]
    fn who_accepted_is_certain_once_the_socket_is_closed() {
        let owner = Owner { tgid: 42, pid: 42, ..Owner::default() };
        let flags = FlowFlags::PASSIVE_OPEN | FlowFlags::STATE_EVENTS;
        let flow =
            Flow { protocol: IPPROTO_TCP, flags, owner, claim: abi::ClaimCode::ACCEPTED, ..Flow::default() };
        let claim = |flow: &Flow| {
            observation(flow, KEY, READING).and_then(|seen| seen.owner).map(|owner| owner.claim)
        };
        assert_eq!(claim(&flow), Some(Claim::Accepted));
        assert_eq!(claim(&Flow { claim: abi::ClaimCode::BY_LISTENER, ..flow }), Some(Claim::Listener));
        assert_eq!(claim(&Flow { released: 1, ..flow }), Some(Claim::Used));
    }

    #[test]
    fn the_end_of_an_older_connection_is_for_others_to_confirm() {
        let flow = Flow { protocol: IPPROTO_TCP, ..Flow::default() };
        let unconfirmed = |flow: &Flow, sees_releases| {
            let reading = DecodeContext { sees_releases, ..READING };
            observation(flow, KEY, reading).expect("a protocol").end_unconfirmed
        };
        assert!(!unconfirmed(&flow, true));
        assert!(unconfirmed(&flow, false));
        let released = Flow { released: 1, ..flow };
        assert!(unconfirmed(&released, true));
        assert!(!unconfirmed(&Flow { flags: FlowFlags::STATE_EVENTS, ..released }, true));
        assert_eq!(observation(&Flow::default(), KEY, READING), None, "no protocol");
    }

    #[test]
    fn what_has_not_moved_since_hooks_were_detached_may_have_ended() {
        let flow =
            Flow { protocol: IPPROTO_TCP, flags: FlowFlags::STATE_EVENTS, interval: 7, ..Flow::default() };
        let unconfirmed = |doubted| {
            observation(&flow, KEY, DecodeContext { doubted, ..READING }).expect("a protocol").end_unconfirmed
        };
        assert_eq!([0, 6, 7, 8].map(unconfirmed), [false, false, false, true]);
    }

    #[test]
    fn hostile_input() {
        let corpus = vec![event(EventKind::DATA, 5), vec![0; 300], vec![1; 300], vec![0xff; 300]];
        hostile::Input { corpus, tokens: &[&[0xff; 8], &[0; 8]] }.run(|bytes| {
            if let Some(Announced::Place(word) | Announced::Process(word)) = record(bytes) {
                assert_eq!(bytes[4..8], word.to_ne_bytes());
            }
            let mut flow: Flow = mapped::from_bytes(bytes);
            // A flow of another protocol would have no observation.
            flow.protocol = if flow.protocol & 1 == 0 { IPPROTO_TCP } else { IPPROTO_UDP };
            let now = Duration::from_nanos(flow.earlier_rx);
            for (sees_releases, pids_are_ours) in [(true, true), (false, false)] {
                let reading = DecodeContext { sees_releases, doubted: flow.interval / 2, pids_are_ours, now };
                let Some(seen) = observation(&flow, KEY, reading) else { continue };
                let Counters { rx_bytes, tx_bytes, .. } = flow.counters;
                assert!(seen.totals.rx_bytes <= rx_bytes && seen.totals.tx_bytes <= tx_bytes);
                let owner = seen.owner.filter(|owner| owner.seen > now + ObservedOwner::SEEN_WITHIN);
                assert!(owner.is_none(), "a hook cannot have seen the owner in the future");
            }
        });
    }
}
