//! The flow table as userspace sees it: which places have news, what became of their flows, and when places are free again.
//!
//! The kernel programs announce a place at most once per interval. A listed place is read at the end of the interval, and
//! once more at the end of the next: its last packet may have been counted while the entry was being read. What ended is
//! handed up with its final counters, and its place goes back through the [`Queue`].

use std::{
    collections::{HashSet, VecDeque},
    mem::{self, offset_of},
    time::Duration,
};

use tcptop_abi::{Flow, IPPROTO_TCP, IPPROTO_UDP, TcpStateCode};

use super::{decode, queue::Queue};
use crate::{
    collector::{CollectorEvent, ConnectionKey, Sink},
    sys::{clock, mapped::MappedArray},
};

/// The counters of a flow that has ended are read this long after its end: until then, a program that was counting in it
/// has finished. A run takes less than a microsecond, and so does the arrival of a store; on ARM, two stores may arrive in
/// either order.
const SETTLING: Duration = Duration::from_micros(50);

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
    /// The hook that sees the end of sockets is attached.
    sees_releases: bool,
}

impl Flows {
    /// A table of which nothing is known yet.
    pub const fn new(
        entries: MappedArray<Flow>,
        queue: Queue,
        udp_timeout: Duration,
        sees_releases: bool,
    ) -> Self {
        Self {
            entries,
            queue,
            retired: Vec::new(),
            tracked: Vec::new(),
            listed: Vec::new(),
            silent: VecDeque::new(),
            udp_timeout,
            before: Duration::ZERO,
            sees_releases,
        }
    }

    /// A place was announced.
    pub fn announce(&mut self, place: u32) {
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
        self.walk(epoch, Some(tick), sink);
        self.before = tick.now;
        // Ten thousand new connections at once are no reason to keep room for as many.
        self.listed.shrink_to(2 * self.listed.len());
        self.silent.shrink_to(2 * self.silent.len());
    }

    /// Returns the places of what was handed up as ended.
    pub fn make_room(&mut self) {
        let now = clock::monotonic();
        self.queue.put(&self.retired, now);
        self.retired.clear();
        self.queue.publish(now);
        self.entries.age();
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

    /// The flow at a place; `None`: there is none, or it was ended.
    fn flow(&mut self, place: u32) -> Option<Flow> {
        self.entries.read(place).filter(|flow| flow.cookie != 0 && flow.cookie & Flow::RETIRED == 0)
    }

    fn walk(&mut self, epoch: u32, tick: Option<Tick>, sink: Sink<'_>) {
        let mut ended = Ended::default();
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
        self.close(&ended, sink);
        self.expire(&ended.flows, sink);
    }

    /// Looks at one listed place. False: it need not be looked at again until it is announced.
    fn visit(
        &mut self,
        place: u32,
        epoch: u32,
        tick: Option<Tick>,
        ended: &mut Ended,
        sink: Sink<'_>,
    ) -> bool {
        let Some(flow) = self.flow(place) else { return false };
        if flow.abandoned != 0 {
            self.retire(place, &flow);
            return false;
        }
        let observe = |flows: &Self| decode::observation(&flow, flows.key(place), flows.sees_releases);
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
                    observe(self).into_iter().for_each(|seen| sink(CollectorEvent::Listening(seen)));
                }
                return tick.is_none();
            }
            _ => {}
        }
        if tick.is_none() {
            return true;
        }
        observe(self).into_iter().for_each(|seen| sink(CollectorEvent::Moved(seen)));
        let announced = flow.epoch >= epoch;
        let tracked = &mut self.tracked[place as usize];
        if !announced && flow.protocol == IPPROTO_UDP && tracked.silent != flow.epoch {
            tracked.silent = flow.epoch;
            let Tracked { generation, .. } = *tracked;
            self.silent.push_back(Silent { place, generation, epoch: flow.epoch, since: self.before });
        }
        announced
    }

    /// A TCP connection or a listener has ended. A connection that nobody is known to own waits for one interval: the
    /// process that still has its socket open shows itself by closing it.
    fn visit_closed(
        &mut self,
        place: u32,
        flow: &Flow,
        epoch: u32,
        tick: Option<Tick>,
        ended: &mut Ended,
        sink: Sink<'_>,
    ) -> bool {
        let is_listener = flow.ends.rport == 0;
        if is_listener || flow.owner.is_known() || flow.released != 0 || tick.is_some_and(|tick| tick.last) {
            ended.closed.push((place, is_listener));
            return false;
        }
        let Some(_) = tick else { return true };
        let awaited = self.tracked[place as usize].awaited;
        if awaited != 0 && awaited < epoch {
            ended.closed.push((place, is_listener));
            return false;
        }
        if awaited == 0 {
            self.tracked[place as usize].awaited = epoch;
            let seen = decode::observation(flow, self.key(place), self.sees_releases);
            seen.into_iter().for_each(|seen| sink(CollectorEvent::Moved(seen)));
        }
        true
    }

    /// Adds the other flows of UDP sockets that were closed.
    fn find_siblings(&mut self, ended: &mut Ended) {
        let silent = self.silent.iter().filter(|silent| self.is_current(silent)).map(|silent| silent.place);
        let places: Vec<u32> = self.listed.iter().copied().chain(silent).collect();
        for place in places {
            let is_sibling =
                |flow: &Flow| flow.protocol == IPPROTO_UDP && ended.sockets.contains(&flow.cookie);
            if self.flow(place).is_some_and(|flow| is_sibling(&flow)) && !ended.flows.contains(&place) {
                ended.flows.push(place);
            }
        }
    }

    fn is_current(&self, silent: &Silent) -> bool {
        let tracked = &self.tracked[silent.place as usize];
        tracked.generation == silent.generation && tracked.silent == silent.epoch && !tracked.listed
    }

    /// Adds UDP flows that were silent for too long.
    fn find_expired(&mut self, now: Duration, expired: &mut Vec<u32>) {
        while let Some(oldest) =
            self.silent.pop_front_if(|oldest| now.saturating_sub(oldest.since) >= self.udp_timeout)
        {
            // One that has moved since is announced again.
            if self.is_current(&oldest)
                && self.flow(oldest.place).is_some_and(|flow| flow.epoch == oldest.epoch)
            {
                expired.push(oldest.place);
            }
        }
    }

    /// Hands up TCP connections and listeners that have ended: no program counts in their entries any more.
    fn close(&mut self, ended: &Ended, sink: Sink<'_>) {
        let ends = ended.closed.iter().filter_map(|(place, _)| Some(self.flow(*place)?.ended)).max();
        ends.into_iter().for_each(|newest| settle(Duration::from_nanos(newest)));
        // A connection that was never accepted belongs to its listener, which may have come and gone with it.
        let (listeners, connections): (Vec<_>, Vec<_>) =
            ended.closed.iter().partition(|(_, is_listener)| *is_listener);
        for (place, is_listener) in listeners.into_iter().chain(connections) {
            let Some(flow) = self.flow(place) else { continue };
            let key = self.key(place);
            let seen = decode::observation(&flow, key, self.sees_releases);
            if !is_listener {
                seen.into_iter().for_each(|seen| sink(CollectorEvent::Ended(seen)));
            } else {
                if !self.tracked[place as usize].listening {
                    seen.into_iter().for_each(|seen| sink(CollectorEvent::Listening(seen)));
                }
                sink(CollectorEvent::StoppedListening(key));
            }
            self.retire(place, &flow);
        }
    }

    /// Ends flows that programs may still count in: retires them, lets runs under way finish, and hands up the last counters.
    /// A program that counts in one after that finds the cookie changed, and takes it back (kern/src/udp.rs).
    fn expire(&mut self, places: &[u32], sink: Sink<'_>) {
        let mut expired = Vec::with_capacity(places.len());
        for place in places {
            if let Some(flow) = self.flow(*place) {
                expired.push((*place, self.key(*place)));
                self.retire(*place, &flow);
            }
        }
        if expired.is_empty() {
            return;
        }
        settle(clock::monotonic());
        for (place, key) in expired {
            let flow = self.entries.read(place);
            let seen = flow.and_then(|flow| decode::observation(&flow, key, self.sees_releases));
            seen.into_iter().for_each(|seen| sink(CollectorEvent::Ended(seen)));
        }
    }

    /// From now on no program finds the flow by its socket.
    fn retire(&mut self, place: u32, flow: &Flow) {
        let high = if cfg!(target_endian = "little") { 4 } else { 0 };
        let cookie = flow.cookie | Flow::RETIRED;
        if !self.entries.store(place, offset_of!(Flow, cookie) + high, (cookie >> 32) as u32) {
            return;
        }
        let tracked = &mut self.tracked[place as usize];
        let listed = tracked.listed;
        *tracked = Tracked { generation: tracked.generation.wrapping_add(1), listed, ..Tracked::default() };
        self.retired.push(place);
    }
}

/// Waits until what was written at `since` has arrived, and programs that ran then have finished.
fn settle(since: Duration) {
    while clock::monotonic().saturating_sub(since) < SETTLING {
        std::hint::spin_loop();
    }
}

/// What a walk found to have ended.
#[derive(Default)]
struct Ended {
    /// TCP: no program counts there any more. Whether it is a listener.
    closed: Vec<(u32, bool)>,
    /// UDP: programs may still count there.
    flows: Vec<u32>,
    /// Cookies of UDP sockets that were closed and have other flows.
    sockets: HashSet<u64>,
}
