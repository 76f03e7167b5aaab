//! After records were lost: what they told is read from the kernel's tables.

use tcptop_abi::{Flow, IPPROTO_TCP, TcpStateCode};

use super::{Monitor, names};
use crate::collector::{CollectorEvent, FlowId, NetworkCollector, Slot};

impl<C: NetworkCollector> Monitor<C> {
    /// Events were lost: the kernel's tables still hold every flow they would have told of, ended ones included, and
    /// the owners of the sockets that were released meanwhile.
    pub(super) fn recover(&mut self) {
        // In this order: what has been released by now has its flows in the table.
        let released = self.collector.take_released();
        let (mut next, mut part) = (Some(0), Vec::new());
        while let Some(from) = next {
            next = self.collector.flows(from, &mut |flow| part.push(flow));
            part.drain(..).for_each(|flow| self.recover_flow(flow));
            // The ring must not overflow meanwhile: then this would never end.
            self.drain();
        }
        for (cookie, owner) in released {
            let event = CollectorEvent::Released { cookie, owner, epoch: self.epoch };
            self.table.apply(event, &mut names(&self.proc));
        }
        self.end_released_udp();
    }

    fn recover_flow(&mut self, mut flow: Flow) {
        let (state, epoch) = (flow.state, flow.epoch);
        let ended = flow.protocol == IPPROTO_TCP && state == TcpStateCode::CLOSE;
        // Of those that were quiet, all was told before.
        let Some(id) = FlowId::of(&flow).filter(|_| ended || epoch + 1 >= self.epoch) else { return };
        if !flow.owner.is_known() {
            flow.owner = self.collector.socket(flow.cookie).unwrap_or_default().owner;
        }
        self.table
            .apply(CollectorEvent::State { id, flow, state, epoch, time: None }, &mut names(&self.proc));
        if ended {
            self.collector.forget(Slot::of(&flow));
        }
    }
}
