//! Tests the table of connections, event by event.

use std::time::Duration;

use tcptop_abi::{Counters, Endpoints};

use super::{
    CollectorEvent, Connection, ConnectionKey, ConnectionTable, Observation, ObservedOpening, Traffic,
};
use crate::{
    collector::{Claim, ObservedOwner},
    conn::{Identified, Keep, OwnerSource, Process, Protocol, TcpState},
    sys::clock::Moment,
};

const SECOND: Duration = Duration::from_secs(1);

fn ends(lport: u16, rport: u16) -> Endpoints {
    Endpoints { lport, rport, ..Endpoints::default() }
}

/// Returns an observation of an accepted connection.
fn tcp(index: u32, rx_bytes: u64) -> Observation {
    Observation {
        ends: ends(80, 9),
        totals: Counters { rx_bytes, ..Counters::default() },
        began: Moment::new(1),
        ..Observation::accepted(index)
    }
}

fn udp(index: u32, rx_bytes: u64) -> Observation {
    let (protocol, opening) = (Protocol::Udp, ObservedOpening::Active);
    Observation { protocol, opening, state: None, ends: ends(53, 9), ..tcp(index, rx_bytes) }
}

fn owned(seen: Observation, pid: u32, certain: bool) -> Observation {
    let claim = if certain { Claim::Used } else { Claim::Accepted };
    let owner = ObservedOwner {
        pid,
        uid: 0,
        comm: [b'x'; 16],
        is_other_thread: false,
        seen: SECOND,
        cgroup: 0,
        claim,
    };
    Observation { owner: Some(owner), ..seen }
}

fn process(pid: u32) -> Process {
    Process { pid, uid: 0, start: 1, comm: [b'x'; 16] }
}

fn apply(table: &mut ConnectionTable, event: CollectorEvent) {
    table.apply(event, &mut |owner| Some(Identified { process: process(owner.pid), is_gone: false }));
}

fn moved(table: &mut ConnectionTable, seen: Observation) {
    apply(table, CollectorEvent::Moved(seen));
}

fn ended(table: &mut ConnectionTable, seen: Observation) {
    let state = seen.state.map(|_| TcpState::Close);
    apply(table, CollectorEvent::Ended(Observation { state, ..seen }));
}

/// Ends interval `number`. Returns what moved, the number of active connections, and the owners of those that ended.
fn tick(table: &mut ConnectionTable, number: u32) -> (Traffic, usize, Vec<Option<u32>>) {
    let sum = table.close_interval(SECOND * number);
    let active = table.active().count();
    let ended = table.ended().map(|record| record.process().map(|process| process.pid)).collect();
    let rows = table.active().chain(table.ended()).map(|record| record.growth);
    let rows = rows.fold(Traffic::default(), |mut sum, growth| {
        sum += growth;
        sum
    });
    assert!(
        rows == sum || table.most_ended < usize::MAX,
        "the rows do not add up to the total: {rows:?} {sum:?}"
    );
    table.begin_interval();
    (sum, active, ended)
}

const fn rx(rx: u64) -> Traffic {
    Traffic { rx, tx: 0 }
}

#[test]
fn a_connection_that_lives_and_ends() {
    let mut table = ConnectionTable::new(usize::MAX);
    moved(&mut table, owned(tcp(3, 10), 7, true));
    assert_eq!(tick(&mut table, 1), (rx(10), 1, vec![]));
    assert_eq!((table.counts(), table.live().count()), ((1, 0), 1));
    moved(&mut table, owned(tcp(3, 10), 7, true));
    assert_eq!(tick(&mut table, 2), (rx(0), 0, vec![]), "an idle connection has no row");
    ended(&mut table, owned(tcp(3, 15), 7, true));
    assert_eq!(tick(&mut table, 3), (rx(5), 0, vec![Some(7)]));
    assert_eq!((table.counts(), table.live().count()), ((0, 0), 0));
    assert_eq!(tick(&mut table, 4), (rx(0), 0, vec![]));
}

#[test]
fn begun_and_ended_in_one_interval() {
    let mut table = ConnectionTable::new(usize::MAX);
    ended(&mut table, owned(tcp(0, 15), 7, true));
    assert_eq!(tick(&mut table, 1), (rx(15), 0, vec![Some(7)]));
}

#[test]
fn only_open_sockets_of_tcp_have_queues() {
    let mut table = ConnectionTable::new(usize::MAX);
    table.keep(Keep { extra: true, queues: true, history: false });
    moved(&mut table, tcp(0, 15));
    moved(&mut table, udp(1, 15));
    ended(&mut table, Observation { ends: ends(80, 10), ..tcp(2, 15) });
    assert_eq!(table.sockets(), [(Protocol::Tcp, ends(80, 9))]);
}

#[test]
fn an_index_that_is_used_again_is_another_connection() {
    let mut table = ConnectionTable::new(usize::MAX);
    ended(&mut table, owned(tcp(0, 15), 7, true));
    let key = ConnectionKey { index: 0, generation: 2 };
    moved(&mut table, owned(Observation { key, ..tcp(0, 4) }, 8, true));
    assert_eq!(tick(&mut table, 1), (rx(19), 1, vec![Some(7)]));
    // The owner of the connection before must not become the owner of this one.
    table.learn(ConnectionKey { index: 0, generation: 1 }, process(9), OwnerSource::Seen);
    let owners: Vec<_> = table.live().map(|record| record.process().map(|process| process.pid)).collect();
    assert_eq!(owners, [Some(8)]);
}

#[test]
fn an_owner_that_does_not_show_itself_is_the_listener_s() {
    let mut table = ConnectionTable::new(usize::MAX);
    let listener = Observation { state: Some(TcpState::Listen), ends: ends(80, 0), ..tcp(5, 0) };
    apply(&mut table, CollectorEvent::Listening(owned(listener, 5, true)));
    assert_eq!(table.counts(), (0, 0), "a listener is no connection");
    ended(&mut table, tcp(1, 10));
    apply(&mut table, CollectorEvent::StoppedListening(ConnectionKey { index: 5, generation: 1 }));
    assert_eq!(tick(&mut table, 1).2, [Some(5)]);
    ended(&mut table, tcp(1, 10));
    assert_eq!(tick(&mut table, 2).2, [Some(5)], "the listener closed only a moment ago");
    ended(&mut table, tcp(1, 10));
    assert_eq!(tick(&mut table, 3).2, [None]);
}

#[test]
fn what_no_report_lists_is_counted_all_the_same() {
    let mut table = ConnectionTable::new(0);
    moved(&mut table, owned(tcp(1, 10), 7, true));
    ended(&mut table, owned(tcp(1, 15), 7, true));
    assert_eq!(tick(&mut table, 1), (rx(15), 0, vec![]));
    assert_eq!((tick(&mut table, 2), table.counts()), ((rx(0), 0, vec![]), (0, 0)));
}

#[test]
fn connections_end_in_the_order_of_their_ends() {
    let mut table = ConnectionTable::new(usize::MAX);
    for (index, time) in [(1, 30), (2, 10), (3, 20)] {
        ended(&mut table, owned(Observation { ended: Moment::new(time), ..tcp(index, 1) }, index, true));
    }
    assert_eq!(tick(&mut table, 1).2, [Some(2), Some(3), Some(1)]);
}

#[test]
fn a_udp_flow_ends_with_its_last_active_interval() {
    let mut table = ConnectionTable::new(usize::MAX);
    moved(&mut table, owned(udp(1, 10), 7, true));
    tick(&mut table, 1);
    tick(&mut table, 2);
    ended(&mut table, owned(udp(1, 10), 7, true));
    table.close_interval(3 * SECOND);
    let last: Vec<_> = table.ended().map(|record| record.last_active).collect();
    assert_eq!(last, [Some(Moment::from(SECOND))]);
}

#[test]
fn who_accepted_is_looked_for_only_if_the_connection_lives_on() {
    let mut table = ConnectionTable::new(usize::MAX);
    let key = tcp(1, 0).key;
    moved(&mut table, owned(tcp(1, 10), 7, false));
    assert_eq!(table.ownerless(), []);
    tick(&mut table, 1);
    assert_eq!(table.ownerless(), [key]);
    table.learn(key, process(8), OwnerSource::Proc);
    assert_eq!(tick(&mut table, 2), (rx(0), 1, vec![]), "a row shows the new owner");
    moved(&mut table, owned(tcp(1, 12), 7, false));
    assert_eq!(table.ownerless(), []);
    ended(&mut table, owned(tcp(1, 12), 9, true));
    assert_eq!(tick(&mut table, 3).2, [Some(9)], "the process that closes a connection owns it");
}

#[test]
fn a_search_for_an_owner_is_repeated_less_and_less_often() {
    let mut table = ConnectionTable::new(usize::MAX);
    let mut searched = Vec::new();
    for number in 1..=40 {
        moved(&mut table, tcp(1, u64::from(number)));
        if !table.ownerless().is_empty() {
            searched.push(number);
        }
        tick(&mut table, number);
    }
    assert_eq!(searched, [1, 2, 4, 8, 16, 32]);
}

#[test]
fn an_idle_connection_s_owner_is_searched_for_too() {
    let mut table = ConnectionTable::new(usize::MAX);
    moved(&mut table, tcp(1, 1));
    let mut searched = Vec::new();
    for number in 1..=40 {
        if !table.ownerless().is_empty() {
            searched.push(number);
        }
        tick(&mut table, number);
    }
    assert_eq!(searched, [1, 2, 4, 8, 16, 32]);
}

#[test]
fn an_end_that_the_collector_does_not_see_is_asked_for_once() {
    let mut table = ConnectionTable::new(usize::MAX);
    let seen = || Observation { end_unconfirmed: true, ..tcp(1, 1) };
    moved(&mut table, seen());
    moved(&mut table, seen());
    assert_eq!(table.take_end_unconfirmed(), [(seen().key, ends(80, 9))]);
    assert_eq!(table.take_end_unconfirmed(), []);
    table.keep_end_unconfirmed(seen().key, true);
    assert!(table.was_missing(seen().key));
    assert_eq!(table.take_end_unconfirmed().len(), 1);
    table.keep_end_unconfirmed(seen().key, true);
    moved(&mut table, tcp(1, 2));
    assert_eq!(table.take_end_unconfirmed(), [], "the collector will see the end");
}

#[test]
fn a_connection_known_from_proc_is_found_by_its_ends() {
    let mut table = ConnectionTable::new(usize::MAX);
    older(&mut table, 4);
    assert_eq!(table.counts(), (1, 0));
    moved(&mut table, Observation { opening: ObservedOpening::Unseen, earlier: rx(70), ..tcp(1, 100) });
    assert_eq!(table.counts(), (1, 0), "both are one connection");
    assert_eq!(table.live().next().and_then(|record| record.process()), Some(&process(4)));
    assert_eq!(tick(&mut table, 1), (rx(30), 1, vec![]), "earlier bytes are not growth");
}

#[test]
fn of_many_that_ended_the_busiest_are_kept() {
    let mut table = ConnectionTable::new(3);
    for index in 0..20 {
        ended(&mut table, owned(tcp(index, u64::from(index * 7 % 20)), index, true));
    }
    let sum = table.close_interval(SECOND);
    assert_eq!(sum, rx((0..20).sum()), "the total counts all of them");
    let mut kept: Vec<u64> = table.ended().map(|record| record.growth.rx).collect();
    kept.sort_unstable();
    assert!(kept.len() < 6 && kept.ends_with(&[17, 18, 19]), "{kept:?}");
    let moved = kept.iter().filter(|bytes| **bytes > 0).count();
    assert_eq!(moved + table.left_out(), 19, "one of the twenty moved nothing");
    table.begin_interval();
    assert_eq!(table.left_out(), 0);
}

/// Adds an older connection with the ends of `tcp`, as /proc shows it.
fn older(table: &mut ConnectionTable, pid: u32) {
    let connection = Connection::new(Protocol::Tcp, ends(80, 9), Some(TcpState::Established));
    table.add_unseen(connection, Some(process(pid)));
}

fn pids(table: &ConnectionTable) -> Vec<Option<u32>> {
    let mut pids: Vec<_> = table.live().map(|record| record.process().map(|process| process.pid)).collect();
    pids.sort_unstable();
    pids
}

#[test]
fn of_two_namespaces_with_the_same_ends_neither_gets_the_other_s_owner() {
    let mut table = ConnectionTable::new(usize::MAX);
    older(&mut table, 10);
    older(&mut table, 20);
    assert_eq!((pids(&table), table.counts()), (vec![Some(10), Some(20)], (2, 0)));
    moved(&mut table, Observation { opening: ObservedOpening::Unseen, ..tcp(1, 70) });
    assert_eq!(
        (pids(&table), table.counts()),
        (vec![None, None], (2, 0)),
        "the observation may be of either"
    );
    moved(&mut table, Observation { opening: ObservedOpening::Unseen, ..tcp(2, 70) });
    assert_eq!((pids(&table), table.counts()), (vec![None, None], (2, 0)));
    table.forget_unseen([(Protocol::Tcp, ends(80, 9))].iter());
    assert_eq!(table.counts(), (2, 0));

    let mut table = ConnectionTable::new(usize::MAX);
    older(&mut table, 10);
    older(&mut table, 10);
    moved(&mut table, Observation { opening: ObservedOpening::Unseen, ..tcp(1, 70) });
    assert_eq!(pids(&table), [Some(10), Some(10)], "both have the same owner");
}

#[test]
fn whoever_has_it_now_takes_it_from_an_owner_that_has_exited() {
    let mut table = ConnectionTable::new(usize::MAX);
    let gone = |table: &mut ConnectionTable| {
        let seen = owned(Observation { opening: ObservedOpening::Active, ..tcp(1, 70) }, 10, true);
        table.apply(CollectorEvent::Moved(seen), &mut |owner| {
            Some(Identified { process: process(owner.pid), is_gone: true })
        });
    };
    moved(&mut table, owned(Observation { opening: ObservedOpening::Active, ..tcp(1, 7) }, 10, true));
    assert_eq!(table.ownerless(), [], "the process that connected is the owner");
    table.leave_exited(false, |process| process.pid == 10);
    let wanted = table.ownerless();
    assert_eq!(
        (wanted.len(), pids(&table)),
        (1, vec![Some(10)]),
        "the old owner stays until another is found"
    );
    table.learn(wanted[0], process(20), OwnerSource::Proc);
    gone(&mut table);
    assert_eq!(pids(&table), [Some(20)]);
    table.leave_exited(false, |process| process.pid == 20);
    gone(&mut table);
    assert_eq!(pids(&table), [Some(20)], "the last known owner stays");
    // Another process sends, and is then the last one that used the socket.
    moved(&mut table, owned(Observation { opening: ObservedOpening::Active, ..tcp(1, 71) }, 30, true));
    assert_eq!(pids(&table), [Some(30)]);
}
