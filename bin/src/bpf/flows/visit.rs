//! One place with news: what became of its flow.

use std::mem;

use tcptop_abi::{Claim, Flow, FlowFlags, IPPROTO_TCP, IPPROTO_UDP, TcpStateCode};

use super::{
    Flows, Silent, Tick, Tracked,
    endings::{Closed, Ended},
    is_open, is_unused,
};
use crate::collector::{CollectorEvent, Sink};

impl Flows {
    /// Looks at one listed place. False: it need not be looked at again until it is announced.
    pub(super) fn visit(
        &mut self,
        place: u32,
        epoch: u32,
        tick: Option<Tick>,
        ended: &mut Ended,
        sink: Sink<'_>,
    ) -> bool {
        // A piece of the table that cannot be mapped now may be later.
        let Some(flow) = self.entries.read(place) else { return true };
        if !is_open(&flow) {
            return false;
        }
        if flow.claim == Claim::ABANDONED {
            self.retire(place, &flow);
            return false;
        }
        if is_unused(&flow) {
            return true;
        }
        match (flow.protocol, flow.state) {
            (IPPROTO_UDP, _) if flow.released != 0 => {
                if flow.released == Flow::RELEASED_WITH_OTHERS {
                    ended.sockets.insert(flow.cookie);
                }
                ended.flows.push(place);
                return false;
            }
            (IPPROTO_TCP, TcpStateCode::CLOSE) => {
                return self.visit_closed(place, &flow, epoch, tick, ended, sink);
            }
            (IPPROTO_TCP, TcpStateCode::LISTEN) => {
                if tick.is_some() && !mem::replace(&mut self.tracked[place as usize].listening, true) {
                    self.observe(place, &flow)
                        .into_iter()
                        .for_each(|seen| sink(CollectorEvent::Listening(seen)));
                }
                return tick.is_none() || flow.epoch >= epoch;
            }
            _ => {}
        }
        if tick.is_none() {
            return true;
        }
        self.observe(place, &flow).into_iter().for_each(|seen| sink(CollectorEvent::Moved(seen)));
        let announced = flow.epoch >= epoch;
        let tracked = &mut self.tracked[place as usize];
        if !announced && flow.protocol == IPPROTO_UDP && tracked.silent != flow.epoch {
            tracked.silent = flow.epoch;
            let Tracked { generation, .. } = *tracked;
            self.silent.push_back(Silent { place, generation, epoch: flow.epoch, since: self.before });
        }
        announced
    }

    /// A TCP connection or a listener has ended. A connection that nobody is known to own waits for one interval, unless
    /// places are short: the process that still has its socket open shows itself by closing it.
    fn visit_closed(
        &mut self,
        place: u32,
        flow: &Flow,
        epoch: u32,
        tick: Option<Tick>,
        ended: &mut Ended,
        sink: Sink<'_>,
    ) -> bool {
        let is_listener = flow.flags & FlowFlags::LISTENER != 0;
        let is_last = tick.is_some_and(|tick| tick.last);
        let awaited = self.tracked[place as usize].awaited;
        let waited = tick.is_some() && awaited != 0 && awaited < epoch;
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
            self.tracked[place as usize].awaited = epoch;
            self.observe(place, flow).into_iter().for_each(|seen| sink(CollectorEvent::Moved(seen)));
        }
        true
    }
}
