//! How flows end, and how their places become free.

use std::{collections::HashSet, mem::offset_of, time::Duration};

use tcptop_abi::{Flow, FlowFlags, IPPROTO_TCP, IPPROTO_UDP};

use super::{Flows, Silent, Tracked, is_unused};
use crate::{
    bpf::decode,
    collector::{CollectorEvent, Sink},
    sys::clock,
};

/// Userspace reads the final counters this long after a flow has ended, so that programs that were counting in it have
/// finished. A run takes less than a microsecond, and so does the arrival of a store; on ARM, two stores may arrive in
/// either order.
const SETTLING: Duration = Duration::from_micros(50);

/// A TCP connection or a listener that has ended.
pub(super) struct Closed {
    pub place: u32,
    pub is_listener: bool,
    /// `Flow::ended`: time since the boot. Now, if the kernel programs did not see the end: they count there until this
    /// moment.
    pub ended: Duration,
}

impl Closed {
    /// What was found at a place.
    pub fn new(place: u32, flow: &Flow, is_listener: bool) -> Self {
        let ended = if flow.ended == 0 { clock::boot() } else { Duration::from_nanos(flow.ended) };
        Self { place, is_listener, ended }
    }
}

/// What a walk found to have ended.
#[derive(Default)]
pub(super) struct Ended {
    /// Few places are left: no ended flow keeps its own for long.
    pub places_are_short: bool,
    /// TCP: no program counts there any more.
    pub closed: Vec<Closed>,
    /// UDP: programs may still count there.
    pub flows: Vec<u32>,
    /// Cookies of UDP sockets that were closed and have other flows.
    pub sockets: HashSet<u64>,
}

impl Flows {
    /// Adds the other flows of UDP sockets that were closed. One that is there already does no harm.
    pub(super) fn find_siblings(&mut self, ended: &mut Ended) {
        let silent = self.silent.iter().filter(|silent| self.is_current(silent)).map(|silent| silent.place);
        let places: Vec<u32> = self.listed.iter().copied().chain(silent).collect();
        for place in places {
            let is_sibling =
                |flow: &Flow| flow.protocol == IPPROTO_UDP && ended.sockets.contains(&flow.cookie);
            if self.flow(place).is_some_and(|flow| is_sibling(&flow)) {
                ended.flows.push(place);
            }
        }
    }

    /// Whether a flow was not seen to move since it fell silent. A listed one counts too: it may be listed only because its
    /// entry could not be mapped.
    pub(super) fn is_current(&self, silent: &Silent) -> bool {
        let tracked = &self.tracked[silent.place as usize];
        tracked.generation == silent.generation && tracked.silent == silent.epoch
    }

    /// Adds UDP flows that were silent for too long.
    pub(super) fn find_expired(&mut self, now: Duration, expired: &mut Vec<u32>) {
        while let Some(oldest) =
            self.silent.pop_front_if(|oldest| now.saturating_sub(oldest.since) >= self.udp_timeout)
        {
            if !self.is_current(&oldest) {
                continue;
            }
            match self.entries.read(oldest.place) {
                // It cannot be mapped now; later, perhaps.
                None => return self.silent.push_front(oldest),
                Some(flow) if flow.epoch == oldest.epoch => expired.push(oldest.place),
                // One that has moved since is announced again.
                Some(_) => {}
            }
        }
    }

    /// Hands up TCP connections and listeners that have ended: no program counts in their entries any more.
    pub(super) fn close(&mut self, ended: &mut Ended, sink: Sink<'_>) {
        // A connection that was never accepted belongs to its listener, which may have come and gone with it. Otherwise they
        // end in the order of their ends.
        ended.closed.sort_unstable_by_key(|closed| (!closed.is_listener, closed.ended));
        let newest = ended.closed.iter().map(|closed| closed.ended).max();
        newest.into_iter().for_each(settle);
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

    /// Ends flows that programs may still count in: retires them, lets runs under way finish, and hands up the last counters.
    /// A program that counts in one after that finds the cookie changed, and takes it back (kern/src/udp.rs).
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
        settle(clock::boot());
        for (place, key) in expired {
            // `visit` never handed up an unused one.
            let flow = self.entries.read(place).filter(|flow| !is_unused(flow));
            let seen = flow.and_then(|flow| decode::observation(&flow, key, self.reading));
            seen.into_iter().for_each(|seen| sink(CollectorEvent::Ended(seen)));
        }
    }

    /// From now on no program finds the flow by its socket.
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

/// Waits until what was written at `since` has arrived, and programs that ran then have finished.
fn settle(since: Duration) {
    // Nothing was written later than now, whatever its time says.
    let since = since.min(clock::boot());
    while clock::boot().saturating_sub(since) < SETTLING {
        std::hint::spin_loop();
    }
}
