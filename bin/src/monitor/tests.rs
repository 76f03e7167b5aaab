//! Tests the whole monitor with a collector that replays a recorded list, and with a made-up /proc.

use std::{
    collections::{HashMap, VecDeque},
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use tcptop_abi::Counters;

use super::{Monitor, Report, ReportScope};
use crate::{
    collector::{
        Claim, CollectorEvent, ConnectionKey, Detached, Losses, Missing, NetworkCollector, Observation,
        ObservedOpening, ObservedOwner, Sink,
    },
    conn::{ConnectionRecord, Keep, TcpState, Traffic, WatchedBeside},
    error::Error,
    names::{NameOptions, Names},
    proc::{
        OutOf,
        testing::{self, Tree, ends},
    },
    sys::{clock::Moment, limit::without_opening},
};

/// What the collector does in one interval.
#[derive(Clone, Default)]
struct Recorded {
    /// The events that it hands up when the monitor drains it, before the interval ends.
    drained: Vec<CollectorEvent>,
    /// The events that it hands up at the end of the interval.
    collected: Vec<CollectorEvent>,
    losses: Losses,
}

/// A collector that replays a list, interval by interval. After the list, nothing happens.
#[derive(Default)]
struct Replay {
    intervals: VecDeque<Recorded>,
    /// The connections that the monitor has ended.
    ended: Vec<ConnectionKey>,
    /// How often the monitor has told it to make room.
    made_room: usize,
}

impl NetworkCollector for Replay {
    fn start(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn missing(&self) -> &[Missing] {
        &[]
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    fn drain(&mut self, sink: Sink<'_>) -> bool {
        let drained = self.intervals.front_mut().map(|now| std::mem::take(&mut now.drained));
        let drained = drained.unwrap_or_default();
        let news = !drained.is_empty();
        drained.into_iter().for_each(sink);
        news
    }

    fn begin_interval(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn take_detached(&mut self) -> Vec<Detached> {
        Vec::new()
    }

    fn collect(&mut self, _now: Duration, _last: bool, sink: Sink<'_>) -> Losses {
        let Recorded { drained, collected, losses } = self.intervals.pop_front().unwrap_or_default();
        drained.into_iter().chain(collected).for_each(sink);
        losses
    }

    fn end(&mut self, keys: &[ConnectionKey], sink: Sink<'_>) {
        self.ended.extend(keys);
        keys.iter().for_each(|key| {
            sink(CollectorEvent::Ended(Observation {
                state: Some(TcpState::Close),
                ..accepted(key.index, 900)
            }));
        });
    }

    fn leave(&mut self, _keys: &[ConnectionKey]) {}

    fn patience(&mut self) -> Option<Duration> {
        None
    }

    fn make_room(&mut self) {
        self.made_room += 1;
    }

    fn stop(&mut self) {}
}

/// Starts a monitor over captured tables, in which process 50 listens on port 8081.
fn started(tree: &Tree, idle: bool, intervals: Vec<Recorded>) -> Monitor<Replay> {
    tree.process(50, "listener", &["socket:[18165]"]);
    let scope =
        ReportScope { idle, ended: usize::MAX, listening: false, forwarded: None, keep: Keep::default() };
    let replay = Replay { intervals: intervals.into(), ..Replay::default() };
    Monitor::start(
        replay,
        &tree.path(""),
        scope,
        Names::new(&tree.path(""), NameOptions::default()),
        HashMap::new,
    )
}

/// Returns the captured connection that the listener accepted. The collector does not know its owner.
fn accepted(index: u32, rx_bytes: u64) -> Observation {
    Observation {
        ends: ends("192.0.2.1", 8081, "192.0.2.1", 40005),
        totals: Counters { rx_bytes, ..Counters::default() },
        began: Moment::new(1),
        ..Observation::accepted(index)
    }
}

fn owned(seen: Observation, pid: u32) -> Observation {
    let owner = ObservedOwner {
        pid,
        uid: 0,
        comm: [b'w'; 16],
        is_other_thread: false,
        seen: Duration::from_secs(2),
        cgroup: 0,
        claim: Claim::Used,
    };
    Observation { owner: Some(owner), ..seen }
}

fn collected(events: Vec<CollectorEvent>) -> Recorded {
    Recorded { collected: events, ..Recorded::default() }
}

/// The total, the open and the ended connections of a report.
type ReportParts = (Traffic, Vec<ConnectionRecord>, Vec<ConnectionRecord>);

fn tick(monitor: &mut Monitor<Replay>) -> ReportParts {
    let rows = |records: &[&ConnectionRecord]| records.iter().copied().cloned().collect();
    let seen = |report: &Report<'_>, _: &mut Names| (report.total, rows(&report.live), rows(&report.closed));
    monitor.tick(false, seen).expect("made up")
}

fn pid(record: &ConnectionRecord) -> Option<u32> {
    record.process().map(|process| process.pid)
}

const fn rx(rx: u64) -> Traffic {
    Traffic { rx, tx: 0 }
}

#[test]
fn an_owner_found_late_is_reported_although_the_connection_is_idle() {
    let tree = Tree::captured();
    let mut monitor = started(&tree, false, vec![collected(vec![CollectorEvent::Moved(accepted(1, 100))])]);
    let (total, live, _) = tick(&mut monitor);
    assert_eq!((total, live.len()), (rx(100), 1));
    assert_eq!(pid(&live[0]), Some(50), "until somebody accepts it, the listener owns it");

    tree.process(70, "worker", &["socket:[18175]"]);
    let start = Instant::now();
    let found = std::iter::repeat_with(|| {
        std::thread::sleep(Duration::from_millis(2));
        let (total, live, _) = tick(&mut monitor);
        assert_eq!(total, Traffic::default());
        live.first().cloned()
    });
    let found =
        found.take_while(|_| start.elapsed() < Duration::from_secs(30)).flatten().next().expect("a row");
    assert_eq!((pid(&found), found.growth), (Some(70), Traffic::default()));
    assert_eq!(found.totals().map(|totals| totals.rx_bytes), Some(100));
    assert!((0..200).all(|_| tick(&mut monitor).1.is_empty()), "the owner must be reported once");
}

#[test]
fn what_ended_before_the_interval_did_is_in_its_report() {
    let tree = Tree::captured();
    let ended = |index, bytes| CollectorEvent::Ended(owned(accepted(index, bytes), 70 + index));
    let intervals = vec![
        Recorded {
            drained: vec![ended(1, 30)],
            collected: vec![ended(2, 4), CollectorEvent::Moved(owned(accepted(3, 500), 73))],
            losses: Losses { untracked: rx(6), notifications: 2, full: 1, ..Losses::default() },
        },
        collected(vec![CollectorEvent::Moved(owned(accepted(3, 501), 73))]),
    ];
    let mut monitor = started(&tree, false, intervals);
    monitor.drain();
    let report = |report: &Report<'_>, _: &mut Names| {
        let pids =
            |records: &[&ConnectionRecord]| records.iter().copied().filter_map(pid).collect::<Vec<_>>();
        (report.total, report.untracked, report.lost, report.full, pids(&report.live), pids(&report.closed))
    };
    let first = monitor.tick(false, report).expect("made up");
    assert_eq!(first, (rx(540), rx(6), 2, 1, vec![73], vec![71, 72]));
    let second = monitor.tick(false, report).expect("made up");
    assert_eq!(second, (rx(1), rx(0), 0, 0, vec![73], vec![]), "losses count in one interval only");
    assert_eq!(monitor.collector().made_room, 2);
}

#[test]
fn an_older_connection_s_first_interval_counts_from_its_first_packet() {
    let tree = Tree::captured();
    tree.process(70, "worker", &["socket:[18175]"]);
    let older = Observation { opening: ObservedOpening::Unseen, earlier: rx(70), ..accepted(1, 100) };
    let intervals = vec![Recorded::default(), collected(vec![CollectorEvent::Moved(older)])];
    let mut monitor = started(&tree, true, intervals);
    let (_, unseen, _) = tick(&mut monitor);
    let known = unseen.iter().find(|record| pid(record) == Some(70)).expect("/proc shows the connection");
    assert!(known.totals().is_none(), "the collector has not seen the connection yet");
    let (total, live, _) = tick(&mut monitor);
    assert_eq!(total, rx(30));
    let known: Vec<_> = live.iter().filter(|record| pid(record) == Some(70)).collect();
    assert_eq!(known.len(), 1, "the connection known from /proc has one row");
    assert_eq!(known[0].totals().map(|totals| totals.rx_bytes), Some(100));
}

#[test]
fn an_end_that_the_collector_cannot_see_is_confirmed_by_proc() {
    let tree = Tree::captured();
    let unseen_end = |index, ends| Observation {
        opening: ObservedOpening::Unseen,
        end_unconfirmed: true,
        ends,
        ..owned(accepted(index, 800), 70)
    };
    // /proc shows the first connection, but not the second.
    let there = unseen_end(1, accepted(1, 0).ends);
    let gone = unseen_end(2, ends("192.0.2.1", 8081, "192.0.2.9", 1));
    let key = gone.key;
    let moved = vec![CollectorEvent::Moved(there), CollectorEvent::Moved(gone)];
    let mut monitor = started(&tree, true, vec![collected(moved)]);
    let start = Instant::now();
    let (mut ended, mut total) = (Vec::new(), Traffic::default());
    while ended.is_empty() && start.elapsed() < Duration::from_secs(30) {
        let (moved, _, closed) = tick(&mut monitor);
        ended.extend(closed.iter().map(|record| record.key));
        total += moved;
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!((ended, monitor.collector().ended.as_slice()), (vec![key], [key].as_slice()));
    assert_eq!(total, rx(1700), "bytes before the end count");
}

#[test]
fn without_descriptors_no_connection_ends_and_no_owner_is_lost() {
    testing::alone("monitor::tests::without_descriptors_no_connection_ends_and_no_owner_is_lost", || {
        let tree = Tree::captured();
        tree.process(70, "worker", &["socket:[18175]"]);
        let gone = Observation {
            end_unconfirmed: true,
            ends: ends("192.0.2.1", 8081, "192.0.2.9", 1),
            ..accepted(2, 800)
        };
        let key = gone.key;
        let moved = vec![CollectorEvent::Moved(accepted(1, 100)), CollectorEvent::Moved(gone)];
        let mut monitor = started(&tree, true, vec![collected(vec![]), collected(moved)]);
        tick(&mut monitor);
        assert_eq!(monitor.out_of(), None);
        without_opening(|| {
            for _ in 0..100 {
                let (_, live, closed) = tick(&mut monitor);
                assert!(closed.is_empty() && live.iter().any(|record| record.key == key));
                assert_eq!(monitor.out_of(), Some(OutOf::Descriptors));
            }
        })
        .expect("setrlimit");
        let start = Instant::now();
        let mut owner = None;
        while monitor.collector().ended.is_empty() || owner != Some(70) {
            assert!(start.elapsed() < Duration::from_secs(30), "{owner:?}");
            let (_, live, _) = tick(&mut monitor);
            owner = live.iter().find(|record| record.key.index == 1).and_then(pid);
            assert_eq!(monitor.out_of(), None);
            std::thread::sleep(Duration::from_millis(2));
        }
    });
}

#[test]
fn forwarded_connections_alone_have_no_older_ones_of_this_host_beside_them() {
    let tree = Tree::captured();
    for (beside, has_older) in [(WatchedBeside::Nothing, false), (WatchedBeside::EveryNamespace, true)] {
        let scope = ReportScope {
            idle: true,
            ended: usize::MAX,
            listening: false,
            forwarded: Some(beside),
            keep: Keep::default(),
        };
        let names = Names::new(&tree.path(""), NameOptions::default());
        let mut monitor = Monitor::start(Replay::default(), &tree.path(""), scope, names, HashMap::new);
        assert_eq!(!tick(&mut monitor).1.is_empty(), has_older);
    }
}
