//! The table's life of a connection, event by event.

use std::time::Duration;

use tcptop_abi::{
    Counters, Endpoints, Flow, FlowFlags, IPPROTO_TCP, IPPROTO_UDP, Owner, TcpStateCode as Code,
};

use super::{Table, Traffic};
use crate::collector::{CollectorEvent, FlowId};

const SECOND: Duration = Duration::from_secs(1);

const UDP_IDLE: Duration = Duration::from_secs(5);

fn ends(lport: u16, rport: u16) -> Endpoints {
    Endpoints { lport, rport, ..Endpoints::default() }
}

fn tcp(rx_bytes: u64) -> Flow {
    let counters = Counters { rx_bytes, ..Counters::default() };
    let flags = FlowFlags::PASSIVE_OPEN | FlowFlags::STATE_EVENTS;
    Flow {
        counters,
        flags,
        protocol: IPPROTO_TCP,
        state: Code::ESTABLISHED,
        ends: ends(80, 9),
        ..Flow::default()
    }
}

fn udp(rx_bytes: u64) -> Flow {
    let counters = Counters { rx_bytes, ..Counters::default() };
    Flow { counters, protocol: IPPROTO_UDP, ends: ends(53, 9), ..Flow::default() }
}

fn owner(tgid: u32) -> Owner {
    Owner { tgid, tid: tgid, comm: [b'x'; 16], ..Owner::default() }
}

fn apply(table: &mut Table, event: CollectorEvent) {
    table.apply(event, &mut |_| None);
}

fn active(table: &mut Table, cookie: u64, flow: Flow, owner: Owner, epoch: u32) -> FlowId {
    let flow = Flow { cookie, owner, ..flow };
    let id = FlowId::of(&flow).expect("a protocol");
    apply(table, CollectorEvent::Active { id, flow, before: flow, epoch });
    id
}

fn closed(table: &mut Table, id: FlowId, rx_bytes: u64, epoch: u32) {
    let flow = Flow { state: Code::CLOSE, ..tcp(rx_bytes) };
    apply(table, CollectorEvent::State { id, flow, state: Code::CLOSE, epoch, time: None });
}

const fn bytes(rx: u64, tx: u64) -> Traffic {
    Traffic { rx, tx }
}

fn ended_pids(table: &Table) -> Vec<Option<u32>> {
    table.ended().map(|record| record.process.map(|process| process.pid)).collect()
}

#[test]
fn an_accepted_connection_reset_by_its_peer_waits_for_its_owner() {
    let mut table = Table::new(UDP_IDLE);
    let id = active(&mut table, 1, tcp(10), Owner::default(), 1);
    closed(&mut table, id, 15, 1);
    assert_eq!(table.close_interval(1, SECOND, false), bytes(15, 0), "counted in its interval");
    assert_eq!(ended_pids(&table), []);
    apply(&mut table, CollectorEvent::Released { cookie: 1, owner: owner(7), epoch: 1 });
    assert_eq!(table.close_interval(2, 2 * SECOND, false), bytes(0, 0), "and in no other");
    assert_eq!(ended_pids(&table), [Some(7)]);
    assert_eq!(
        table.ended().next().map(|record| record.growth),
        Some(bytes(0, 0)),
        "it was live in that one"
    );
}

#[test]
fn an_owner_that_does_not_show_itself_is_the_listener_s() {
    let mut table = Table::new(UDP_IDLE);
    let listener = Flow { state: Code::LISTEN, ends: ends(80, 0), owner: owner(5), ..tcp(0) };
    let id = FlowId::Tcp(99);
    apply(
        &mut table,
        CollectorEvent::State { id, flow: listener, state: Code::LISTEN, epoch: 1, time: None },
    );
    assert_eq!(table.counts(), (0, 0), "a listener is no connection");
    let id = active(&mut table, 1, tcp(10), Owner::default(), 1);
    closed(&mut table, id, 10, 1);
    table.close_interval(1, SECOND, false);
    assert_eq!(ended_pids(&table), []);
    table.close_interval(2, 2 * SECOND, false);
    assert_eq!(ended_pids(&table), [Some(5)]);
}

#[test]
fn the_last_report_holds_nothing_back() {
    let mut table = Table::new(UDP_IDLE);
    let id = active(&mut table, 1, tcp(10), Owner::default(), 1);
    closed(&mut table, id, 10, 1);
    table.close_interval(1, SECOND, true);
    assert_eq!(ended_pids(&table), [None]);
}

#[test]
fn an_older_connection_counts_from_the_moment_it_was_told_of() {
    let mut table = Table::new(UDP_IDLE);
    let flow = Flow { cookie: 1, flags: 0, ..tcp(100) };
    let before = Flow { cookie: 1, flags: 0, ..tcp(70) };
    let id = FlowId::of(&flow).expect("a protocol");
    apply(&mut table, CollectorEvent::Active { id, flow, before, epoch: 1 });
    assert_eq!(table.close_interval(1, SECOND, false), bytes(30, 0));
}

#[test]
fn what_no_report_lists_is_counted_all_the_same() {
    let mut table = Table::new(UDP_IDLE);
    table.drop_ended();
    let id = active(&mut table, 1, tcp(10), owner(7), 1);
    closed(&mut table, id, 15, 1);
    assert_eq!(table.close_interval(1, SECOND, false), bytes(15, 0));
    assert_eq!((ended_pids(&table), table.counts()), (vec![], (0, 0)));
    assert_eq!(table.close_interval(2, 2 * SECOND, false), bytes(0, 0));
}

#[test]
fn a_flow_stays_listed_for_one_quiet_interval() {
    let mut table = Table::new(UDP_IDLE);
    let id = active(&mut table, 1, tcp(10), owner(7), 1);
    active(&mut table, 1, tcp(20), owner(7), 1);
    assert_eq!(table.listed(), [id], "once, however often it is told of");
    assert_eq!(table.close_interval(1, SECOND, false), bytes(20, 0));
    assert_eq!(table.active().count(), 1);
    table.refresh(&id, &tcp(25));
    assert_eq!(table.close_interval(2, 2 * SECOND, false), bytes(5, 0), "what came during the last reading");
    assert_eq!(table.close_interval(3, 3 * SECOND, false), bytes(0, 0));
    assert_eq!((table.listed().len(), table.active().count(), table.live().count()), (0, 0, 1));
    assert!(table.live().all(|record| record.growth == bytes(0, 0) && !record.active));
}

#[test]
fn an_event_of_the_next_interval_keeps_the_flow_listed() {
    let mut table = Table::new(UDP_IDLE);
    let id = active(&mut table, 1, tcp(10), owner(7), 2);
    table.close_interval(1, SECOND, false);
    assert_eq!(table.listed(), [id]);
}

#[test]
fn a_udp_socket_s_flows_end_with_it() {
    let mut table = Table::new(UDP_IDLE);
    let first = active(&mut table, 1, udp(10), Owner::default(), 1);
    let second = active(&mut table, 1, Flow { ends: ends(53, 10), ..udp(20) }, Owner::default(), 1);
    active(&mut table, 2, udp(30), owner(8), 1);
    apply(&mut table, CollectorEvent::Released { cookie: 1, owner: owner(7), epoch: 1 });
    assert_eq!(table.take_released(), [first, second]);
    table.end(&first);
    table.end(&second);
    table.close_interval(1, SECOND, false);
    assert_eq!(ended_pids(&table), [Some(7), Some(7)]);
    assert_eq!(table.counts(), (0, 1));
}

#[test]
fn udp_ends_by_silence() {
    let mut table = Table::new(UDP_IDLE);
    let id = active(&mut table, 1, udp(10), owner(7), 1);
    table.close_interval(1, SECOND, false);
    table.close_interval(2, 2 * SECOND, false);
    assert_eq!(table.idle_udp(2 * SECOND), []);
    assert_eq!(table.idle_udp(SECOND + UDP_IDLE), [id]);
    table.end(&id);
    assert_eq!((table.counts(), ended_pids(&table)), ((0, 0), vec![Some(7)]));
}

#[test]
fn a_search_for_an_owner_is_repeated_less_and_less_often() {
    let mut table = Table::new(UDP_IDLE);
    let mut searched = Vec::new();
    for epoch in 1..=40 {
        active(&mut table, 1, tcp(u64::from(epoch)), Owner::default(), epoch);
        if !table.ownerless(epoch).is_empty() {
            searched.push(epoch);
        }
        table.close_interval(epoch, SECOND * epoch, false);
    }
    assert_eq!(searched, [1, 2, 4, 8, 16, 32]);
}

#[test]
fn an_older_connection_that_is_closed_first_of_all_waits_for_its_end() {
    let mut table = Table::new(UDP_IDLE);
    apply(&mut table, CollectorEvent::Released { cookie: 1, owner: owner(7), epoch: 1 });
    let id = active(&mut table, 1, Flow { flags: 0, ..tcp(10) }, Owner::default(), 1);
    assert_eq!(table.take_orphans(), [(id, ends(80, 9))]);
    table.end(&id);
    table.close_interval(1, SECOND, false);
    assert_eq!(ended_pids(&table), [Some(7)]);
}
