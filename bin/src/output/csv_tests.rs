//! Golden reports.

use std::time::Duration;

use super::{super::samples, *};
use crate::{
    columns::CSV,
    view::{Groups, Selection},
};

fn csv(report: &Report<'_>, closed: bool) -> String {
    rows(report, closed, &samples::csv())
}

fn rows(report: &Report<'_>, closed: bool, options: &OutputOptions) -> String {
    let names = samples::names();
    let frame = samples::frame(report, &names);
    let mut groups = Groups::default();
    let view = Selection { idle: false, closed, ..samples::selection() }.select(
        report,
        &frame,
        usize::MAX,
        &mut groups,
    );
    let mut out = Vec::new();
    super::report(report, &view, options, &frame, &mut out, &mut |_| ());
    String::from_utf8(out).expect("valid UTF-8")
}

#[test]
fn header_is_the_documented_one() {
    let mut out = Vec::new();
    header(&CSV, &mut out);
    assert_eq!(
        out,
        b"time,event,proto,laddr,lport,raddr,rport,pid,comm,state,rx_bytes,tx_bytes,rx_packets,tx_packets,rx_rate,tx_rate,rtt_us,retrans\n"
    );
}

#[test]
fn active_rows_then_closed_rows() {
    let records = samples::records();
    let live = "\
2026-11-23T12:41:52.123Z,live,tcp,192.168.1.10,51514,203.0.113.77,443,4211,curl,ESTABLISHED,12886016,1234,9120,4410,12582912,310,12345,0
2026-11-23T12:41:52.123Z,live,tcp,2001:db8:85a3::8a2e:370:7334,22,2001:db8:85a3:8d3:1319:8a2e:370:7348,50022,977,sshd,ESTABLISHED,48213,1048535,812,990,1536,10240,250,3
2026-11-23T12:41:52.123Z,live,udp,192.168.1.10,40112,9.9.9.9,53,612,systemd-resolve,,118,41,1,1,118,41,,
2026-11-23T12:41:52.123Z,live,tcp,192.168.1.10,8080,192.168.100.200,65535,,,SYN_RECV,,,,,0,0,,
";
    let ended = "\
2026-11-23T12:41:52.123Z,closed,tcp,127.0.0.1,39000,127.0.0.1,5201,1999,\"a\"\"b,\\x1b[2J\\xff\",TIME_WAIT,12345,1000000,20,31,12345,1000000,31,2
2026-11-23T12:41:52.123Z,closed,udp,::1,40113,::1,123,2001,chronyd,,48,48,1,1,48,48,,
";
    assert_eq!(csv(&samples::report(&records), false), live);
    assert_eq!(csv(&samples::report(&records), true), format!("{live}{ended}"));
}

#[test]
fn sums_are_of_the_interval() {
    let mut records = samples::records();
    records.live.clear();
    let mut report = samples::report(&records);
    report.interval = Duration::from_secs(2);
    report.total = Traffic { rx: 1_000, tx: 3 };
    report.untracked = Traffic { rx: 400, tx: 0 };
    let untracked = "2026-11-23T12:41:52.123Z,untracked,,,,,,,,,400,0,,,200,0,,\n";
    assert_eq!(csv(&report, false), untracked, "untracked bytes are never left out");
    let total = "2026-11-23T12:41:52.123Z,total,,,,,,,,,1000,3,,,500,2,,\n";
    assert_eq!(
        rows(&report, false, &OutputOptions { sums: true, ..samples::csv() }),
        format!("{untracked}{total}")
    );
}

#[test]
fn an_idle_interval_has_no_rows() {
    let mut records = samples::records();
    records.live.iter_mut().for_each(|record| record.active = false);
    assert_eq!(csv(&samples::report(&records), false), "");
}

#[test]
fn a_limit_leaves_the_sums() {
    let records = samples::records();
    let report = samples::report(&records);
    let few = rows(&report, true, &OutputOptions { rows: Some(2), sums: true, ..samples::csv() });
    let events: Vec<_> = few.lines().filter_map(|line| line.split(',').nth(1)).collect();
    assert_eq!(events, ["live", "live", "total"]);
    let all = rows(&report, true, &OutputOptions { rows: Some(0), ..samples::csv() });
    assert_eq!(all, csv(&report, true));
    let quiet = rows(&report, true, &OutputOptions { quiet: true, sums: true, ..samples::csv() });
    assert_eq!(quiet.lines().count(), 1);
}

#[test]
fn a_wall_clock_that_was_set_changes_times_of_day_and_nothing_else() {
    const DAY: u64 = 86_400;
    let mut records = samples::records();
    for (begin, record) in (4_000..).zip(&mut records.live) {
        record.began = Some(Duration::from_secs(begin).into());
    }
    let order = Some(crate::view::Order { column: ColumnId::Start, reversed: false });
    let selection = Selection { order, closed: true, ..samples::selection() };
    let columns = [CSV.as_slice(), &[ColumnId::DurationMs, ColumnId::Start]].concat();
    let options = OutputOptions { columns, sums: true, ..samples::csv() };
    let rows = |time| {
        let report = Report { time, ..samples::report(&records) };
        let names = samples::names();
        let frame = samples::frame(&report, &names);
        let (mut groups, mut out) = (Groups::default(), Vec::new());
        let view = selection.select(&report, &frame, usize::MAX, &mut groups);
        super::report(&report, &view, &options, &frame, &mut out, &mut |_| ());
        String::from_utf8(out).expect("valid UTF-8")
    };
    let now = samples::report(&records).time;
    let right = rows(now);
    assert_eq!(
        right.matches("2026-11-23T").count(),
        2 * 7 + 1 - 2,
        "an ended connection has no start here: {right}"
    );
    for (other, date) in
        [(now - Duration::from_secs(DAY), "2026-11-22T"), (now + Duration::from_secs(DAY), "2026-11-24T")]
    {
        assert_eq!(rows(other), right.replace("2026-11-23T", date));
    }
}

#[test]
fn rows_may_be_taken_one_by_one() {
    let records = samples::records();
    let report = samples::report(&records);
    let whole = csv(&report, true);
    let names = samples::names();
    let frame = samples::frame(&report, &names);
    let mut groups = Groups::default();
    let selection = Selection { idle: false, closed: true, ..samples::selection() };
    let view = selection.select(&report, &frame, usize::MAX, &mut groups);
    let (mut pieces, mut out) = (Vec::new(), Vec::new());
    super::report(&report, &view, &samples::csv(), &frame, &mut out, &mut |rows| {
        pieces.push(std::mem::take(rows));
    });
    assert_eq!(pieces.len(), view.rows.len());
    assert!(pieces.iter().all(|piece| piece.ends_with(b"\n")));
    assert_eq!([pieces.concat(), out].concat(), whole.into_bytes());
}
