//! Tests which rows are selected from the report of a small host.

use super::*;
use crate::{
    columns::Event,
    conn::{ConnectionOwner, Process, Protocol},
    names::Names,
    output::samples,
};

/// Returns the remote ports of the selected rows, with the kind of each row.
fn selected(selection: &Selection) -> (Vec<(u16, Event, u32)>, Option<Traffic>) {
    let records = samples::records();
    let report = samples::report(&records);
    let names = samples::names();
    let mut groups = Groups::default();
    let view = selection.select(&report, &samples::frame(&report, &names), usize::MAX, &mut groups);
    let rows = view.rows.iter().map(|row| (row.record.ends.rport, row.kind.event, row.kind.connections));
    (rows.collect(), view.shown)
}

fn ports(selection: &Selection) -> Vec<u16> {
    selected(selection).0.into_iter().map(|(port, ..)| port).collect()
}

fn any<T>(any: Vec<T>) -> Choice<T> {
    Choice { any, none: Vec::new() }
}

fn none<T>(none: Vec<T>) -> Choice<T> {
    Choice { any: Vec::new(), none }
}

fn filtered(filter: Filter) -> Vec<u16> {
    ports(&Selection { filter, closed: true, ..samples::selection() })
}

#[test]
fn live_ones_by_rate_then_closed_ones() {
    let all = Selection { closed: true, ..samples::selection() };
    assert_eq!(ports(&all), [443, 50022, 53, 33000, 65535, 5201, 123]);
    assert_eq!(ports(&Selection { idle: false, ..samples::selection() }), [443, 50022, 53, 65535]);
    assert_eq!(ports(&Selection { live: false, ..all }), [5201, 123]);
}

#[test]
fn the_first_rows_are_the_same_however_many_are_seen() {
    let records = samples::records();
    let report = samples::report(&records);
    let names = samples::names();
    for most in 0..8 {
        let mut groups = Groups::default();
        let view = samples::selection().select(&report, &samples::frame(&report, &names), most, &mut groups);
        let ports: Vec<u16> = view.rows.iter().take(most).map(|row| row.record.ends.rport).collect();
        assert_eq!(ports, [443, 50022, 53, 33000, 65535][..most.min(5)]);
        assert_eq!(view.rows.len(), 5);
    }
}

#[test]
fn every_test_of_a_filter_must_hold() {
    let network = |address: [u8; 4], bits: u32| {
        let mapped = std::net::Ipv4Addr::from(address).to_ipv6_mapped().octets();
        Filter { networks: any(vec![Network::new(mapped, 96 + bits)]), ..Filter::default() }
    };
    let none = Filter::default();
    assert_eq!(filtered(Filter { pids: any(vec![977, 612]), ..none.clone() }), [50022, 53]);
    let names = vec![Pattern(b"s*d".to_vec()), Pattern(b"curl".to_vec())];
    assert_eq!(filtered(Filter { names: any(names), ..none.clone() }), [443, 50022]);
    assert_eq!(filtered(Filter { ports: any(vec![22..=22, 443..=443]), ..none.clone() }), [443, 50022]);
    assert_eq!(filtered(Filter { local_ports: any(vec![8000..=9000]), ..none.clone() }), [65535]);
    assert_eq!(filtered(Filter { remote_ports: any(vec![50..=150]), ..none.clone() }), [53, 123]);
    assert_eq!(filtered(network([9, 9, 0, 0], 16)), [53]);
    assert_eq!(filtered(network([192, 168, 1, 0], 24)), [443, 53, 65535]);
    assert_eq!(filtered(Filter { protocols: vec![Protocol::Udp], ..none.clone() }), [53, 123]);
    assert_eq!(filtered(Filter { v4: vec![false], ..none.clone() }), [50022, 123]);
    let states = vec![crate::conn::TcpState::SynRecv];
    assert_eq!(filtered(Filter { states: any(states), ..none.clone() }), [65535]);
    let both =
        Filter { protocols: vec![Protocol::Tcp], v4: vec![true, false], ports: any(vec![53..=443]), ..none };
    assert_eq!(filtered(both), [443]);
}

#[test]
fn what_is_left_out() {
    let all = Filter::default();
    assert_eq!(filtered(Filter { names: none(vec![Pattern(b"s*".to_vec())]), ..all.clone() }).len(), 5);
    // A connection without a known owner is not excluded by any name, pid, user or unit.
    let ports = filtered(Filter { pids: none(vec![4211, 977, 612, 4_194_303]), ..all.clone() });
    assert_eq!(ports, [65535, 5201, 123]);
    let both = Choice { any: vec![1..=65535], none: vec![443..=443, 22..=22] };
    assert_eq!(filtered(Filter { ports: both, ..all.clone() }), [53, 33000, 65535, 5201, 123]);
    let loopback = none(Network::LOOPBACK.to_vec());
    assert_eq!(filtered(Filter { networks: loopback, ..all.clone() }), [443, 50022, 53, 33000, 65535]);
    let openers = vec![crate::conn::Opener::Local];
    assert_eq!(filtered(Filter { openers, ..all }), [], "the samples do not say who opened them");
}

#[test]
fn users_by_name_and_number() {
    let mut records = samples::records();
    records.live.truncate(2);
    records.closed.clear();
    let other = Process { uid: 4_000_000, ..*records.live[0].process().expect("given") };
    records.live[0].owner = ConnectionOwner::Process(other);
    let report = samples::report(&records);
    let wanted = crate::names::NameOptions { user: true, ..Default::default() };
    let mut names = Names::new("/nonexistent".as_ref(), wanted);
    names.look_up(records.live.iter());
    let shown = |users: Choice<Pattern>| {
        let filter = Filter { users, ..Filter::default() };
        let selection = Selection { filter, ..samples::selection() };
        let mut groups = Groups::default();
        let view = selection.select(&report, &samples::frame(&report, &names), usize::MAX, &mut groups);
        view.rows.iter().map(|row| row.record.ends.rport).collect::<Vec<_>>()
    };
    let pattern = |text: &str| vec![Pattern(text.into())];
    assert_eq!(shown(any(pattern("ro*t"))), [50022]);
    assert_eq!(shown(any(pattern("0"))), [50022]);
    assert_eq!(shown(any(pattern("4000000"))), [443]);
    assert_eq!(shown(none(pattern("ro*t"))), [443]);
    assert_eq!(shown(none(pattern("0"))), [443]);
}

#[test]
fn what_is_shown_counts_ended_ones_without_their_rows() {
    let filter = Filter { protocols: vec![Protocol::Udp], ..Filter::default() };
    let (rows, shown) = selected(&Selection { filter, ..samples::selection() });
    assert_eq!(rows, [(53, Event::Live, 1)]);
    assert_eq!(shown, Some(Traffic { rx: 118 + 48, tx: 41 + 48 }));
    assert_eq!(selected(&samples::selection()).1, None, "there is no sum if nothing is left out");
}

#[test]
fn rows_of_less_are_left_out() {
    let fast = Selection { min_rate: Some(1_000), closed: true, ..samples::selection() };
    assert_eq!(ports(&fast), [443, 50022, 5201]);
    assert_eq!(selected(&fast).1, None, "a minimum rate does not change the sums");
    let records = samples::records();
    let report = samples::report(&records);
    let names = samples::names();
    let rate = |filter| {
        let mut groups = Groups::default();
        let selection = Selection { filter, ..samples::selection() };
        selection.select(&report, &samples::frame(&report, &names), 0, &mut groups).rate(&report)
    };
    assert_eq!(rate(Filter::default()), 12_600_841 + 1_010_954);
    assert_eq!(rate(Filter { ports: any(vec![22..=22]), ..Filter::default() }), 1_536 + 10_240);
}

#[test]
fn orders() {
    let by = |column, reversed| {
        let order = Some(Order { column, reversed });
        ports(&Selection { order, ..samples::selection() })
    };
    assert_eq!(by(ColumnId::TxRate, false), [50022, 443, 53, 33000, 65535]);
    assert_eq!(
        by(ColumnId::RemotePort, false),
        [53, 443, 33000, 50022, 65535],
        "ports are sorted like names, the smallest first"
    );
    assert_eq!(by(ColumnId::RemotePort, true), [65535, 50022, 33000, 443, 53]);
    assert_eq!(by(ColumnId::Comm, false), [443, 33000, 50022, 53, 65535], "rows without a name come last");
    assert_eq!(by(ColumnId::Comm, true), [53, 50022, 33000, 443, 65535], "they also come last in reverse");
    assert_eq!(by(ColumnId::Rtt, true), [50022, 443, 33000, 53, 65535]);
    assert_eq!(
        by(ColumnId::RemoteAddress, false),
        [53, 33000, 65535, 443, 50022],
        "addresses are sorted by number, 9 before 10"
    );
}

#[test]
fn groups_have_sums_of_the_interval() {
    let mut records = samples::records();
    records.live[2].owner = records.live[0].owner;
    records.closed[0].owner = records.live[0].owner;
    let report = samples::report(&records);
    let names = samples::names();
    let selection = Selection { by: Some(ColumnId::Pid), ..samples::selection() };
    let mut groups = Groups::default();
    let view = selection.select(&report, &samples::frame(&report, &names), usize::MAX, &mut groups);
    let row = |at: usize| {
        let row: &Row<'_> = &view.rows[at];
        let pid = row.record.process().map(|Process { pid, .. }| *pid);
        (pid, row.kind.connections, row.record.growth, row.record.totals().map(|totals| totals.rx_bytes))
    };
    let sum = Traffic { rx: 12_582_912 + 118 + 12_345, tx: 310 + 41 + 1_000_000 };
    assert_eq!(row(0), (Some(4211), 3, sum, Some(sum.rx)));
    assert!(view.rows.iter().all(|row| row.kind.event == Event::Group));
    assert_eq!(view.rows.iter().map(|row| row.kind.connections).sum::<u32>(), 7);
    let mut groups = Groups::default();
    let active = Selection { idle: false, ..selection }.select(
        &report,
        &samples::frame(&report, &names),
        usize::MAX,
        &mut groups,
    );
    assert_eq!(active.rows.len(), view.rows.len() - 1, "one group has only an idle connection");
}

#[test]
fn ended_ones_that_moved_stand_among_the_open_ones_on_a_screen() {
    let screen = Selection { closed_active: true, ..samples::selection() };
    assert_eq!(ports(&screen), [443, 5201, 50022, 53, 123, 33000, 65535]);
    let events: Vec<Event> = selected(&screen).0.into_iter().map(|(_, event, _)| event).collect();
    assert_eq!(events[..3], [Event::Live, Event::Closed, Event::Live]);

    let mut records = samples::records();
    records.closed[1].growth = Traffic::default();
    let report = samples::report(&records);
    let names = samples::names();
    let count = |selection: &Selection| {
        let mut groups = Groups::default();
        selection.select(&report, &samples::frame(&report, &names), usize::MAX, &mut groups).rows.len()
    };
    assert_eq!(count(&screen), 6, "an ended connection that moved nothing has no row");
    assert_eq!(count(&Selection { closed: true, ..screen }), 7, "--closed shows it");
}

#[test]
fn the_busiest_open_connections_come_first_however_many_have_ended() {
    let record = |moved: u64| ConnectionRecord {
        growth: Traffic { rx: moved, tx: 0 },
        ..samples::record(Protocol::Tcp, ("192.0.2.1", 1000), ("192.0.2.2", 443))
    };
    let ended: Vec<_> = (0..40).map(|at| record(1_000 + at * 7 % 40)).collect();
    let open: Vec<_> = (0..40).map(|at| record(1 + at * 11 % 40)).collect();
    let rows = ended.iter().map(|record| Row { record, kind: &CLOSED });
    let mut rows: Vec<_> = rows.chain(open.iter().map(|record| Row { record, kind: &LIVE })).collect();
    order::by_default(&mut rows, 10);
    let moved = |event| -> Vec<u64> {
        let rows = rows.iter().filter(|row| row.kind.event == event);
        rows.map(|row| row.record.growth.rx).take(10).collect()
    };
    assert_eq!(moved(Event::Closed), (1_030..1_040).rev().collect::<Vec<_>>());
    assert_eq!(moved(Event::Live), (31..41).rev().collect::<Vec<_>>());
}
