//! The table of flows: finds the flow of an entry, and hands up the flows that changed or ended.
//!
//! A reading passes every entry of the kernel's table, and updates each flow in place. A flow takes 80 bytes, 48 more if it is
//! IPv6, 32 more if somebody has reset its counters, and 17 to 39 bytes in the index. So 20,000 IPv4 flows take 2.1 to 2.3
//! MiB.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    hash::{BuildHasherDefault, Hasher},
    mem,
};

use super::{
    direction::Ends,
    entry::{Entry, Identity},
    flow::{TrackedFlags, TrackedFlow},
};
use crate::{
    collector::{CollectorEvent, ConnectionKey, Sink},
    sys::clock::Moment,
};

/// The largest number of flows. The kernel's own table usually has room for fewer (`nf_conntrack_max`).
const MOST: usize = 128 * 1024;

/// The largest number of table entries in one reading that wait for the events that may explain them.
const MOST_DOUBTFUL: usize = 1024;

/// The flows that tcptop tracks.
#[derive(Debug, Default)]
pub struct TrackedFlows {
    identity: Identity,
    /// Maps the identity of an entry to the position of its flow in `flows`.
    places: HashMap<u64, u32, BuildHasherDefault<Hashed>>,
    flows: Vec<TrackedFlow>,
    /// Free positions in `flows`. The lowest is used first, because receivers keep tables of their own by position.
    free: BinaryHeap<Reverse<u32>>,
    /// One less than the generation with which a flow at a new position begins.
    generation: u32,
    /// Positions of flows whose end must still be handed up.
    ended: Vec<u32>,
    /// Entries that have the tuples of a known flow but may belong to a new connection. An event may still settle this.
    doubtful: HashMap<u64, Entry, BuildHasherDefault<Hashed>>,
    /// By position, the bytes that flows older than tcptop had moved before the start. Empty once it was handed up.
    earlier: Vec<[u64; 2]>,
    /// How often the table had no room for a flow.
    full: u64,
}

/// Decides about a new entry. `None`: the entry does not become a flow.
pub type Classify<'a> = &'a mut dyn FnMut(&Entry) -> Option<Classification>;

/// The ends of a new flow, and when it began, if this is known.
pub type Classification = (Ends, Option<Moment>);

impl TrackedFlows {
    /// Processes an entry of a reading. `waits`: a doubtful entry waits until [`Self::resolve_doubtful`], after the events that
    /// came meanwhile have been processed.
    pub fn entry_read(&mut self, entry: &Entry, waits: bool, now: Moment, classify: Classify<'_>) {
        let id = self.identity.of(entry);
        let Some(place) = self.places.get(&id).copied() else { return self.add(id, entry, classify) };
        let flow = &mut self.flows[place as usize];
        if waits
            && self.doubtful.len() < MOST_DOUBTFUL
            && (flow.is_other(entry) || flow.counters_were_reset(entry))
        {
            flow.set(TrackedFlags::SEEN, true);
            self.doubtful.insert(id, entry.clone());
        } else {
            self.apply(id, place, entry, now, classify);
        }
    }

    /// Processes an entry that has the tuples of a known flow.
    fn apply(&mut self, id: u64, place: u32, entry: &Entry, now: Moment, classify: Classify<'_>) {
        let flow = &mut self.flows[place as usize];
        if flow.is_other(entry) {
            self.places.remove(&id);
            self.end(place);
            self.add(id, entry, classify);
        } else if flow.apply_entry(entry, now) && !flow.is(TrackedFlags::IGNORED) {
            flow.set(TrackedFlags::FINISHED | TrackedFlags::ENDED, true);
            self.ended.push(place);
        }
    }

    /// Adds a flow if `classify` accepts the entry.
    fn add(&mut self, id: u64, entry: &Entry, classify: Classify<'_>) {
        if let Some(new_flow) = classify(entry)
            && let Some(place) = self.insert(entry, &new_flow)
        {
            self.places.insert(id, place);
        }
    }

    /// Stores a flow at a free position. `None`: the table is full.
    fn insert(&mut self, entry: &Entry, (ends, began): &Classification) -> Option<u32> {
        if let Some(Reverse(place)) = self.free.pop() {
            let at = &mut self.flows[place as usize];
            *at = TrackedFlow::new(entry, ends, *began, next(at.generation));
            return Some(place);
        }
        let count = self.flows.len();
        if count == MOST {
            self.full += 1;
            return None;
        }
        if count == self.flows.capacity() {
            // `Vec` would double its capacity, which is often far too much.
            self.flows.reserve_exact((count / 8).max(64));
        }
        self.flows.push(TrackedFlow::new(entry, ends, *began, next(self.generation)));
        u32::try_from(count).ok()
    }

    /// Processes an entry that left the kernel's table, with its final counts.
    pub fn entry_left(&mut self, entry: &Entry, classify: Classify<'_>) {
        let id = self.identity.of(entry);
        let known = self.places.get(&id).copied();
        if let Some(place) = known.filter(|place| !self.flows[*place as usize].is_other_instance(entry)) {
            let flow = &mut self.flows[place as usize];
            if flow.counters_were_reset(entry) {
                // Somebody reset the counters, so the doubtful entry belonged to this flow.
                self.doubtful.remove(&id);
            }
            flow.advance(entry);
            self.places.remove(&id);
            self.end(place);
            return;
        }
        if self.doubtful.get(&id).is_some_and(|row| row.instance == entry.instance) {
            self.doubtful.remove(&id);
        }
        // The connection began after the last reading.
        if let Some(new_flow) = classify(entry)
            && let Some(place) = self.insert(entry, &new_flow)
        {
            self.end(place);
        }
    }

    /// Ends a flow whose entry is gone.
    fn end(&mut self, place: u32) {
        let flow = &mut self.flows[place as usize];
        if flow.is(TrackedFlags::ENDED) {
            flow.set(TrackedFlags::FINISHED, false);
        } else if flow.is(TrackedFlags::FINISHED) || flow.is(TrackedFlags::IGNORED) {
            self.vacate(place);
        } else {
            flow.set(TrackedFlags::ENDED, true);
            self.ended.push(place);
        }
    }

    fn vacate(&mut self, place: u32) {
        self.flows[place as usize].vacate();
        self.free.push(Reverse(place));
    }

    /// Processes the doubtful entries, after the events that could explain them.
    pub fn resolve_doubtful(&mut self, now: Moment, classify: Classify<'_>) {
        for (id, entry) in mem::take(&mut self.doubtful) {
            match self.places.get(&id).copied() {
                Some(place) => self.apply(id, place, &entry, now, classify),
                None => self.add(id, &entry, classify),
            }
        }
    }

    /// Completes a reading: ends the flows that it did not show. `may_miss`: the reading may have skipped entries, so a flow
    /// ends only when two readings in a row did not show it.
    pub fn finish(&mut self, may_miss: bool) {
        let mut places = mem::take(&mut self.places);
        places.retain(|_, place| {
            let flow = &mut self.flows[*place as usize];
            let is_seen = flow.is(TrackedFlags::SEEN);
            let stays = is_seen || (may_miss && !flow.is(TrackedFlags::MISSED));
            flow.set(TrackedFlags::MISSED, !is_seen);
            flow.set(TrackedFlags::SEEN, false);
            if !stays {
                self.end(*place);
            }
            stays
        });
        self.places = places;
    }

    /// Discards a reading that failed before its end. No flow ends.
    pub fn abort_reading(&mut self) {
        self.flows.iter_mut().for_each(|flow| flow.set(TrackedFlags::SEEN, false));
    }

    /// Remembers what the flows moved before tcptop started.
    pub fn remember_start(&mut self) {
        self.earlier = self.flows.iter().map(TrackedFlow::bytes).collect();
        // A connection that closed before the start is not shown, unless it moves again.
        self.flows
            .iter_mut()
            .filter(|flow| flow.is(TrackedFlags::CLOSED))
            .for_each(|flow| flow.set(TrackedFlags::FINISHED, true));
    }

    /// Hands up the flows that ended.
    pub fn hand_up_ended(&mut self, sink: Sink<'_>) {
        for place in mem::take(&mut self.ended) {
            let earlier = self.take_earlier(place);
            let flow = &mut self.flows[place as usize];
            // Another collector may have claimed it meanwhile.
            if !flow.is(TrackedFlags::IGNORED) {
                sink(CollectorEvent::Ended(flow.observation(place, earlier)));
            }
            if flow.is(TrackedFlags::FINISHED) {
                flow.set(TrackedFlags::ENDED | TrackedFlags::CHANGED, false);
                flow.generation = next(flow.generation);
            } else {
                self.vacate(place);
            }
        }
    }

    /// Hands up the flows that ended or changed.
    pub fn hand_up(&mut self, sink: Sink<'_>) {
        self.hand_up_ended(sink);
        for place in (0..).take(self.flows.len()) {
            let flow = &mut self.flows[place as usize];
            if !flow.is(TrackedFlags::CHANGED) {
                continue;
            }
            flow.set(TrackedFlags::CHANGED, false);
            if !flow.is(TrackedFlags::IGNORED) && !flow.is(TrackedFlags::FINISHED) {
                // This is the flow's first observation, and it has moved nothing since the start.
                let has_rested =
                    self.earlier.get(place as usize) == Some(&self.flows[place as usize].bytes());
                let earlier = self.take_earlier(place);
                let seen = self.flows[place as usize].observation(place, earlier);
                sink(if has_rested { CollectorEvent::Existed(seen) } else { CollectorEvent::Moved(seen) });
            }
        }
        self.earlier = Vec::new();
    }

    /// Takes what a flow had moved before the start. Only its first observation carries it; the receiver remembers it.
    fn take_earlier(&mut self, place: u32) -> [u64; 2] {
        self.earlier.get_mut(place as usize).map(mem::take).unwrap_or_default()
    }

    /// Stops handing up these flows, because another collector counts them.
    pub fn leave(&mut self, keys: &[ConnectionKey]) {
        for key in keys {
            self.get(*key).into_iter().for_each(|flow| flow.set(TrackedFlags::IGNORED, true));
        }
    }

    /// Ends these flows, because another source has seen them end.
    pub fn end_now(&mut self, keys: &[ConnectionKey], sink: Sink<'_>) {
        for key in keys {
            let Some(flow) = self.get(*key) else { continue };
            if !flow.is(TrackedFlags::ENDED)
                && !flow.is(TrackedFlags::IGNORED)
                && !flow.is(TrackedFlags::FINISHED)
            {
                flow.set(TrackedFlags::FINISHED | TrackedFlags::ENDED, true);
                self.ended.push(key.index);
            }
        }
        self.hand_up_ended(sink);
    }

    fn get(&mut self, key: ConnectionKey) -> Option<&mut TrackedFlow> {
        let flow = self.flows.get_mut(key.index as usize)?;
        (flow.is(TrackedFlags::USED) && flow.generation == key.generation).then_some(flow)
    }

    /// How often the table was full since the last call.
    pub fn take_full(&mut self) -> u64 {
        mem::take(&mut self.full)
    }

    /// Returns memory that the table no longer needs to the allocator.
    pub fn make_room(&mut self) {
        let before = self.flows.len();
        while let Some(free) = self.flows.pop_if(|flow| !flow.is(TrackedFlags::USED)) {
            self.generation = self.generation.max(free.generation);
        }
        let count = self.flows.len();
        if count < before {
            self.free.retain(|Reverse(place)| (*place as usize) < count);
        }
        if self.flows.capacity() > 2 * count + 1024 {
            self.flows.shrink_to(count + count / 8);
        }
        if self.places.capacity() > 4 * count + 1024 {
            self.places.shrink_to(2 * count);
        }
        self.free.shrink_to(2 * self.free.len() + 64);
    }
}

/// The generation after this one; never 0.
fn next(generation: u32) -> u32 {
    generation.wrapping_add(1).max(1)
}

/// A hasher that returns its input, which is a hash already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
#[path = "flow_table_tests/mod.rs"]
mod tests;
