//! Reports as comma-separated values (RFC 4180, lines end in a bare newline): one line per row, always valid UTF-8.

use std::time::Duration;

use super::{
    columns::{CSV, Id, Row},
    time, units,
};
use crate::conn::{Report, Traffic, per_second};

/// Appends the header line.
pub fn header(out: &mut Vec<u8>) {
    let mut mark = b"".as_slice();
    for csv in CSV.iter().filter_map(|id| id.column().csv.as_ref()) {
        out.extend_from_slice(mark);
        out.extend_from_slice(csv.name.as_bytes());
        mark = b",";
    }
    out.push(b'\n');
}

/// Which rows there are besides those of active connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rows {
    /// One for each connection that ended.
    pub closed: bool,
    /// One for the sum of all, at the end of the report.
    pub total: bool,
}

/// Appends a row for each active connection, then those that `rows` asks for; bytes that no row names have one of their
/// own, so that the rows' growth adds up to the total.
pub fn report(report: &Report, rows: Rows, out: &mut Vec<u8>) {
    let mut now = Vec::with_capacity(24);
    time::utc(report.time, &mut now);
    for record in report.live.iter().filter(|record| record.active) {
        line(&Row { record, closed: false, time: &now }, out);
    }
    for record in report.closed.iter().filter(|_| rows.closed) {
        line(&Row { record, closed: true, time: &now }, out);
    }
    if report.untracked.sum() > 0 {
        sum(b"untracked", report.untracked, report.interval, &now, out);
    }
    if rows.total {
        sum(b"total", report.total, report.interval, &now, out);
    }
}

/// Appends the row of a sum: its bytes are those of the interval.
fn sum(event: &[u8], bytes: Traffic, interval: Duration, time: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    for id in CSV.iter().filter(|id| id.column().csv.is_some()) {
        if out.len() > start {
            out.push(b',');
        }
        match id {
            Id::Time => out.extend_from_slice(time),
            Id::Event => out.extend_from_slice(event),
            Id::RxBytes => units::decimal(bytes.rx, out),
            Id::TxBytes => units::decimal(bytes.tx, out),
            Id::RxRate => units::decimal(per_second(bytes.rx, interval), out),
            Id::TxRate => units::decimal(per_second(bytes.tx, interval), out),
            _ => {}
        }
    }
    out.push(b'\n');
}

fn line(row: &Row, out: &mut Vec<u8>) {
    let mut first = true;
    for csv in CSV.iter().filter_map(|id| id.column().csv.as_ref()) {
        if !first {
            out.push(b',');
        }
        (csv.cell)(row, out);
        first = false;
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    fn csv(report_of: &Report, closed: bool) -> String {
        rows(report_of, Rows { closed, total: false })
    }

    fn rows(report_of: &Report, rows: Rows) -> String {
        let mut out = Vec::new();
        report(report_of, rows, &mut out);
        String::from_utf8(out).expect("valid UTF-8")
    }

    #[test]
    fn header_is_the_documented_one() {
        let mut out = Vec::new();
        header(&mut out);
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
        assert_eq!(csv(&report, false), untracked, "what has no row of its own is never left out");
        let total = "2026-11-23T12:41:52.123Z,total,,,,,,,,,1000,3,,,500,2,,\n";
        assert_eq!(rows(&report, Rows { closed: false, total: true }), format!("{untracked}{total}"));
    }

    #[test]
    fn an_idle_interval_has_no_rows() {
        let mut records = samples::records();
        records.live.iter_mut().for_each(|record| record.active = false);
        assert_eq!(csv(&samples::report(&records), false), "");
    }
}
