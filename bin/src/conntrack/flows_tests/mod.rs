use std::time::Duration;

use super::*;
use crate::{
    collector::{Observation, Opening, Protocol, TcpState, Traffic},
    conntrack::{
        direction,
        entry::Count,
        host::Host,
        line,
        tuple::{MappedAddress, Tuple, mapped},
    },
    testing::{corpus, hostile},
};

/// The kernel's counters may wrap around.
fn twice(count: Option<Count>) -> Option<Count> {
    let double = |number: u64| number.wrapping_mul(2);
    count.map(|count| Count { packets: double(count.packets), bytes: double(count.bytes) })
}

const INSIDE: MappedAddress = mapped([192, 168, 1, 10]);
const ROUTER: MappedAddress = mapped([203, 0, 113, 1]);
const OUTSIDE: MappedAddress = mapped([198, 51, 100, 7]);

/// A connection through a source translation. `counts`: packets and bytes of each direction.
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

/// A table with its host, and the time in seconds.
struct FlowScene {
    flows: TrackedFlows,
    host: Host,
    seconds: u64,
}

/// What was handed up: whether it is an end, and of what.
type Handed = (bool, Observation);

impl FlowScene {
    fn new() -> Self {
        Self { flows: TrackedFlows::default(), host: Host::with(&[ROUTER], &[]), seconds: 1 }
    }

    /// A table that began with these entries.
    fn beginning_with(entries: &[Entry]) -> Self {
        let mut scene = Self::new();
        let Self { flows, host, .. } = &mut scene;
        for entry in entries {
            let classify = &mut |entry: &Entry| Some((direction::forwarded(entry, host)?, None));
            flows.see(entry, false, at(1), classify);
        }
        flows.finish(false);
        flows.begin();
        scene
    }

    /// Events, a reading with events that come during it, and what is handed up.
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
        before.iter().for_each(|entry| flows.destroy(entry, classify));
        rows.iter().for_each(|entry| flows.see(entry, true, now, classify));
        during.iter().for_each(|entry| flows.destroy(entry, classify));
        flows.resolve_doubtful(now, classify);
        flows.finish(may_miss);
        self.hand_up()
    }

    fn hand_up(&mut self) -> Vec<Handed> {
        let mut handed = Vec::new();
        self.flows.hand_up(&mut |event| handed.push(told(event)));
        self.flows.make_room();
        handed
    }

    fn read(&mut self, rows: &[Entry]) -> Vec<Handed> {
        self.read_with(&[], rows, &[], false)
    }
}

fn told(event: CollectorEvent) -> Handed {
    match event {
        CollectorEvent::Moved(seen) | CollectorEvent::Existed(seen) => (false, seen),
        CollectorEvent::Ended(seen) => (true, seen),
        other => panic!("{other:?}"),
    }
}

/// Whether each ended, and its bytes: received and sent by the near end.
fn bytes(handed: &[Handed]) -> Vec<(bool, u64, u64)> {
    handed.iter().map(|(ended, seen)| (*ended, seen.totals.rx_bytes, seen.totals.tx_bytes)).collect()
}

#[test]
fn a_flow_from_its_beginning_to_its_end() {
    let mut scene = FlowScene::new();
    let handed = scene.read(&[established(100)]);
    let [(false, seen)] = &handed[..] else { panic!("{handed:?}") };
    assert_eq!((seen.ends.laddr, seen.ends.lport), (INSIDE, 1));
    assert_eq!((seen.ends.raddr, seen.ends.rport), (OUTSIDE, 443));
    assert_eq!(
        (seen.protocol, seen.opening, seen.state),
        (Protocol::Tcp, Opening::Active, Some(TcpState::Established))
    );
    assert_eq!((seen.totals.tx_bytes, seen.totals.rx_bytes), (100, 200));
    assert_eq!((seen.totals.tx_packets, seen.totals.rx_packets), (1, 2));
    assert_eq!((seen.earlier, seen.began), (Traffic::default(), Some(at(2))));
    let forwarded = seen.forwarded.expect("it is");
    assert_eq!((forwarded.translated, forwarded.offloaded), (Some((ROUTER, 1)), false));
    assert_eq!(scene.read(&[established(100)]), [], "it did not move");
    assert_eq!(bytes(&scene.read(&[established(150)])), [(false, 300, 150)]);
    let handed = scene.read(&[]);
    assert_eq!(bytes(&handed), [(true, 300, 150)]);
    assert_eq!(handed[0].1.key, seen.key);
    assert_eq!(scene.read(&[]), []);
}

#[test]
fn what_moved_before_the_start_is_told_once() {
    let mut scene = FlowScene::beginning_with(&[established(100), entry(2, None, [(1, 30), (0, 0)])]);
    let handed = scene.read(&[established(150), entry(2, None, [(1, 30), (0, 0)])]);
    assert_eq!(bytes(&handed), [(false, 300, 150), (false, 0, 30)], "an idle one is listed too");
    assert_eq!(handed[0].1.earlier, Traffic { rx: 200, tx: 100 });
    assert_eq!(handed[1].1.earlier, Traffic { rx: 0, tx: 30 });
    assert_eq!(handed[0].1.began, None);
    let handed = scene.read(&[established(160), entry(2, None, [(1, 30), (0, 0)])]);
    assert_eq!(bytes(&handed), [(false, 320, 160)]);
    assert_eq!(handed[0].1.earlier, Traffic::default());
}

#[test]
fn an_end_before_the_first_report_has_its_past() {
    let mut scene = FlowScene::beginning_with(&[established(100)]);
    let handed = scene.read_with(&[established(140)], &[entry(9, None, [(1, 7), (0, 0)])], &[], false);
    assert_eq!(bytes(&handed), [(true, 280, 140), (false, 0, 7)]);
    assert_eq!(handed[0].1.earlier, Traffic { rx: 200, tx: 100 });
    assert_eq!(handed[1].1.earlier, Traffic::default());
}

#[test]
fn an_event_brings_the_final_counts() {
    let mut scene = FlowScene::new();
    scene.read(&[established(100)]);
    assert_eq!(bytes(&scene.read_with(&[], &[], &[established(130)], false)), [(true, 260, 130)]);
    assert_eq!(
        bytes(&scene.read_with(&[established(7)], &[], &[], false)),
        [(true, 14, 7)],
        "never in a reading"
    );
    let own = Entry { original: Tuple { source: ROUTER, ..established(7).original }, ..established(7) };
    assert_eq!(scene.read_with(&[own], &[], &[], false), [], "not passed on");
}

#[test]
fn a_row_before_its_event_is_one_flow() {
    let mut scene = FlowScene::new();
    let handed =
        scene.read_with(&[], &[instance(1, established(100))], &[instance(1, established(110))], false);
    assert_eq!(bytes(&handed), [(true, 220, 110)]);
    assert_eq!(scene.read(&[]), []);
}

#[test]
fn counters_that_fall_back_count_from_zero() {
    let mut scene = FlowScene::new();
    scene.read(&[established(1000)]);
    assert_eq!(bytes(&scene.read(&[established(10)])), [(false, 2020, 1010)]);
    assert_eq!(bytes(&scene.read(&[established(15)])), [(false, 2030, 1015)]);
    let zero = entry(1, Some(TcpState::Established), [(0, 0), (0, 0)]);
    assert_eq!(scene.read(&[zero]), [], "nothing moved");
    let handed = scene.read_with(&[established(4)], &[], &[], false);
    assert_eq!(bytes(&handed), [(true, 2038, 1019)]);
}

#[test]
fn both_directions_fall_back_together() {
    let mut scene = FlowScene::new();
    scene.read(&[entry(1, None, [(10, 1000), (1, 50)])]);
    let handed = scene.read(&[entry(1, None, [(1, 60), (9, 900)])]);
    assert_eq!(bytes(&handed), [(false, 950, 1060)]);
}

#[test]
fn a_reset_entry_that_ends_during_the_reading_is_counted_once() {
    let mut scene = FlowScene::new();
    scene.read(&[instance(1, established(1000))]);
    let (row, last) = (instance(1, established(10)), instance(1, established(12)));
    assert_eq!(bytes(&scene.read_with(&[], &[row], &[last], false)), [(true, 2024, 1012)]);
    assert_eq!(scene.read(&[]), []);
}

#[test]
fn tuples_are_used_again() {
    let mut scene = FlowScene::new();
    let first = scene.read(&[instance(1, established(100))])[0].1.key;
    // The event comes before the reading.
    let handed =
        scene.read_with(&[instance(1, established(120))], &[instance(2, established(5))], &[], false);
    assert_eq!(bytes(&handed), [(true, 240, 120), (false, 10, 5)]);
    let second = handed[1].1.key;
    assert_eq!((handed[0].1.key, second == first), (first, false));
    // It comes during the reading.
    let handed = scene.read_with(&[], &[instance(3, established(2))], &[instance(2, established(9))], false);
    assert_eq!(bytes(&handed), [(true, 18, 9), (false, 4, 2)]);
    // So does that of the one that the reading showed, and of one between.
    let events = [instance(3, established(3)), instance(4, established(1)), instance(5, established(8))];
    let handed = scene.read_with(&[], &[instance(5, established(7))], &events, false);
    assert_eq!(bytes(&handed), [(true, 6, 3), (true, 2, 1), (true, 16, 8)]);
    assert_eq!(scene.read(&[]), []);
}

#[test]
fn an_entry_at_the_same_address_is_told_by_its_counts() {
    let mut scene = FlowScene::new();
    scene.read(&[instance(1, established(100))]);
    let handed =
        scene.read_with(&[], &[instance(1, established(5))], &[instance(1, established(110))], false);
    assert_eq!(bytes(&handed), [(true, 220, 110), (false, 10, 5)]);
}

#[test]
fn a_connection_over_is_replaced_even_without_events() {
    let mut scene = FlowScene::new();
    let over = entry(1, Some(TcpState::TimeWait), [(5, 500), (5, 600)]);
    scene.read(&[over]);
    let handed = scene.read(&[entry(1, Some(TcpState::SynSent), [(1, 60), (0, 0)])]);
    assert_eq!(bytes(&handed), [(true, 600, 500), (false, 0, 60)]);
}

#[test]
fn time_wait_ends_a_connection_that_does_not_move() {
    for state in [TcpState::TimeWait, TcpState::Close] {
        let mut scene = FlowScene::new();
        let over = |bytes| entry(1, Some(state), [(5, bytes), (5, 600)]);
        let first = scene.read(&[over(500)])[0].1.key;
        assert_eq!(bytes(&scene.read(&[over(520)])), [(false, 600, 520)], "it moves");
        let handed = scene.read(&[over(520), over(520)]);
        assert_eq!(bytes(&handed), [(true, 600, 520)], "once, though it was shown twice");
        assert_eq!(scene.read(&[over(520)]), [], "not again");
        let handed = scene.read(&[over(560)]);
        assert_eq!(bytes(&handed), [(false, 0, 40)], "another one");
        let second = handed[0].1.key;
        assert_eq!((second.index, second.generation), (first.index, first.generation + 1));
        assert_eq!(handed[0].1.earlier, Traffic::default());
        assert_eq!(bytes(&scene.read(&[over(560)])), [(true, 0, 40)]);
        assert_eq!(scene.read_with(&[over(560)], &[], &[], false), [], "its end is known");
        assert_eq!(scene.flows.flows.len(), 0);
    }
}

#[test]
fn two_rows_of_one_reading_are_no_two_readings() {
    let mut scene = FlowScene::new();
    let over = entry(1, Some(TcpState::TimeWait), [(5, 500), (5, 600)]);
    assert_eq!(bytes(&scene.read(&[over.clone(), over.clone()])), [(false, 600, 500)]);
    assert_eq!(bytes(&scene.read(&[over])), [(true, 600, 500)]);
}

#[test]
fn an_entry_gone_while_its_end_is_handed_up_frees_its_place() {
    let mut scene = FlowScene::new();
    let over = |bytes| entry(1, Some(TcpState::TimeWait), [(5, bytes), (5, 600)]);
    scene.read(&[over(500)]);
    assert_eq!(bytes(&scene.read_with(&[], &[over(500)], &[over(501)], false)), [(true, 600, 501)]);
    assert_eq!(scene.flows.flows.len(), 0);
}

#[test]
fn a_reading_that_may_miss_entries_ends_none_at_once() {
    let mut scene = FlowScene::new();
    scene.read(&[established(100)]);
    assert_eq!(scene.read_with(&[], &[], &[], true), []);
    assert_eq!(bytes(&scene.read_with(&[], &[established(110)], &[], true)), [(false, 220, 110)]);
    assert_eq!(scene.read_with(&[], &[], &[], true), []);
    assert_eq!(bytes(&scene.read_with(&[], &[], &[], true)), [(true, 220, 110)]);
}

#[test]
fn a_failed_reading_ends_nothing() {
    let mut scene = FlowScene::new();
    scene.read(&[established(100)]);
    scene.flows.abort_reading();
    assert_eq!(scene.hand_up(), []);
    assert_eq!(scene.read(&[established(100)]), []);
}

#[test]
fn nothing_more_is_handed_up_of_what_another_collector_counts() {
    let mut scene = FlowScene::new();
    let key = scene.read(&[established(100)])[0].1.key;
    scene.flows.leave(&[ConnectionKey { generation: key.generation + 1, ..key }]);
    assert_eq!(bytes(&scene.read(&[established(110)])), [(false, 220, 110)], "another key");
    scene.flows.leave(&[key]);
    assert_eq!(scene.read(&[established(120)]), []);
    let over = [entry(1, Some(TcpState::TimeWait), [(5, 500), (5, 600)])];
    for _ in 0..3 {
        assert_eq!(scene.read(&over), []);
    }
    assert_eq!(scene.read(&[]), []);
    assert_eq!(scene.flows.flows.len(), 0, "its place is free");
}

#[test]
fn an_end_that_another_source_saw_is_the_end() {
    let mut scene = FlowScene::new();
    let key = scene.read(&[established(100)])[0].1.key;
    let mut handed = Vec::new();
    scene.flows.end_now(&[key, key], &mut |event| handed.push(told(event)));
    assert_eq!(bytes(&handed), [(true, 200, 100)]);
    assert_eq!((scene.read(&[established(100)]), scene.read(&[])), (vec![], vec![]));
}

#[test]
fn without_accounting_flows_appear_and_end() {
    let mut scene = FlowScene::new();
    let uncounted = [Entry { counts: [None; 2], ..established(0) }];
    assert_eq!(bytes(&scene.read(&uncounted)), [(false, 0, 0)]);
    assert_eq!(scene.read(&uncounted), []);
    assert_eq!(bytes(&scene.read(&[])), [(true, 0, 0)]);
}

#[test]
fn an_offloaded_flow_is_marked_and_has_no_state() {
    let mut scene = FlowScene::new();
    scene.read(&[established(100)]);
    let offloaded = Entry { offloaded: true, state: None, ..established(100) };
    let handed = scene.read(&[offloaded]);
    let [(false, seen)] = &handed[..] else { panic!("{handed:?}") };
    assert_eq!((seen.state, seen.forwarded.expect("it is").offloaded), (None, true));
}

#[test]
fn a_server_inside_receives_what_the_original_direction_counts() {
    let mut scene = FlowScene::new();
    let server = mapped([192, 168, 1, 80]);
    let mut entry = entry(1, Some(TcpState::Established), [(1, 100), (2, 5000)]);
    entry.original = Tuple { source: OUTSIDE, destination: ROUTER, sport: 1, dport: 443, other: 0 };
    entry.reply = Tuple { source: server, destination: OUTSIDE, sport: 8443, dport: 1, other: 0 };
    let seen = &scene.read(&[entry])[0].1;
    assert_eq!((seen.ends.laddr, seen.ends.lport, seen.ends.raddr), (server, 8443, OUTSIDE));
    assert_eq!((seen.totals.rx_bytes, seen.totals.tx_bytes, seen.opening), (100, 5000, Opening::Passive));
    assert_eq!(seen.forwarded.expect("it is").translated, Some((ROUTER, 443)));
}

#[test]
fn own_udp_flows_count_payload() {
    let mut flows = TrackedFlows::default();
    let host = Host::with(&[ROUTER], &[]);
    let mut own = entry(1, None, [(2, 2 * 28 + 100), (1, 28 + 7)]);
    own.original.source = ROUTER;
    flows.see(&own, false, at(1), &mut |entry| Some((direction::own(entry, &host)?, None)));
    let mut handed = Vec::new();
    flows.hand_up(&mut |event| handed.push(told(event)));
    assert_eq!(bytes(&handed), [(false, 7, 100)]);
    assert_eq!((handed[0].1.forwarded, handed[0].1.opening), (None, Opening::Active));
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
    // A new flow at a place that was given back is another one.
    let handed = scene.read(&many[..20]);
    assert!(handed.iter().all(|(_, seen)| seen.key.generation == 2), "{handed:?}");
}

/// Lines as a router's table may have them, one after the other in readings and as events: whatever they count, and
/// however they follow each other, the flows stay sound.
#[test]
fn hostile_input() {
    let tokens: [&[u8]; 5] =
        [b" bytes=18446744073709551615", b" packets=0", b"[OFFLOAD]", b"TIME_WAIT", b"sport="];
    hostile::Input { corpus: corpus("conntrack"), tokens: &tokens }.run(|text| {
        let mut scene = FlowScene::new();
        // A line more than once, so that flows go on and end.
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
