//! The monitor over a collector and a /proc that are made up.

use std::{cell::RefCell, mem, os::fd::BorrowedFd, rc::Rc, time::Duration};

use tcptop_abi::{Counters, Flow, FlowFlags, IPPROTO_TCP, Owner, Socket, Stats, TcpStateCode};

use super::{Listing, Monitor, Report};
use crate::{
    collector::{CollectorEvent, FlowId, Missing, NetworkCollector, Slot},
    conn::{ConnectionRecord, Traffic},
    error::Error,
    proc::testing::{Tree, ends},
};

/// What the made-up kernel tells and holds.
#[derive(Default)]
struct Kernel {
    events: Vec<CollectorEvent>,
    flows: Vec<Flow>,
    released: Vec<(u64, Owner)>,
    stats: Stats,
    forgotten: Vec<u64>,
}

#[derive(Clone, Default)]
struct Fake(Rc<RefCell<Kernel>>);

impl NetworkCollector for Fake {
    fn start(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn missing(&self) -> &[Missing] {
        &[]
    }

    fn sees_releases(&self) -> bool {
        true
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn drain(&mut self, sink: &mut dyn FnMut(CollectorEvent)) {
        mem::take(&mut self.0.borrow_mut().events).into_iter().for_each(sink);
    }

    fn begin_interval(&mut self, _epoch: u32) -> Result<(), Error> {
        Ok(())
    }

    fn read(&self, slot: Slot) -> Option<Flow> {
        self.0.borrow().flows.iter().find(|flow| Slot::of(flow) == slot).copied()
    }

    fn socket(&self, _cookie: u64) -> Option<Socket> {
        None
    }

    fn flows(&self, from: u32, sink: &mut dyn FnMut(Flow)) -> Option<u32> {
        let kernel = self.0.borrow();
        let from = from as usize;
        sink(*kernel.flows.get(from)?);
        u32::try_from(from + 1).ok()
    }

    fn forget(&mut self, slot: Slot) {
        self.0.borrow_mut().forgotten.push(slot.cookie);
    }

    fn take_released(&mut self) -> Vec<(u64, Owner)> {
        mem::take(&mut self.0.borrow_mut().released)
    }

    fn stats(&self) -> Stats {
        self.0.borrow().stats
    }

    fn stop(&mut self) {}
}

/// A monitor over captured tables, with process 50 as the listener on port 8081.
fn started(tree: &Tree, listing: Listing) -> (Monitor<Fake>, Rc<RefCell<Kernel>>) {
    tree.process(50, "listener", &["socket:[18165]"]);
    let fake = Fake::default();
    let kernel = Rc::clone(&fake.0);
    let udp_timeout = Duration::from_secs(5);
    (Monitor::start(fake, &tree.path(""), listing, udp_timeout).expect("made up"), kernel)
}

/// The captured connection that the listener accepted; the kernel does not know whose it is.
fn accepted(rx_bytes: u64, epoch: u32) -> Flow {
    Flow {
        cookie: 1,
        counters: Counters { rx_bytes, ..Counters::default() },
        ends: ends("192.0.2.1", 8081, "192.0.2.1", 40005),
        flags: FlowFlags::PASSIVE_OPEN | FlowFlags::STATE_EVENTS,
        protocol: IPPROTO_TCP,
        state: TcpStateCode::ESTABLISHED,
        epoch,
        ..Flow::default()
    }
}

fn told(kernel: &RefCell<Kernel>, flow: Flow, before: Flow) {
    let id = FlowId::of(&flow).expect("a protocol");
    let event = CollectorEvent::Active { id, flow, before, epoch: flow.epoch };
    let mut kernel = kernel.borrow_mut();
    kernel.events.push(event);
    kernel.flows.push(flow);
}

fn tick(monitor: &mut Monitor<Fake>) -> (Traffic, Vec<ConnectionRecord>) {
    let live = |report: &Report<'_>| (report.total, report.live.iter().copied().cloned().collect());
    monitor.tick(false, live).expect("made up")
}

fn pid(record: &ConnectionRecord) -> Option<u32> {
    record.process.map(|process| process.pid)
}

#[test]
fn an_owner_found_late_is_reported_although_the_connection_is_idle() {
    let tree = Tree::captured();
    let (mut monitor, kernel) = started(&tree, Listing { idle: false, ended: true, listening: false });
    told(&kernel, accepted(100, 1), accepted(0, 1));
    let (total, live) = tick(&mut monitor);
    assert_eq!((total, live.len()), (Traffic { rx: 100, tx: 0 }, 1));
    assert_eq!(pid(&live[0]), Some(50), "nobody has accepted it: its listener's");

    tree.process(70, "worker", &["socket:[18175]"]);
    let found = (0..1000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(2));
        let (total, live) = tick(&mut monitor);
        assert_eq!(total, Traffic::default());
        live.first().cloned()
    });
    let found = found.expect("a row");
    assert_eq!((pid(&found), found.growth), (Some(70), Traffic::default()));
    let totals = found.totals.expect("counted");
    assert_eq!(totals.rx_bytes, 100);
    assert!((0..200).all(|_| tick(&mut monitor).1.is_empty()), "said once");
}

#[test]
fn what_a_lost_record_told_is_read_from_the_tables() {
    let tree = Tree::captured();
    let (mut monitor, kernel) = started(&tree, Listing { idle: false, ended: true, listening: false });
    let ended = Flow {
        cookie: 2,
        slot: 1,
        state: TcpStateCode::CLOSE,
        ends: ends("192.0.2.1", 8081, "192.0.2.1", 40006),
        ..accepted(30, 1)
    };
    {
        let mut kernel = kernel.borrow_mut();
        kernel.stats.lost_events = 2;
        kernel.flows = vec![accepted(100, 1), ended];
        kernel.released = vec![(2, Owner { tgid: 70, tid: 70, comm: [b'w'; 16], ..Owner::default() })];
    }
    let closed = |report: &Report<'_>| {
        let closed: Vec<_> = report.closed.iter().copied().map(pid).collect();
        (report.total, report.lost, report.live.len(), closed)
    };
    let report = monitor.tick(false, closed).expect("made up");
    assert_eq!(report, (Traffic { rx: 130, tx: 0 }, 2, 1, vec![Some(70)]));
    assert_eq!(kernel.borrow().forgotten, [2], "the entry of what ended is given back");
}

#[test]
fn an_older_connection_s_first_interval_counts_from_its_first_packet() {
    let tree = Tree::captured();
    tree.process(70, "worker", &["socket:[18175]"]);
    let (mut monitor, kernel) = started(&tree, Listing { idle: true, ended: true, listening: false });
    let (_, silent) = tick(&mut monitor);
    let known = silent.iter().find(|record| pid(record) == Some(70)).expect("it exists");
    assert!(known.totals.is_none(), "nothing seen so far");
    let flow = Flow { flags: 0, ..accepted(100, 2) };
    told(&kernel, flow, Flow { flags: 0, ..accepted(70, 2) });
    let (total, live) = tick(&mut monitor);
    assert_eq!(total, Traffic { rx: 30, tx: 0 });
    let known: Vec<_> = live.iter().filter(|record| pid(record) == Some(70)).collect();
    assert_eq!(known.len(), 1, "the one known from /proc");
    assert_eq!(known[0].totals.map(|totals| totals.rx_bytes), Some(100));
}
