//! Tests the flow table over files instead of BPF maps. The tests write to them as the kernel programs do.

use std::{
    fs::{File, remove_file},
    mem::offset_of,
    os::fd::AsFd,
    process,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use tcptop_abi::{ClaimCode, Counters, Flow, IPPROTO_TCP, IPPROTO_UDP, Places, TcpStateCode};

use super::{DOUBT, FlowTable, IdleFlow, Tick, Tracked};
use crate::{
    bpf::{
        decode::DecodeContext,
        queue::{Queue, capacity},
    },
    collector::CollectorEvent,
    sys::{clock, mapped::MappedArray},
};

const PLACES: u32 = 64;
const READING: DecodeContext =
    DecodeContext { sees_releases: true, doubted: 0, pids_are_ours: true, now: Duration::ZERO };
const TIMEOUT: Duration = Duration::from_secs(60);

/// Creates a file that is large enough for a map of this many bytes.
fn file(bytes: u32) -> File {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("tcptop-flows-{}-{}", process::id(), NUMBER.fetch_add(1, Relaxed));
    let path = std::env::temp_dir().join(name);
    let file = File::options().read(true).write(true).create_new(true).open(&path).expect("a new file");
    remove_file(path).expect("just made");
    // This is a multiple of every size of page.
    file.set_len(u64::from(bytes).next_multiple_of(65_536)).expect("room");
    file
}

/// The flow table, and the maps as the kernel programs see them.
struct Scene {
    flows: FlowTable,
    kern: MappedArray<Flow>,
    interval: u32,
}

impl Scene {
    fn new() -> Self {
        let entries = file(PLACES * 168);
        let map = || MappedArray::new(entries.as_fd(), PLACES, 0).expect("a mapping");
        let (ends, free) = (file(24), file(capacity(PLACES) * 8));
        let queue = Queue::new(ends.as_fd(), free.as_fd(), PLACES).expect("a mapping");
        let mut places: MappedArray<Places> = MappedArray::new(ends.as_fd(), 1, 0).expect("a mapping");
        assert!(places.store(0, offset_of!(Places, unused), PLACES / 4));
        Self { flows: FlowTable::new(map(), queue, TIMEOUT, READING), kern: map(), interval: 1 }
    }

    fn set(&mut self, place: u32, offset: usize, value: u32) {
        assert!(self.kern.store(place, offset, value));
    }

    /// Publishes a flow in this interval, with an owner, as `flow::alloc` and `NewFlow::publish` do.
    fn publish(&mut self, place: u32, protocol: u8, state: u8) {
        self.mark(place, protocol, state, 0);
        self.set(place, offset_of!(Flow, owner), 7);
        self.set(place, offset_of!(Flow, interval), self.interval);
        self.set(place, low(offset_of!(Flow, cookie)), 100 + place);
    }

    /// Writes the four bytes that begin with the state.
    fn mark(&mut self, place: u32, protocol: u8, state: u8, claim: u8) {
        self.set(place, offset_of!(Flow, state), u32::from_ne_bytes([state, protocol, 0, claim]));
    }

    /// Counts a datagram that was sent.
    fn send(&mut self, place: u32, bytes: u32) {
        let counters = offset_of!(Flow, counters);
        self.set(place, low(counters + offset_of!(Counters, tx_bytes)), bytes);
        self.set(place, low(counters + offset_of!(Counters, tx_packets)), 1);
    }

    /// Ends an interval. Returns what the table hands up.
    fn tick(&mut self) -> Vec<CollectorEvent> {
        let mut events = Vec::new();
        let tick = Tick { now: clock::monotonic(), last: false };
        self.interval += 1;
        self.flows.collect(self.interval - 1, tick, &mut |event| events.push(event));
        events
    }

    fn is_retired(&mut self, place: u32) -> bool {
        self.kern.read(place).expect("mapped").cookie & Flow::RETIRED != 0
    }
}

/// Returns the offset of the low half of a 64-bit field.
const fn low(offset: usize) -> usize {
    if cfg!(target_endian = "little") { offset } else { offset + 4 }
}

/// Returns the places of connections that ended, in the order in which the table handed them up.
fn ended(events: &[CollectorEvent]) -> Vec<u32> {
    let place = |event: &CollectorEvent| match event {
        CollectorEvent::Ended(seen) => Some(seen.key.index),
        _ => None,
    };
    events.iter().filter_map(place).collect()
}

#[test]
fn a_udp_flow_is_handed_up_once_a_datagram_counts_in_it() {
    let mut scene = Scene::new();
    for place in [0, 1] {
        scene.publish(place, IPPROTO_UDP, 0);
    }
    // If announcements were lost, the table reads all places, even while programs still make the flows there.
    scene.flows.announce_all();
    assert_eq!(scene.tick(), []);
    // Another CPU was first to make the flow, so this one abandoned place 0. The flow at place 1 is used.
    scene.mark(0, IPPROTO_UDP, 0, ClaimCode::ABANDONED);
    scene.send(1, 30);
    let events = scene.tick();
    let moved = |event: &CollectorEvent| matches!(event, CollectorEvent::Moved(seen) if seen.key.index == 1);
    assert!(events.len() == 1 && moved(&events[0]), "{events:?}");
    assert!(scene.is_retired(0) && !scene.is_retired(1));
}

#[test]
fn a_udp_flow_that_ends_before_a_datagram_counts_in_it_is_not_handed_up() {
    let mut scene = Scene::new();
    for place in [0, 1] {
        scene.publish(place, IPPROTO_UDP, 0);
    }
    scene.send(1, 30);
    scene.flows.announce_all();
    let mut events = Vec::new();
    scene.flows.expire(&[0, 1], &mut |event| events.push(event));
    assert_eq!((ended(&events), events.len()), (vec![1], 1));
    assert!(scene.is_retired(0) && scene.is_retired(1));
}

#[test]
fn a_connection_whose_end_has_no_time_ends_now() {
    let mut scene = Scene::new();
    for place in [0, 1] {
        scene.publish(place, IPPROTO_TCP, TcpStateCode::CLOSE);
        scene.flows.announce(place);
    }
    scene.set(1, low(offset_of!(Flow, ended)), 5);
    assert_eq!(ended(&scene.tick()), [1, 0]);
}

#[test]
fn a_silent_flow_that_is_listed_expires() {
    let mut scene = Scene::new();
    scene.publish(3, IPPROTO_UDP, 0);
    scene.send(3, 30);
    // The table took all places to be announced, but could not map this entry.
    scene.flows.announce(3);
    scene.flows.tracked[3] = Tracked { idle: 1, ..scene.flows.tracked[3] };
    scene.flows.idle.push_back(IdleFlow { place: 3, generation: 0, interval: 1, since: Duration::ZERO });
    let mut expired = Vec::new();
    scene.flows.find_expired(TIMEOUT, &mut expired);
    assert_eq!(expired, [3]);
}

/// Returns the places of flows that the table handed up because they may have ended unseen.
fn unconfirmed(events: &[CollectorEvent]) -> Vec<u32> {
    let place = |event: &CollectorEvent| match event {
        CollectorEvent::Moved(seen) if seen.end_unconfirmed => Some(seen.key.index),
        _ => None,
    };
    events.iter().filter_map(place).collect()
}

#[test]
fn a_connection_is_doubted_for_a_while_unless_it_moves() {
    let mut scene = Scene::new();
    for place in [0, 1] {
        scene.publish(place, IPPROTO_TCP, TcpStateCode::ESTABLISHED);
        scene.flows.announce(place);
    }
    for _ in 0..3 {
        assert_eq!(unconfirmed(&scene.tick()), []);
    }
    // Somebody detached hooks, and tcptop has attached them again.
    scene.flows.doubt(scene.interval, clock::monotonic());
    assert_eq!(unconfirmed(&scene.tick()), [0, 1]);
    scene.set(1, offset_of!(Flow, interval), scene.interval);
    scene.flows.announce_all();
    assert_eq!(unconfirmed(&scene.tick()), [0]);
    scene.flows.doubted = Some(clock::monotonic().saturating_sub(DOUBT));
    let events = scene.tick();
    assert_eq!((events.len(), unconfirmed(&events)), (2, vec![]));
}
