//! Ends flows, and frees their places. Four functions share the work:
//!
//! - `FlowTable::close` hands up TCP connections and listeners that the programs have ended.
//! - `FlowTable::expire` ends UDP flows, and every other flow in which programs may still count.
//! - `FlowTable::retire` is called by both. It hides an entry from the programs, and puts its place aside for the queue.
//! - `FlowTable::end` ends the flows that the caller chose, by `expire`.

use std::{collections::HashSet, mem::offset_of, time::Duration};

use tcptop_abi::{Flow, FlowFlags, IPPROTO_TCP, IPPROTO_UDP};

use super::{FlowTable, IdleFlow, Tracked, is_unused};
use crate::{
    bpf::decode,
    collector::{CollectorEvent, Sink},
    sys::clock,
};

/// How long userspace waits after a flow has ended before it reads the final counters, so that programs that were counting
/// have finished. A run takes at most a few microseconds. A store reaches other CPUs in less than a microsecond; on ARM, two
/// stores may arrive in either order.
const SETTLING: Duration = Duration::from_micros(50);

/// A TCP connection or a listener that has ended.
pub(super) struct Closed {
    pub place: u32,
    pub is_listener: bool,
    /// `Flow::ended`, as time since the boot. If no program saw the end, this is the present moment, because programs may have
    /// counted there until now.
    pub ended: Duration,
}

impl Closed {
    /// Makes one from the flow at a place.
    pub fn new(place: u32, flow: &Flow, is_listener: bool) -> Self {
        let ended = if flow.ended == 0 { clock::boot() } else { Duration::from_nanos(flow.ended) };
        Self { place, is_listener, ended }
    }
}

/// The flows that a walk over the listed places found to have ended.
#[derive(Default)]
pub(super) struct Ended {
    /// Few places are left, so ended flows must free theirs soon.
    pub places_are_short: bool,
    /// TCP connections and listeners. No program counts in them any more.
    pub closed: Vec<Closed>,
    /// Places of UDP flows. Programs may still count in them.
    pub udp_places: Vec<u32>,
    /// Cookies of UDP sockets that were closed and have other flows.
    pub udp_cookies: HashSet<u64>,
}

impl FlowTable {
    /// Adds the other flows of UDP sockets that were closed. A flow may be added twice, which does no harm.
    pub(super) fn find_siblings(&mut self, ended: &mut Ended) {
        let idle = self.idle.iter().filter(|idle| self.is_current(idle)).map(|idle| idle.place);
        let places: Vec<u32> = self.listed.iter().copied().chain(idle).collect();
        for place in places {
            let is_sibling =
                |flow: &Flow| flow.protocol == IPPROTO_UDP && ended.udp_cookies.contains(&flow.cookie);
            if self.flow(place).is_some_and(|flow| is_sibling(&flow)) {
                ended.udp_places.push(place);
            }
        }
    }

    /// Returns true if the flow was not seen to move since it became idle. The flow may still be listed, because its entry
    /// could not be mapped.
    pub(super) fn is_current(&self, idle: &IdleFlow) -> bool {
        let tracked = &self.tracked[idle.place as usize];
        tracked.generation == idle.generation && tracked.idle == idle.interval
    }

    /// Adds UDP flows that were idle for too long.
    pub(super) fn find_expired(&mut self, now: Duration, expired: &mut Vec<u32>) {
        while let Some(oldest) =
            self.idle.pop_front_if(|oldest| now.saturating_sub(oldest.since) >= self.udp_timeout)
        {
            if !self.is_current(&oldest) {
                continue;
            }
            match self.entries.read(oldest.place) {
                // The entry cannot be mapped now. Try again later.
                None => return self.idle.push_front(oldest),
                Some(flow) if flow.interval == oldest.interval => expired.push(oldest.place),
                // The flow has moved since, and is announced again.
                Some(_) => {}
            }
        }
    }

    /// Hands up TCP connections and listeners that have ended. No program counts in their entries any more.
    pub(super) fn close(&mut self, ended: &mut Ended, sink: Sink<'_>) {
        // Hand up listeners first: a connection that was never accepted belongs to its listener, which may have appeared and
        // ended in the same interval. Connections follow in the order of their ends.
        ended.closed.sort_unstable_by_key(|closed| (!closed.is_listener, closed.ended));
        let newest = ended.closed.iter().map(|closed| closed.ended).max();
        newest.into_iter().for_each(wait_for_programs);
        for Closed { place, is_listener, .. } in ended.closed.drain(..) {
            let Some(flow) = self.flow(place) else { continue };
            let seen = self.observe(place, &flow);
            if !is_listener {
                seen.into_iter().for_each(|seen| sink(CollectorEvent::Ended(seen)));
            } else {
                if !self.tracked[place as usize].listening {
                    seen.into_iter().for_each(|seen| sink(CollectorEvent::Listening(seen)));
                }
                sink(CollectorEvent::StoppedListening(self.key(place)));
            }
            self.retire(place, &flow);
        }
    }

    /// Ends flows in which programs may still count. Retires them, waits until running programs have finished, and hands up
    /// the last counters. A program that counts in one after that finds the cookie changed, and subtracts what it added
    /// (kern/src/udp.rs).
    pub(super) fn expire(&mut self, places: &[u32], sink: Sink<'_>) {
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
        wait_for_programs(clock::boot());
        for (place, key) in expired {
            // `visit` does not hand up an unused flow, so its end is not handed up either.
            let flow = self.entries.read(place).filter(|flow| !is_unused(flow));
            let seen = flow.and_then(|flow| decode::observation(&flow, key, self.context));
            seen.into_iter().for_each(|seen| sink(CollectorEvent::Ended(seen)));
        }
    }

    /// Retires a flow. From now on no program finds it by its socket.
    pub(super) fn retire(&mut self, place: u32, flow: &Flow) {
        let high = if cfg!(target_endian = "little") { 4 } else { 0 };
        let cookie = flow.cookie | Flow::RETIRED;
        if !self.entries.store(place, offset_of!(Flow, cookie) + high, (cookie >> 32) as u32) {
            return;
        }
        let unseen =
            flow.flags & (FlowFlags::HASHED_STATE | FlowFlags::STATE_EVENTS) == FlowFlags::HASHED_STATE;
        if unseen && flow.protocol == IPPROTO_TCP && flow.released != 0 {
            self.left_behind.push(flow.cookie);
        }
        let tracked = &mut self.tracked[place as usize];
        let listed = tracked.listed;
        *tracked = Tracked { generation: tracked.generation.wrapping_add(1), listed, ..Tracked::default() };
        self.retired.push(place);
    }
}

/// Waits until stores made at `since` have arrived, and programs that ran then have finished.
fn wait_for_programs(since: Duration) {
    // A time in the future is wrong. Nothing can have been stored later than now.
    let since = since.min(clock::boot());
    while clock::boot().saturating_sub(since) < SETTLING {
        std::hint::spin_loop();
    }
}
