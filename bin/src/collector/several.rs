//! Joins several collectors into one: that of local sockets, and that of connections that this host forwards.

use std::{os::fd::BorrowedFd, time::Duration};

use super::{CollectorEvent, ConnectionKey, Detached, Losses, Missing, NetworkCollector, Observation, Sink};
use crate::error::Error;

/// Collectors that have started. If several see the same connection, the first one counts it.
///
/// Each collector numbers its connections from 0. In the keys of the joint collector, the indices of `n` collectors
/// interleave: index `i` of collector `c` becomes `n * i + c`.
pub struct Several {
    collectors: Vec<Box<dyn NetworkCollector>>,
    missing: Vec<Missing>,
}

impl Several {
    /// Joins collectors, each of which has started. `missing` are the parts that they must do without.
    pub const fn new(collectors: Vec<Box<dyn NetworkCollector>>, missing: Vec<Missing>) -> Self {
        Self { collectors, missing }
    }

    /// Iterates over the collectors, each with the numbering that converts its keys.
    fn each(&mut self) -> impl Iterator<Item = (Numbering, &mut Box<dyn NetworkCollector>)> {
        let count = self.collectors.len();
        self.collectors
            .iter_mut()
            .enumerate()
            .map(move |(at, collector)| (Numbering { count, at }, collector))
    }
}

/// Converts keys of one collector, the one at position `at` of `count`.
#[derive(Clone, Copy)]
struct Numbering {
    count: usize,
    at: usize,
}

impl Numbering {
    /// Converts a key of the collector into ours.
    fn ours(self, key: ConnectionKey) -> ConnectionKey {
        let index = key.index as usize * self.count + self.at;
        ConnectionKey { index: u32::try_from(index).unwrap_or(u32::MAX), ..key }
    }

    /// Converts those of our keys that belong to the collector into its own.
    fn own(self, keys: &[ConnectionKey]) -> Vec<ConnectionKey> {
        let is_own = |key: &&ConnectionKey| key.index as usize % self.count == self.at;
        let own = |key: &ConnectionKey| ConnectionKey {
            index: key.index / u32::try_from(self.count).unwrap_or(u32::MAX),
            ..*key
        };
        keys.iter().filter(is_own).map(own).collect()
    }

    /// Hands up an event under our key.
    fn hand_up(self, event: CollectorEvent, sink: Sink<'_>) {
        let seen = |seen: Observation| Observation { key: self.ours(seen.key), ..seen };
        sink(match event {
            CollectorEvent::Existed(existed) => CollectorEvent::Existed(seen(existed)),
            CollectorEvent::Moved(moved) => CollectorEvent::Moved(seen(moved)),
            CollectorEvent::Ended(ended) => CollectorEvent::Ended(seen(ended)),
            CollectorEvent::Listening(listening) => CollectorEvent::Listening(seen(listening)),
            CollectorEvent::StoppedListening(key) => CollectorEvent::StoppedListening(self.ours(key)),
            event @ CollectorEvent::ProcessSeen(_) => event,
        });
    }
}

impl NetworkCollector for Several {
    /// Does nothing: the collectors have started.
    fn start(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn missing(&self) -> &[Missing] {
        &self.missing
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.collectors.iter().flat_map(|collector| collector.descriptors()).collect()
    }

    fn drain(&mut self, sink: Sink<'_>) -> bool {
        let mut news = false;
        for (numbering, collector) in self.each() {
            news |= collector.drain(&mut |event| numbering.hand_up(event, sink));
        }
        news
    }

    /// Begins with the last collector: what it reads now is compared with what those before it have seen since.
    fn begin_interval(&mut self) -> Result<(), Error> {
        self.collectors.iter_mut().rev().try_for_each(|collector| collector.begin_interval())
    }

    fn take_detached(&mut self) -> Vec<Detached> {
        self.collectors.iter_mut().flat_map(|collector| collector.take_detached()).collect()
    }

    fn collect(&mut self, now: Duration, last: bool, sink: Sink<'_>) -> Losses {
        let mut losses = Losses::default();
        for (numbering, collector) in self.each() {
            losses += collector.collect(now, last, &mut |event| numbering.hand_up(event, sink));
        }
        losses
    }

    fn end(&mut self, keys: &[ConnectionKey], sink: Sink<'_>) {
        for (numbering, collector) in self.each() {
            collector.end(&numbering.own(keys), &mut |event| numbering.hand_up(event, sink));
        }
    }

    fn leave(&mut self, keys: &[ConnectionKey]) {
        self.each().for_each(|(numbering, collector)| collector.leave(&numbering.own(keys)));
    }

    fn patience(&mut self) -> Option<Duration> {
        self.collectors.iter_mut().filter_map(|collector| collector.patience()).min()
    }

    fn make_room(&mut self) {
        self.collectors.iter_mut().for_each(|collector| collector.make_room());
    }

    fn stop(&mut self) {
        self.collectors.iter_mut().for_each(|collector| collector.stop());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_there_and_back() {
        let key = |index| ConnectionKey { index, generation: 3 };
        let [first, second] = [0, 1].map(|at| Numbering { count: 2, at });
        let ours = [first.ours(key(0)), second.ours(key(0)), first.ours(key(7)), second.ours(key(9))];
        assert_eq!(ours.map(|key| key.index), [0, 1, 14, 19]);
        assert_eq!(first.own(&ours), [key(0), key(7)]);
        assert_eq!(second.own(&ours), [key(0), key(9)]);
        let only = Numbering { count: 1, at: 0 };
        assert_eq!((only.ours(key(5)), only.own(&[key(5)])), (key(5), vec![key(5)]));
    }
}
