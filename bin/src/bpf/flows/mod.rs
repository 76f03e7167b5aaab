//! The flow table as userspace sees it: which places have news, what became of their flows, and when places are free again.
//!
//! The kernel programs announce a place at most once per interval. A listed place is read at the end of the interval, and
//! once more at the end of the next: its last packet may have been counted while the entry was being read. What ended is
//! handed up with its final counters, and its place goes back through the [`Queue`].

mod endings;
#[cfg(test)]
mod tests;
mod visit;

use std::{collections::VecDeque, mem, time::Duration};

use tcptop_abi::{Counters, Flow, IPPROTO_UDP};

use self::endings::Ended;
use super::{
    decode::{self, Reading},
    queue::Queue,
};
use crate::{
    collector::{ConnectionKey, Observation, Sink},
    sys::{clock, mapped::MappedArray},
};

/// So long after hooks were attached again, /proc is asked about connections that have not moved since. It is asked twice
/// about each, and not always at every tick.
const DOUBT: Duration = Duration::from_secs(30);

/// What userspace keeps for one place.
#[derive(Clone, Copy, Debug, Default)]
struct Tracked {
    /// Which flow of this place it is, counted from 0.
    generation: u32,
    /// The interval of the last activity of a UDP flow in `silent`; 0: it is not there.
    silent: u32,
    /// The interval in which a TCP connection ended whose owner is awaited; 0: none is.
    awaited: u32,
    /// The place is in `listed`.
    listed: bool,
    /// The listener there was handed up.
    listening: bool,
}

/// A UDP flow that moved nothing in the last interval.
struct Silent {
    place: u32,
    generation: u32,
    /// The interval of its last activity, and the end of that interval.
    epoch: u32,
    since: Duration,
}

/// The end of an interval.
#[derive(Clone, Copy)]
pub struct Tick {
    /// `CLOCK_MONOTONIC`.
    pub now: Duration,
    /// There is no other.
    pub last: bool,
}

/// The flow table.
pub struct Flows {
    entries: MappedArray<Flow>,
    queue: Queue,
    /// Places of flows that ended, to be put into the queue together.
    retired: Vec<u32>,
    /// Cookies of closed sockets whose state is an entry of the hash, and that no hook has seen end.
    left_behind: Vec<u64>,
    /// By place, as far as places were announced.
    tracked: Vec<Tracked>,
    /// Places that were announced in this interval or the one before.
    listed: Vec<u32>,
    /// Oldest first. An entry is out of date if the flow has moved since: then `Tracked::silent` differs.
    silent: VecDeque<Silent>,
    /// A UDP flow without traffic for this long has ended: UDP has no other end while its socket is open.
    udp_timeout: Duration,
    /// The end of the interval before.
    before: Duration,
    /// How entries are read.
    reading: Reading,
    /// Since when connections are doubted that have not moved.
    doubted: Option<Duration>,
}

impl Flows {
    /// A table of which nothing is known yet.
    pub fn new(entries: MappedArray<Flow>, queue: Queue, udp_timeout: Duration, reading: Reading) -> Self {
        Self {
            entries,
            queue,
            retired: Vec::new(),
            left_behind: Vec::new(),
            tracked: Vec::new(),
            listed: Vec::new(),
            silent: VecDeque::new(),
            udp_timeout,
            before: clock::monotonic(),
            reading,
            doubted: None,
        }
    }

    /// Whether the kernel programs number processes as /proc does.
    pub const fn pids_are_ours(&self) -> bool {
        self.reading.pids_are_ours
    }

    /// Whether the hook that sees the end of sockets is attached.
    pub const fn set_sees_releases(&mut self, sees_releases: bool) {
        self.reading.sees_releases = sees_releases;
    }

    /// Hooks were detached for a while, and were attached again in this interval, at `now`: TCP connections may have ended unseen.
    pub fn doubt(&mut self, epoch: u32, now: Duration) {
        self.reading.doubted = epoch + 1;
        self.doubted = Some(now);
        self.announce_all();
    }

    /// A place was announced.
    pub fn announce(&mut self, place: u32) {
        if place >= self.entries.count() {
            return;
        }
        let at = place as usize;
        if at >= self.tracked.len() {
            self.tracked.resize(at + 1, Tracked::default());
        }
        if !mem::replace(&mut self.tracked[at].listed, true) {
            self.listed.push(place);
        }
    }

    /// Announcements were lost: every place that was ever used may have news.
    pub fn announce_all(&mut self) {
        (0..self.queue.used()).for_each(|place| self.announce(place));
    }

    /// Hands up what has ended, and returns its places.
    pub fn drain(&mut self, epoch: u32, sink: Sink<'_>) {
        self.walk(epoch, None, sink);
        self.make_room();
    }

    /// Interval `epoch` has ended: hands up whatever happened in it.
    pub fn collect(&mut self, epoch: u32, tick: Tick, sink: Sink<'_>) {
        if self.doubted.is_some_and(|since| tick.now.saturating_sub(since) >= DOUBT) {
            self.reading.doubted = 0;
            self.doubted = None;
            // Whatever is there still has not ended.
            self.announce_all();
        }
        self.walk(epoch, Some(tick), sink);
        self.before = tick.now;
        // Ten thousand new connections at once are no reason to keep room for as many.
        self.listed.shrink_to(2 * self.listed.len());
        // A flow that falls silent again and again leaves an entry each time.
        if self.silent.len() > 2 * self.tracked.len() + 1024 {
            let silent = mem::take(&mut self.silent);
            self.silent = silent.into_iter().filter(|silent| self.is_current(silent)).collect();
        }
        self.silent.shrink_to(2 * self.silent.len());
        self.entries.age();
        self.queue.age();
    }

    /// Cookies of ended connections whose state the kernel programs have left behind.
    pub fn take_left_behind(&mut self) -> Vec<u64> {
        mem::take(&mut self.left_behind)
    }

    /// Returns the places of what was handed up as ended.
    pub fn make_room(&mut self) {
        let now = clock::monotonic();
        self.queue.put(&mut self.retired, now);
        self.queue.publish(now);
    }

    /// Whether places are needed of flows that have ended.
    pub fn wants_places(&mut self) -> bool {
        self.queue.has_asked() || self.queue.patience().is_some()
    }

    /// How soon to drain although no program asks for it: places rest that may be needed, or none is left.
    pub fn patience(&mut self) -> Option<Duration> {
        self.queue.patience()
    }

    /// Ends flows, and hands each up a last time.
    pub fn end(&mut self, keys: &[ConnectionKey], sink: Sink<'_>) {
        let is_current = |key: &&ConnectionKey| {
            self.tracked
                .get(key.index as usize)
                .is_some_and(|tracked| tracked.generation + 1 == key.generation)
        };
        let places: Vec<u32> = keys.iter().filter(is_current).map(|key| key.index).collect();
        self.expire(&places, sink);
    }

    fn key(&self, place: u32) -> ConnectionKey {
        ConnectionKey { index: place, generation: self.tracked[place as usize].generation + 1 }
    }

    /// A flow as an observation; `None`: it has no known protocol.
    fn observe(&self, place: u32, flow: &Flow) -> Option<Observation> {
        decode::observation(flow, self.key(place), self.reading)
    }

    /// The flow at a place; `None`: there is none, or it was ended.
    fn flow(&mut self, place: u32) -> Option<Flow> {
        self.entries.read(place).filter(is_open)
    }

    fn walk(&mut self, epoch: u32, tick: Option<Tick>, sink: Sink<'_>) {
        self.reading.now = clock::boot();
        let mut ended = Ended { places_are_short: self.queue.is_short(), ..Ended::default() };
        let mut listed = mem::take(&mut self.listed);
        listed.retain(|place| {
            let keep = self.visit(*place, epoch, tick, &mut ended, sink);
            self.tracked[*place as usize].listed = keep;
            keep
        });
        self.listed = listed;
        if !ended.sockets.is_empty() {
            self.find_siblings(&mut ended);
        }
        if let Some(tick) = tick {
            // Of reports that come a little early or late, the right one ends a flow whose timeout is a multiple of the
            // interval.
            let slack = tick.now.saturating_sub(self.before) / 8;
            self.find_expired(tick.now + slack, &mut ended.flows);
        }
        self.close(&mut ended, sink);
        self.expire(&ended.flows, sink);
    }
}

/// Whether an entry is a UDP flow's in which nothing was counted: the program that makes it will count in it or abandon it.
const fn is_unused(flow: &Flow) -> bool {
    let Counters { rx_bytes, tx_bytes, rx_packets, tx_packets, .. } = flow.counters;
    flow.protocol == IPPROTO_UDP && rx_bytes | tx_bytes | rx_packets | tx_packets == 0
}

/// Whether an entry is a flow's that userspace has not ended.
const fn is_open(flow: &Flow) -> bool {
    flow.cookie != 0 && flow.cookie & Flow::RETIRED == 0
}
