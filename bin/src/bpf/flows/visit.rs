//! Reads one listed place, and hands up what happened to its flow.

use std::mem;

use tcptop_abi::{ClaimCode, Flow, FlowFlags, IPPROTO_TCP, IPPROTO_UDP, TcpStateCode};

use super::{
    FlowTable, IdleFlow, Tick, Tracked,
    endings::{Closed, Ended},
    is_open, is_unused,
};
use crate::collector::{CollectorEvent, Sink};

impl FlowTable {
    /// Visits one listed place. Returns false if the place can leave the list until it is announced again.
    pub(super) fn visit(
        &mut self,
        place: u32,
        interval: u32,
        tick: Option<Tick>,
        ended: &mut Ended,
        sink: Sink<'_>,
    ) -> bool {
        // This piece of the table cannot be mapped now. Try again at the next visit.
        let Some(flow) = self.entries.read(place) else { return true };
        if !is_open(&flow) {
            return false;
        }
        if flow.claim == ClaimCode::ABANDONED {
            self.retire(place, &flow);
            return false;
        }
        if is_unused(&flow) {
            return true;
        }
        match (flow.protocol, flow.state) {
            (IPPROTO_UDP, _) if flow.released != 0 => {
                if flow.released == Flow::RELEASED_WITH_OTHERS {
                    ended.udp_cookies.insert(flow.cookie);
                }
                ended.udp_places.push(place);
                return false;
            }
            (IPPROTO_TCP, TcpStateCode::CLOSE) => {
                return self.visit_closed(place, &flow, interval, tick, ended, sink);
            }
            (IPPROTO_TCP, TcpStateCode::LISTEN) => {
                if tick.is_some() && !mem::replace(&mut self.tracked[place as usize].listening, true) {
                    self.observe(place, &flow)
                        .into_iter()
                        .for_each(|seen| sink(CollectorEvent::Listening(seen)));
                }
                return tick.is_none() || flow.interval >= interval;
            }
            _ => {}
        }
        if tick.is_none() {
            return true;
        }
        self.observe(place, &flow).into_iter().for_each(|seen| sink(CollectorEvent::Moved(seen)));
        let announced = flow.interval >= interval;
        let tracked = &mut self.tracked[place as usize];
        if !announced && flow.protocol == IPPROTO_UDP && tracked.idle != flow.interval {
            tracked.idle = flow.interval;
            let Tracked { generation, .. } = *tracked;
            self.idle.push_back(IdleFlow { place, generation, interval: flow.interval, since: self.before });
        }
        announced
    }

    /// Visits a TCP connection or a listener that has ended. A connection without a known owner waits for one interval, unless
    /// places are short: the process that still has its socket open becomes known when it closes the socket.
    fn visit_closed(
        &mut self,
        place: u32,
        flow: &Flow,
        interval: u32,
        tick: Option<Tick>,
        ended: &mut Ended,
        sink: Sink<'_>,
    ) -> bool {
        let is_listener = flow.flags & FlowFlags::LISTENER != 0;
        let is_last = tick.is_some_and(|tick| tick.last);
        let awaited = self.tracked[place as usize].awaited;
        let waited = tick.is_some() && awaited != 0 && awaited < interval;
        if is_listener
            || flow.owner.is_known()
            || flow.released != 0
            || ended.places_are_short
            || is_last
            || waited
        {
            ended.closed.push(Closed::new(place, flow, is_listener));
            return false;
        }
        if tick.is_some() && awaited == 0 {
            self.tracked[place as usize].awaited = interval;
            self.observe(place, flow).into_iter().for_each(|seen| sink(CollectorEvent::Moved(seen)));
        }
        true
    }
}
