//! The flows that are handed up: which entries they are, which have news, and which ended.
//!
//! A reading passes every entry of the kernel's table, and each flow is brought up to date in place. What the table has room
//! for is 80 bytes for a flow, 48 more for one of IPv6, 32 more for one whose counters somebody has reset, and 17 to 39 bytes
//! to find it. So 20,000 flows of IPv4 take 2.1 to 2.3 MiB.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    hash::{BuildHasherDefault, Hasher},
    mem,
};

use super::{
    direction::Ends,
    entry::{Entry, Identity},
    flow::{Flow, Mark},
};
use crate::{
    collector::{CollectorEvent, ConnectionKey, Sink},
    sys::clock::Moment,
};

/// So many flows find room. The kernel's own table mostly has less (`nf_conntrack_max`).
const MOST: usize = 128 * 1024;

/// So many rows of a reading wait for the events that may explain them.
const MOST_DOUBTFUL: usize = 1024;

/// The flows.
#[derive(Debug, Default)]
pub struct Flows {
    identity: Identity,
    /// Leads from an entry to the place of its flow.
    places: HashMap<u64, u32, BuildHasherDefault<Hashed>>,
    flows: Vec<Flow>,
    /// Places of `flows` that are free: the lowest first, since receivers have tables of their own by place.
    free: BinaryHeap<Reverse<u32>>,
    /// The generation that the flows of new places begin with, less one.
    generation: u32,
    /// Places of flows whose end is to be handed up.
    ended: Vec<u32>,
    /// Rows that may be of another entry than the flow with their tuples: an event will tell, if there is one.
    doubtful: HashMap<u64, Entry, BuildHasherDefault<Hashed>>,
    /// By place, what flows that were there at the start had moved until then. Empty once it was handed up.
    earlier: Vec<[u64; 2]>,
    /// How often there was no room.
    full: u64,
}

/// What a flow that appears is made of, besides its entry. `None`: it is not to be handed up.
pub type Appear<'a> = &'a mut dyn FnMut(&Entry) -> Option<Appearance>;

/// Its ends, and when it began, if this is known.
pub type Appearance = (Ends, Option<Moment>);

impl Flows {
    /// Takes in a row of a reading. `waits`: what is doubtful waits until the events that came meanwhile are taken in.
    pub fn see(&mut self, entry: &Entry, waits: bool, now: Moment, appear: Appear<'_>) {
        let id = self.identity.of(entry);
        let Some(place) = self.places.get(&id).copied() else { return self.add(id, entry, appear) };
        let flow = &mut self.flows[place as usize];
        if waits && self.doubtful.len() < MOST_DOUBTFUL && (flow.is_other(entry) || flow.fell_back(entry)) {
            flow.set(Mark::SEEN, true);
            self.doubtful.insert(id, entry.clone());
        } else {
            self.apply(id, place, entry, now, appear);
        }
    }

    /// Takes in a row with the tuples of a flow.
    fn apply(&mut self, id: u64, place: u32, entry: &Entry, now: Moment, appear: Appear<'_>) {
        let flow = &mut self.flows[place as usize];
        if flow.is_other(entry) {
            self.places.remove(&id);
            self.end(place);
            self.add(id, entry, appear);
        } else if flow.take_row(entry, now) && !flow.is(Mark::LEFT) {
            flow.set(Mark::OVER | Mark::ENDED, true);
            self.ended.push(place);
        }
    }

    /// Adds a flow if it is one to be handed up.
    fn add(&mut self, id: u64, entry: &Entry, appear: Appear<'_>) {
        if let Some(appearance) = appear(entry)
            && let Some(place) = self.take_place(entry, &appearance)
        {
            self.places.insert(id, place);
        }
    }

    /// Puts a flow at a free place. `None`: there is none.
    fn take_place(&mut self, entry: &Entry, (ends, began): &Appearance) -> Option<u32> {
        if let Some(Reverse(place)) = self.free.pop() {
            let at = &mut self.flows[place as usize];
            *at = Flow::new(entry, ends, *began, next(at.generation));
            return Some(place);
        }
        let count = self.flows.len();
        if count == MOST {
            self.full += 1;
            return None;
        }
        if count == self.flows.capacity() {
            // Twice the room would often be much too much.
            self.flows.reserve_exact((count / 8).max(64));
        }
        self.flows.push(Flow::new(entry, ends, *began, next(self.generation)));
        u32::try_from(count).ok()
    }

    /// Takes in an entry that left the kernel's table, with its final counts.
    pub fn destroy(&mut self, entry: &Entry, appear: Appear<'_>) {
        let id = self.identity.of(entry);
        let known = self.places.get(&id).copied();
        if let Some(place) = known.filter(|place| !self.flows[*place as usize].is_other_instance(entry)) {
            let flow = &mut self.flows[place as usize];
            if flow.fell_back(entry) {
                // Somebody reset its counters, so that the row was its own.
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
        // It began after the reading before.
        if let Some(appearance) = appear(entry)
            && let Some(place) = self.take_place(entry, &appearance)
        {
            self.end(place);
        }
    }

    /// A flow's entry is gone.
    fn end(&mut self, place: u32) {
        let flow = &mut self.flows[place as usize];
        if flow.is(Mark::ENDED) {
            flow.set(Mark::OVER, false);
        } else if flow.is(Mark::OVER) || flow.is(Mark::LEFT) {
            self.vacate(place);
        } else {
            flow.set(Mark::ENDED, true);
            self.ended.push(place);
        }
    }

    fn vacate(&mut self, place: u32) {
        self.flows[place as usize].vacate();
        self.free.push(Reverse(place));
    }

    /// Takes in the rows that waited for events.
    pub fn settle(&mut self, now: Moment, appear: Appear<'_>) {
        for (id, entry) in mem::take(&mut self.doubtful) {
            match self.places.get(&id).copied() {
                Some(place) => self.apply(id, place, &entry, now, appear),
                None => self.add(id, &entry, appear),
            }
        }
    }

    /// A reading is over: ends the flows that it did not show. `may_miss`: a flow ends when two readings in a row did not show
    /// it.
    pub fn finish(&mut self, may_miss: bool) {
        let mut places = mem::take(&mut self.places);
        places.retain(|_, place| {
            let flow = &mut self.flows[*place as usize];
            let is_seen = flow.is(Mark::SEEN);
            let stays = is_seen || (may_miss && !flow.is(Mark::MISSED));
            flow.set(Mark::MISSED, !is_seen);
            flow.set(Mark::SEEN, false);
            if !stays {
                self.end(*place);
            }
            stays
        });
        self.places = places;
    }

    /// A reading failed before its end: no flow ended, as far as it tells.
    pub fn break_off(&mut self) {
        self.flows.iter_mut().for_each(|flow| flow.set(Mark::SEEN, false));
    }

    /// What the flows have moved until now is their past.
    pub fn begin(&mut self) {
        self.earlier = self.flows.iter().map(Flow::bytes).collect();
        // What has ended before the start is no connection any more, unless it moves again.
        self.flows
            .iter_mut()
            .filter(|flow| flow.is(Mark::RESTING))
            .for_each(|flow| flow.set(Mark::OVER, true));
    }

    /// Hands up the flows that ended.
    pub fn hand_up_ended(&mut self, sink: Sink<'_>) {
        for place in mem::take(&mut self.ended) {
            let earlier = self.take_earlier(place);
            let flow = &mut self.flows[place as usize];
            // Another collector may have claimed it meanwhile.
            if !flow.is(Mark::LEFT) {
                sink(CollectorEvent::Ended(flow.observation(place, earlier)));
            }
            if flow.is(Mark::OVER) {
                flow.set(Mark::ENDED | Mark::MOVED, false);
                flow.generation = next(flow.generation);
            } else {
                self.vacate(place);
            }
        }
    }

    /// Hands up the flows that ended or have news.
    pub fn hand_up(&mut self, sink: Sink<'_>) {
        self.hand_up_ended(sink);
        for place in (0..).take(self.flows.len()) {
            let flow = &mut self.flows[place as usize];
            if !flow.is(Mark::MOVED) {
                continue;
            }
            flow.set(Mark::MOVED, false);
            if !flow.is(Mark::LEFT) && !flow.is(Mark::OVER) {
                // Its first observation, and nothing has come since the start.
                let has_rested =
                    self.earlier.get(place as usize) == Some(&self.flows[place as usize].bytes());
                let earlier = self.take_earlier(place);
                let seen = self.flows[place as usize].observation(place, earlier);
                sink(if has_rested { CollectorEvent::Existed(seen) } else { CollectorEvent::Moved(seen) });
            }
        }
        self.earlier = Vec::new();
    }

    /// What the flow there had moved before the start, for its first observation only: the receiver knows it from then on.
    fn take_earlier(&mut self, place: u32) -> [u64; 2] {
        self.earlier.get_mut(place as usize).map(mem::take).unwrap_or_default()
    }

    /// Another collector counts these.
    pub fn leave(&mut self, keys: &[ConnectionKey]) {
        for key in keys {
            self.get(*key).into_iter().for_each(|flow| flow.set(Mark::LEFT, true));
        }
    }

    /// Another source has seen these end.
    pub fn end_now(&mut self, keys: &[ConnectionKey], sink: Sink<'_>) {
        for key in keys {
            let Some(flow) = self.get(*key) else { continue };
            if !flow.is(Mark::ENDED) && !flow.is(Mark::LEFT) && !flow.is(Mark::OVER) {
                flow.set(Mark::OVER | Mark::ENDED, true);
                self.ended.push(key.index);
            }
        }
        self.hand_up_ended(sink);
    }

    fn get(&mut self, key: ConnectionKey) -> Option<&mut Flow> {
        let flow = self.flows.get_mut(key.index as usize)?;
        (flow.is(Mark::USED) && flow.generation == key.generation).then_some(flow)
    }

    /// How often there was no room since the last call.
    pub fn take_full(&mut self) -> u64 {
        mem::take(&mut self.full)
    }

    /// Gives memory back that many flows took which are gone.
    pub fn make_room(&mut self) {
        let before = self.flows.len();
        while let Some(free) = self.flows.pop_if(|flow| !flow.is(Mark::USED)) {
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

/// Takes a hash for what it is.
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
#[path = "flows_tests.rs"]
mod tests;
