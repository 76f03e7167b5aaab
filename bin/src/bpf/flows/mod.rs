//! The flow table as userspace sees it. Reads the entries of places that were announced, hands up what changed, ends flows and
//! frees their places.
//!
//! The kernel programs announce a place at most once per interval. An announced place is read at the end of the interval, and
//! once more at the end of the next one, because its last packet may have been counted while the entry was being read. A flow
//! that has ended is handed up with its final counters, and its place returns to the programs through the [`Queue`].

mod endings;
#[cfg(test)]
mod tests;
mod visit;

use std::{collections::VecDeque, mem, time::Duration};

use tcptop_abi::{Counters, Flow, IPPROTO_UDP};

use self::endings::Ended;
use super::{
    decode::{self, DecodeContext},
    queue::Queue,
};
use crate::{
    collector::{ConnectionKey, Observation, Sink},
    sys::{clock, mapped::MappedArray},
};

/// How long after hooks were attached again /proc is asked about connections that have not moved since. It is asked twice
/// about each, and not always at every tick.
const DOUBT: Duration = Duration::from_secs(30);

/// What userspace keeps for one place.
#[derive(Clone, Copy, Debug, Default)]
struct Tracked {
    /// How many flows had this place before the present one.
    generation: u32,
    /// The interval of the last activity of a UDP flow in `idle`; 0: the flow is not in `idle`.
    idle: u32,
    /// The interval in which a TCP connection ended that now waits for its owner to show itself; 0: it does not wait.
    awaited: u32,
    /// The place is in `listed`.
    listed: bool,
    /// The listener there was handed up.
    listening: bool,
}

/// A UDP flow that moved nothing in the last interval.
struct IdleFlow {
    place: u32,
    generation: u32,
    /// The interval of its last activity.
    interval: u32,
    /// The end of that interval.
    since: Duration,
}

/// The end of an interval.
#[derive(Clone, Copy)]
pub struct Tick {
    /// `CLOCK_MONOTONIC`.
    pub now: Duration,
    /// This is the last interval.
    pub last: bool,
}

/// The flow table.
pub struct FlowTable {
    entries: MappedArray<Flow>,
    queue: Queue,
    /// Places of flows that ended. They are put into the queue together.
    retired: Vec<u32>,
    /// Cookies of closed sockets whose state is a hash entry, and whose end no hook has seen.
    left_behind: Vec<u64>,
    /// By place. It is only as long as the highest place announced so far requires.
    tracked: Vec<Tracked>,
    /// Places that were announced in this interval or the one before.
    listed: Vec<u32>,
    /// Oldest first. An entry is out of date if the flow has moved since: then `Tracked::idle` differs.
    idle: VecDeque<IdleFlow>,
    /// A UDP flow without traffic for this long has ended: UDP has no other end while its socket is open.
    udp_timeout: Duration,
    /// The end of the previous interval.
    before: Duration,
    /// What decoding an entry needs to know.
    context: DecodeContext,
    /// When hooks were attached again. Connections that have not moved since then may have ended unseen.
    doubted: Option<Duration>,
}

impl FlowTable {
    /// Wraps the mapped table. Nothing was announced yet.
    pub fn new(
        entries: MappedArray<Flow>,
        queue: Queue,
        udp_timeout: Duration,
        context: DecodeContext,
    ) -> Self {
        Self {
            entries,
            queue,
            retired: Vec::new(),
            left_behind: Vec::new(),
            tracked: Vec::new(),
            listed: Vec::new(),
            idle: VecDeque::new(),
            udp_timeout,
            before: clock::monotonic(),
            context,
            doubted: None,
        }
    }

    /// Returns true if the kernel programs number processes as /proc does.
    pub const fn pids_are_ours(&self) -> bool {
        self.context.pids_are_ours
    }

    /// Says whether the hook that sees the end of sockets is attached.
    pub const fn set_sees_releases(&mut self, sees_releases: bool) {
        self.context.sees_releases = sees_releases;
    }

    /// Records that hooks were detached for a while and attached again at `now`, in this `interval`. TCP connections may have
    /// ended unseen meanwhile.
    pub fn doubt(&mut self, interval: u32, now: Duration) {
        self.context.doubted = interval + 1;
        self.doubted = Some(now);
        self.announce_all();
    }

    /// Lists a place that a program announced.
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

    /// Lists every place that was ever used. Called when announcements were lost.
    pub fn announce_all(&mut self) {
        (0..self.queue.used()).for_each(|place| self.announce(place));
    }

    /// Hands up the flows that have ended, and frees their places.
    pub fn drain(&mut self, interval: u32, sink: Sink<'_>) {
        self.walk(interval, None, sink);
        self.make_room();
    }

    /// Hands up everything that happened in this `interval`, which has ended.
    pub fn collect(&mut self, interval: u32, tick: Tick, sink: Sink<'_>) {
        if self.doubted.is_some_and(|since| tick.now.saturating_sub(since) >= DOUBT) {
            self.context.doubted = 0;
            self.doubted = None;
            // A connection that is still in /proc has not ended.
            self.announce_all();
        }
        self.walk(interval, Some(tick), sink);
        self.before = tick.now;
        // Give back the memory that a burst of new connections took.
        self.listed.shrink_to(2 * self.listed.len());
        // A flow that becomes idle again and again adds an entry each time.
        if self.idle.len() > 2 * self.tracked.len() + 1024 {
            let idle = mem::take(&mut self.idle);
            self.idle = idle.into_iter().filter(|idle| self.is_current(idle)).collect();
        }
        self.idle.shrink_to(2 * self.idle.len());
        self.entries.age();
        self.queue.age();
    }

    /// Takes the cookies of ended connections whose state the kernel programs have not removed.
    pub fn take_left_behind(&mut self) -> Vec<u64> {
        mem::take(&mut self.left_behind)
    }

    /// Frees the places of flows that were handed up as ended.
    pub fn make_room(&mut self) {
        let now = clock::monotonic();
        self.queue.put(&mut self.retired, now);
        self.queue.publish(now);
    }

    /// Returns true if the programs need the places of flows that have ended.
    pub fn wants_places(&mut self) -> bool {
        self.queue.has_asked() || self.queue.patience().is_some()
    }

    /// Returns how soon to drain although no program asks for it, because resting places may be needed or no place is left.
    pub fn patience(&mut self) -> Option<Duration> {
        self.queue.patience()
    }

    /// Ends flows, and hands up the last observation of each.
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

    /// Makes an observation of a flow. Returns `None` if its protocol is not known.
    fn observe(&self, place: u32, flow: &Flow) -> Option<Observation> {
        decode::observation(flow, self.key(place), self.context)
    }

    /// Returns the flow at a place, unless userspace has ended it.
    fn flow(&mut self, place: u32) -> Option<Flow> {
        self.entries.read(place).filter(is_open)
    }

    fn walk(&mut self, interval: u32, tick: Option<Tick>, sink: Sink<'_>) {
        self.context.now = clock::boot();
        let mut ended = Ended { places_are_short: self.queue.is_short(), ..Ended::default() };
        let mut listed = mem::take(&mut self.listed);
        listed.retain(|place| {
            let keep = self.visit(*place, interval, tick, &mut ended, sink);
            self.tracked[*place as usize].listed = keep;
            keep
        });
        self.listed = listed;
        if !ended.udp_cookies.is_empty() {
            self.find_siblings(&mut ended);
        }
        if let Some(tick) = tick {
            // Reports come a little early or late. The slack lets the right one end a flow whose timeout is a multiple of the
            // interval.
            let slack = tick.now.saturating_sub(self.before) / 8;
            self.find_expired(tick.now + slack, &mut ended.udp_places);
        }
        self.close(&mut ended, sink);
        self.expire(&ended.udp_places, sink);
    }
}

/// Returns true for a UDP flow in which nothing was counted yet. The program that makes it will count in it or abandon it.
const fn is_unused(flow: &Flow) -> bool {
    let Counters { rx_bytes, tx_bytes, rx_packets, tx_packets, .. } = flow.counters;
    flow.protocol == IPPROTO_UDP && rx_bytes | tx_bytes | rx_packets | tx_packets == 0
}

/// Returns true if the entry belongs to a flow that userspace has not ended.
const fn is_open(flow: &Flow) -> bool {
    flow.cookie != 0 && flow.cookie & Flow::RETIRED == 0
}
