//! Ring buffer records, from bytes to events.

use std::ptr::read_unaligned;

use tcptop_abi::{Counters, DataEvent, EventKind, Flow, ReleaseEvent, StateEvent, TcptopEvent};

use crate::{
    collector::{CollectorEvent, FlowId, Slot},
    sys::clock::Moment,
};

/// One record. `read` gives the flow at a place, if it is still there: one that ended meanwhile has a record of its own
/// later in the ring. `None`: nothing is known of it, or this version does not know it.
pub fn event(record: &[u8], read: impl FnOnce(Slot) -> Option<Flow>) -> Option<CollectorEvent> {
    let kind = u32::from_ne_bytes(record.get(..4)?.try_into().ok()?);
    match kind {
        EventKind::DATA => {
            let TcptopEvent { epoch, data, .. } = whole::<DataEvent>(record)?;
            let flow = read(Slot { cookie: data.cookie, index: data.slot })?;
            let DataEvent { rx_bytes, tx_bytes, flags, .. } = data;
            let before = Flow { counters: Counters { rx_bytes, tx_bytes, ..flow.counters }, flags, ..flow };
            Some(CollectorEvent::Active { id: FlowId::of(&flow)?, flow, before, epoch })
        }
        EventKind::STATE => {
            let TcptopEvent { epoch, data, .. } = whole::<StateEvent>(record)?;
            let StateEvent { flow, new_state: state, time, .. } = data;
            let time = Moment::new(time);
            Some(CollectorEvent::State { id: FlowId::of(&flow)?, flow, state, epoch, time })
        }
        EventKind::RELEASE => {
            let TcptopEvent { epoch, data: ReleaseEvent { cookie, owner, .. }, .. } =
                whole::<ReleaseEvent>(record)?;
            Some(CollectorEvent::Released { cookie, owner, epoch })
        }
        _ => None,
    }
}

/// Variants of a record: plain integers.
trait Integers: Copy {}
impl Integers for DataEvent {}
impl Integers for StateEvent {}
impl Integers for ReleaseEvent {}

fn whole<T: Integers>(record: &[u8]) -> Option<TcptopEvent<T>> {
    if record.len() < size_of::<TcptopEvent<T>>() {
        return None;
    }
    // SAFETY: long enough, and every bit pattern is a valid record of integers.
    Some(unsafe { read_unaligned(record.as_ptr().cast()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tcptop_abi::{IPPROTO_TCP, IPPROTO_UDP, Owner, TcpStateCode};

    fn bytes<T: Integers>(kind: u32, data: T) -> Vec<u8> {
        let event = TcptopEvent { kind, epoch: 7, data };
        // SAFETY: integers without padding.
        unsafe { std::slice::from_raw_parts((&raw const event).cast::<u8>(), size_of_val(&event)) }.to_vec()
    }

    fn nowhere(_: Slot) -> Option<Flow> {
        None
    }

    #[test]
    fn data_of_a_udp_flow() {
        let mut flow = Flow { cookie: 5, protocol: IPPROTO_UDP, slot: 3, ..Flow::default() };
        flow.ends.rport = 53;
        flow.ends.raddr[15] = 9;
        flow.counters.rx_bytes = 90;
        let data = DataEvent { cookie: 5, rx_bytes: 40, slot: 3, ..DataEvent::default() };
        let record = bytes(EventKind::DATA, data);
        let id = FlowId::Udp { cookie: 5, raddr: flow.ends.raddr, rport: 53 };
        let read = |slot| (slot == Slot { cookie: 5, index: 3 }).then_some(flow);
        let mut before = flow;
        before.counters.rx_bytes = 40;
        assert_eq!(event(&record, read), Some(CollectorEvent::Active { id, flow, before, epoch: 7 }));
        assert_eq!(event(&record, nowhere), None, "it has ended: a record of that follows");
    }

    #[test]
    fn state_and_release() {
        let owner = Owner { tgid: 42, ..Owner::default() };
        let flow = Flow { cookie: 6, protocol: IPPROTO_TCP, owner, ..Flow::default() };
        let state = StateEvent { flow, new_state: TcpStateCode::CLOSE, time: 9, ..StateEvent::default() };
        let record = bytes(EventKind::STATE, state);
        let expected = CollectorEvent::State {
            id: FlowId::Tcp(6),
            flow,
            state: TcpStateCode::CLOSE,
            epoch: 7,
            time: Moment::new(9),
        };
        assert_eq!(event(&record, nowhere), Some(expected));
        let release = ReleaseEvent { cookie: 6, owner, pad: 0 };
        let record = bytes(EventKind::RELEASE, release);
        assert_eq!(event(&record, nowhere), Some(CollectorEvent::Released { cookie: 6, owner, epoch: 7 }));
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        assert_eq!(event(&[], nowhere), None);
        assert_eq!(event(&bytes(99, StateEvent::default()), nowhere), None);
        let record = bytes(EventKind::STATE, StateEvent::default());
        assert_eq!(event(&record[..100], nowhere), None);
        assert_eq!(event(&record, nowhere), None, "a flow without a protocol");
    }
}
