//! Ring buffer records, from bytes to events.

use std::ptr::read_unaligned;

use tcptop_abi::{DataEvent, EventKind, StateEvent, TcptopEvent};

use crate::collector::{CollectorEvent, FlowId};

/// One record; `None` for one that this version does not know.
pub fn event(record: &[u8]) -> Option<CollectorEvent> {
    if record.len() < size_of::<TcptopEvent>() {
        return None;
    }
    // SAFETY: long enough, and every bit pattern is a valid `TcptopEvent`.
    let event = unsafe { read_unaligned(record.as_ptr().cast::<TcptopEvent>()) };
    let epoch = event.epoch;
    match event.kind {
        EventKind::DATA => {
            // SAFETY: the tag says so, and the variant is plain integers.
            let DataEvent { flow, .. } = unsafe { event.data.data };
            Some(CollectorEvent::Active { id: FlowId::of(&flow)?, flow, epoch })
        }
        EventKind::STATE => {
            // SAFETY: as above.
            let StateEvent { flow, new_state: state, released, .. } = unsafe { event.data.state };
            if released != 0 {
                return Some(CollectorEvent::Released { cookie: flow.cookie, owner: flow.owner, epoch });
            }
            Some(CollectorEvent::State { id: FlowId::of(&flow)?, flow, state, epoch })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tcptop_abi::{Flow, IPPROTO_TCP, IPPROTO_UDP, Owner, TcpStateCode, TcptopEventData, UdpKey};

    fn bytes(kind: u32, data: TcptopEventData) -> Vec<u8> {
        let event = TcptopEvent { kind, epoch: 7, data };
        // SAFETY: both variants cover all of the union, and there is no padding.
        unsafe { std::slice::from_raw_parts((&raw const event).cast::<u8>(), size_of::<TcptopEvent>()) }
            .to_vec()
    }

    #[test]
    fn data_of_a_udp_flow() {
        let mut flow = Flow { cookie: 5, protocol: IPPROTO_UDP, ..Flow::default() };
        flow.ends.rport = 53;
        flow.ends.raddr[15] = 9;
        let record = bytes(EventKind::DATA, TcptopEventData { data: DataEvent { flow, pad: 0 } });
        let id = FlowId::Udp(UdpKey { cookie: 5, raddr: flow.ends.raddr, rport: 53, pad: 0, pad2: 0 });
        assert_eq!(event(&record), Some(CollectorEvent::Active { id, flow, epoch: 7 }));
    }

    #[test]
    fn state_and_release() {
        let owner = Owner { tgid: 42, ..Owner::default() };
        let flow = Flow { cookie: 6, protocol: IPPROTO_TCP, owner, ..Flow::default() };
        let mut state = StateEvent { flow, new_state: TcpStateCode::CLOSE, ..StateEvent::default() };
        let record = bytes(EventKind::STATE, TcptopEventData { state });
        let expected =
            CollectorEvent::State { id: FlowId::Tcp(6), flow, state: TcpStateCode::CLOSE, epoch: 7 };
        assert_eq!(event(&record), Some(expected));
        state.released = 1;
        let record = bytes(EventKind::STATE, TcptopEventData { state });
        assert_eq!(event(&record), Some(CollectorEvent::Released { cookie: 6, owner, epoch: 7 }));
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        assert_eq!(event(&[]), None);
        let record = bytes(99, TcptopEventData { state: StateEvent::default() });
        assert_eq!(event(&record), None);
        assert_eq!(event(&record[..100]), None);
        let no_protocol = bytes(EventKind::DATA, TcptopEventData { data: DataEvent::default() });
        assert_eq!(event(&no_protocol), None);
    }
}
