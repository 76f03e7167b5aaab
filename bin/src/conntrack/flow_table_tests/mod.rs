mod endings;
mod observations;
mod reuse;

use std::time::Duration;

use tcptop_abi::{MappedAddress, mapped};

use super::*;
use crate::{
    collector::{Observation, ObservedOpening, Protocol, TcpState, Traffic},
    conntrack::{addresses::Host, direction, entry::Count, line, tuple::Tuple},
    testing::{corpus, hostile},
};

/// Doubles a count. It wraps around, as the kernel's counters do.
fn twice(count: Option<Count>) -> Option<Count> {
    let double = |number: u64| number.wrapping_mul(2);
    count.map(|count| Count { packets: double(count.packets), bytes: double(count.bytes) })
}

const INSIDE: MappedAddress = mapped([192, 168, 1, 10]);
const ROUTER: MappedAddress = mapped([203, 0, 113, 1]);
const OUTSIDE: MappedAddress = mapped([198, 51, 100, 7]);

/// Returns an entry of a connection with a translated source. `counts` are the packets and bytes of each direction.
fn entry(sport: u16, state: Option<TcpState>, counts: [(u64, u64); 2]) -> Entry {
    Entry {
        protocol: if state.is_some() { 6 } else { 17 },
        original: Tuple { source: INSIDE, destination: OUTSIDE, sport, dport: 443, other: 0 },
        reply: Tuple { source: OUTSIDE, destination: ROUTER, sport: 443, dport: sport, other: 0 },
        counts: counts.map(|(packets, bytes)| Some(Count { packets, bytes })),
        state,
        ..Entry::default()
    }
}

fn established(bytes: u64) -> Entry {
    entry(1, Some(TcpState::Established), [(1, bytes), (2, 2 * bytes)])
}

fn instance(id: u32, entry: Entry) -> Entry {
    Entry { instance: Some(id << 1), ..entry }
}

fn at(seconds: u64) -> Moment {
    Moment::from(Duration::from_secs(seconds))
}

/// A table, its host, and the time in seconds.
struct FlowScene {
    flows: TrackedFlows,
    host: Host,
    seconds: u64,
}

/// An observation that the table has handed up, and whether it is an end.
type Handed = (bool, Observation);

impl FlowScene {
    fn new() -> Self {
        Self { flows: TrackedFlows::default(), host: Host::with(&[ROUTER], &[]), seconds: 1 }
    }

    /// Makes a table that began with these entries.
    fn beginning_with(entries: &[Entry]) -> Self {
        let mut scene = Self::new();
        let Self { flows, host, .. } = &mut scene;
        for entry in entries {
            let classify = &mut |entry: &Entry| Some((direction::forwarded(entry, host)?, None));
            flows.entry_read(entry, false, at(1), classify);
        }
        flows.finish(false);
        flows.remember_start();
        scene
    }

    /// Gives the table some events, and then a reading with events that come during it. Returns what the table hands
    /// up.
    fn read_with(
        &mut self,
        before: &[Entry],
        rows: &[Entry],
        during: &[Entry],
        may_miss: bool,
    ) -> Vec<Handed> {
        self.seconds += 1;
        let Self { flows, host, seconds } = self;
        let now = at(*seconds);
        let classify = &mut |entry: &Entry| Some((direction::forwarded(entry, host)?, Some(now)));
        before.iter().for_each(|entry| flows.entry_left(entry, classify));
        rows.iter().for_each(|entry| flows.entry_read(entry, true, now, classify));
        during.iter().for_each(|entry| flows.entry_left(entry, classify));
        flows.resolve_doubtful(now, classify);
        flows.finish(may_miss);
        self.hand_up()
    }

    fn hand_up(&mut self) -> Vec<Handed> {
        let mut handed = Vec::new();
        self.flows.hand_up(&mut |event| handed.push(handed_from(event)));
        self.flows.make_room();
        handed
    }

    fn read(&mut self, rows: &[Entry]) -> Vec<Handed> {
        self.read_with(&[], rows, &[], false)
    }
}

fn handed_from(event: CollectorEvent) -> Handed {
    match event {
        CollectorEvent::Moved(seen) | CollectorEvent::Existed(seen) => (false, seen),
        CollectorEvent::Ended(seen) => (true, seen),
        other => panic!("{other:?}"),
    }
}

/// Returns for each observation whether it is an end, and the bytes that the near end received and sent.
fn bytes(handed: &[Handed]) -> Vec<(bool, u64, u64)> {
    handed.iter().map(|(ended, seen)| (*ended, seen.totals.rx_bytes, seen.totals.tx_bytes)).collect()
}

#[test]
fn memory_follows_the_number_of_flows() {
    let mut scene = FlowScene::new();
    let many: Vec<Entry> = (1..20_001).map(|port| entry(port, None, [(1, 60), (0, 0)])).collect();
    assert_eq!(scene.read(&many).len(), 20_000);
    let flows = &scene.flows;
    let bytes = flows.flows.capacity() * size_of::<TrackedFlow>() + flows.places.capacity() * 8 / 7 * 17;
    assert!(bytes < 2_500_000, "{bytes}");
    assert_eq!(scene.read(&many[..10]).len(), 19_990);
    assert!(scene.flows.flows.capacity() < 200 && scene.flows.places.capacity() < 2000);
    // A new flow at the place of an old one has another generation.
    let handed = scene.read(&many[..20]);
    assert!(handed.iter().all(|(_, seen)| seen.key.generation == 2), "{handed:?}");
}

/// The flows must stay sound, whatever the lines of readings and events count and in whichever order they come.
#[test]
fn hostile_input() {
    let tokens: [&[u8]; 5] =
        [b" bytes=18446744073709551615", b" packets=0", b"[OFFLOAD]", b"TIME_WAIT", b"sport="];
    hostile::Input { corpus: corpus("conntrack"), tokens: &tokens }.run(|text| {
        let mut scene = FlowScene::new();
        // Use each line more than once, so flows continue and end.
        let entries: Vec<_> = text.split(|byte| *byte == b'\n').take(64).filter_map(line::entry).collect();
        let (first, second) = entries.split_at(hostile::cut(&vec![1; entries.len()]).len());
        let doubled: Vec<_> =
            second.iter().map(|entry| Entry { counts: entry.counts.map(twice), ..entry.clone() }).collect();
        for (before, rows, during) in [
            (&[][..], &entries[..], &[][..]),
            (first, &doubled, second),
            (second, first, &doubled),
            (&[], &[], &[]),
        ] {
            for (_, seen) in scene.read_with(before, rows, during, text.len() % 2 == 0) {
                assert!(seen.earlier.rx <= seen.totals.rx_bytes && seen.earlier.tx <= seen.totals.tx_bytes);
            }
            scene.flows.make_room();
        }
    });
}
