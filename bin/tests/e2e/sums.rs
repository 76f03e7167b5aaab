//! Tests that the rows of text reports add up to the header, with the connections that ended within the interval.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use crate::{
    harness::run,
    options::{cells, during, short_lived},
    text_report::{Entry, TextReport},
    traffic::{Own, V4, datagram, listen, udp},
};

/// The bytes that each short connection sends to the server and receives from it.
const BYTES: (u64, u64) = (20_000, 300);

/// Servers for connections that last a few milliseconds.
struct Servers {
    used: Own<TcpListener>,
    /// Clients connect to this one and send nothing, and it sends nothing.
    unused: Own<TcpListener>,
    udp: Own<UdpSocket>,
}

impl Servers {
    fn new() -> Self {
        Self { used: listen(V4), unused: listen(V4), udp: udp(V4) }
    }

    /// Returns the ports of `used`, `unused` and `udp`.
    fn ports(&self) -> [u16; 3] {
        let addresses = [self.used.local_addr(), self.unused.local_addr(), self.udp.local_addr()];
        addresses.map(|address| address.expect("bound").port())
    }

    /// Makes one connection to each server.
    fn visit(&self) {
        short_lived(&self.used, BYTES.0, BYTES.1);
        short_lived(&self.unused, 0, 0);
        let client = udp(V4);
        client.send_to(&[0; 5_000], self.udp.local_addr().expect("bound")).expect("send");
        datagram(&self.udp, 5_000);
    }

    /// Runs tcptop, and lets clients come and go from before its start until after its end. Returns what tcptop
    /// printed.
    fn watched_by(&self, args: &[&str]) -> String {
        let stop = AtomicBool::new(false);
        let finished = thread::scope(|scope| {
            let clients = scope.spawn(|| {
                while !stop.load(Relaxed) {
                    self.visit();
                    thread::sleep(Duration::from_millis(10));
                }
            });
            let finished = std::panic::catch_unwind(|| run(args));
            stop.store(true, Relaxed);
            clients.join().expect("the thread does not panic");
            finished.unwrap_or_else(|fall| std::panic::resume_unwind(fall))
        });
        finished.assert_success();
        finished.stdout
    }

    /// Does the same, and returns the only report.
    fn shown_by(&self, args: &[&str]) -> TextReport {
        let mut reports = TextReport::all(&self.watched_by(args));
        assert_eq!(reports.len(), 1);
        reports.remove(0)
    }
}

/// Prints every row, with sizes in digits. By default, text in a pipe has 20 rows.
const WHOLE: [&str; 4] = ["--bytes", "-r", "0", "-1"];

#[test]
fn one_report_lists_ended_connections_and_adds_up() {
    let servers = Servers::new();
    let report = servers.shown_by(&WHOLE);
    report.assert_adds_up();
    let [used, unused, udp] = servers.ports();
    // A UDP socket may have the same port, so look at TCP only.
    let ended = report.of(used).into_iter().filter(|row| row.ended() && row.proto == "-tcp");
    let ended: Vec<_> = ended.collect();
    assert!(ended.len() >= 10, "each end must have a row: {ended:?}");
    // A connection that was open when tcptop began may have moved all its bytes before, so it has no rate.
    let whole = |row: &&&Entry| {
        let final_totals = [(row.rx, row.tx), (row.tx, row.rx)].contains(&BYTES);
        final_totals && row.rx_rate > 0 && row.tx_rate > 0
    };
    assert!(ended.iter().filter(whole).count() + 2 >= ended.len(), "{ended:?}");
    assert!(report.of(udp).iter().any(|row| row.proto == "-udp" && row.tx == 5_000), "{report:?}");
    assert!(!report.of(unused).iter().any(|row| row.ended()), "these connections moved nothing: {report:?}");
}

#[test]
fn the_twenty_rows_of_a_pipe_include_ended_connections() {
    let text = Servers::new().watched_by(&["--once"]);
    assert!(text.lines().count() <= 23 && text.lines().any(|line| line.starts_with("-tcp ")), "{text}");
}

#[test]
fn closed_also_lists_connections_that_moved_nothing() {
    let servers = Servers::new();
    let report = servers.shown_by(&[&WHOLE[..], &["--closed"]].concat());
    report.assert_adds_up();
    let [used, unused, _] = servers.ports();
    for port in [used, unused] {
        let ended = report.of(port).iter().filter(|row| row.proto == "-tcp").count();
        assert!(ended >= 10, "{ended} connections of port {port} ended: {report:?}");
    }
    assert!(report.of(unused).iter().all(|row| (row.rx, row.tx) == (0, 0)), "{report:?}");
}

#[test]
fn csv_lists_ended_connections_only_if_asked_to() {
    let servers = Servers::new();
    for (args, asked) in [(&["--csv", "-1"][..], false), (&["--csv", "-1", "--closed"][..], true)] {
        let rows = cells(&servers.watched_by(args));
        assert_eq!(rows.iter().any(|row| row["event"] == "closed"), asked, "{args:?}: {rows:?}");
        let events = ["live", "closed"];
        assert!(rows.iter().all(|row| events.contains(&row["event"].as_str())), "{args:?}: {rows:?}");
    }
}

#[test]
fn every_report_adds_up() {
    let servers = Servers::new();
    let text = servers.watched_by(&["--bytes", "-r", "0", "-d", "0.5", "-n", "4"]);
    let reports = TextReport::all(&text);
    assert_eq!(reports.len(), 4, "{text}");
    for report in reports {
        assert!(report.total.1 > BYTES.0, "{report:?}");
        report.assert_adds_up();
    }
}

/// Returns the reports of a run in which 9,000 flows of one UDP socket begin, and end when the socket is closed.
fn during_nine_thousand(rows: &str) -> String {
    let args = ["--bytes", "-r", rows, "-d", "2", "--flows", "16384"];
    let finished = during(&args, || {
        let socket = udp("0.0.0.0:0");
        for index in 0..9_000 {
            let remote = Ipv4Addr::from_bits(Ipv4Addr::new(127, 9, 0, 1).to_bits() + index);
            socket.send_to(&[0; 100], (remote, 9)).expect("send");
        }
    });
    finished.stdout
}

#[test]
fn zero_rows_means_all_rows_however_many_flows_ended() {
    let reports = TextReport::all(&during_nine_thousand("0"));
    // On a slow machine, a report may list some as live before the one in which they end.
    let rows = reports.iter().flat_map(|report| &report.rows);
    let seen: HashSet<&str> =
        rows.filter(|row| row.remote.starts_with("127.9.")).map(|row| row.remote.as_str()).collect();
    assert_eq!(seen.len(), 9_000, "flows are missing from {} reports", reports.len());
    reports.iter().for_each(TextReport::assert_adds_up);
}

#[test]
fn the_number_of_further_rows_counts_all_flows_that_ended() {
    let text = during_nine_thousand("10");
    let more: Vec<usize> =
        text.lines().filter_map(|line| line.strip_suffix(" more")?.trim().parse().ok()).collect();
    let all: usize = more.iter().map(|more| more + 10).sum();
    // On a slow machine, several reports may show a flow: that of its datagrams, those while it is silent, and that of
    // its end.
    assert!(all >= 9_000 && all < 4 * 9_000 + 300 * more.len(), "{more:?} more: {text}");
}
