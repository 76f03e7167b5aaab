//! Tests that text reports add up. Connections that ended within an interval have rows, too.

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
    sheet::{Entry, Sheet},
    traffic::{Own, V4, datagram, listen, udp},
};

/// What each short connection moves, up and down.
const BYTES: (u64, u64) = (20_000, 300);

/// Servers of connections that last a few milliseconds.
struct Servers {
    used: Own<TcpListener>,
    /// Nothing is sent to this one, nor by it.
    unused: Own<TcpListener>,
    udp: Own<UdpSocket>,
}

impl Servers {
    fn new() -> Self {
        Self { used: listen(V4), unused: listen(V4), udp: udp(V4) }
    }

    /// The ports of `used`, `unused` and `udp`.
    fn ports(&self) -> [u16; 3] {
        let addresses = [self.used.local_addr(), self.unused.local_addr(), self.udp.local_addr()];
        addresses.map(|address| address.expect("bound").port())
    }

    /// One connection to each.
    fn visit(&self) {
        short_lived(&self.used, BYTES.0, BYTES.1);
        short_lived(&self.unused, 0, 0);
        let client = udp(V4);
        client.send_to(&[0; 5_000], self.udp.local_addr().expect("bound")).expect("send");
        datagram(&self.udp, 5_000);
    }

    /// Runs tcptop while clients come and go, before it starts and until after its end. What it printed.
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
            clients.join().expect("no panic");
            finished.unwrap_or_else(|fall| std::panic::resume_unwind(fall))
        });
        finished.assert_success();
        finished.stdout
    }

    /// The only report of such a run.
    fn shown_by(&self, args: &[&str]) -> Sheet {
        let mut sheets = Sheet::all(&self.watched_by(args));
        assert_eq!(sheets.len(), 1);
        sheets.remove(0)
    }
}

/// Every row, in digits: text in a pipe has 20 rows otherwise.
const WHOLE: [&str; 4] = ["--bytes", "-r", "0", "-1"];

#[test]
fn one_report_has_what_ended_in_it_and_adds_up() {
    let servers = Servers::new();
    let sheet = servers.shown_by(&WHOLE);
    sheet.assert_adds_up();
    let [used, unused, udp] = servers.ports();
    // A UDP socket may have the same port.
    let ended = sheet.of(used).into_iter().filter(|row| row.ended() && row.proto == "-tcp");
    let ended: Vec<_> = ended.collect();
    assert!(ended.len() >= 10, "one row per end: {ended:?}");
    // One that was under way when tcptop began may have moved all but its end before.
    let whole = |row: &&&Entry| {
        let final_totals = [(row.rx, row.tx), (row.tx, row.rx)].contains(&BYTES);
        final_totals && row.rx_rate > 0 && row.tx_rate > 0
    };
    assert!(ended.iter().filter(whole).count() + 2 >= ended.len(), "{ended:?}");
    assert!(sheet.of(udp).iter().any(|row| row.proto == "-udp" && row.tx == 5_000), "{sheet:?}");
    assert!(!sheet.of(unused).iter().any(|row| row.ended()), "moved nothing: {sheet:?}");
}

#[test]
fn the_twenty_rows_of_a_pipe_have_what_ended() {
    let text = Servers::new().watched_by(&["--once"]);
    assert!(text.lines().count() <= 23 && text.lines().any(|line| line.starts_with("-tcp ")), "{text}");
}

#[test]
fn closed_adds_those_that_moved_nothing() {
    let servers = Servers::new();
    let sheet = servers.shown_by(&[&WHOLE[..], &["--closed"]].concat());
    sheet.assert_adds_up();
    let [used, unused, _] = servers.ports();
    for port in [used, unused] {
        let ended = sheet.of(port).iter().filter(|row| row.proto == "-tcp").count();
        assert!(ended >= 10, "{ended} of port {port}: {sheet:?}");
    }
    assert!(sheet.of(unused).iter().all(|row| (row.rx, row.tx) == (0, 0)), "{sheet:?}");
}

#[test]
fn csv_has_what_ended_only_when_asked() {
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
    let sheets = Sheet::all(&text);
    assert_eq!(sheets.len(), 4, "{text}");
    for sheet in sheets {
        assert!(sheet.total.1 > BYTES.0, "{sheet:?}");
        sheet.assert_adds_up();
    }
}

/// Reports while 9,000 flows of one UDP socket begin and end within one interval.
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
fn all_rows_are_all_rows_however_many_ended() {
    let sheets = Sheet::all(&during_nine_thousand("0"));
    // On a slow machine, some are listed as live in a report before the one in which they end.
    let rows = sheets.iter().flat_map(|sheet| &sheet.rows);
    let seen: HashSet<&str> =
        rows.filter(|row| row.remote.starts_with("127.9.")).map(|row| row.remote.as_str()).collect();
    assert_eq!(seen.len(), 9_000, "in {} reports", sheets.len());
    sheets.iter().for_each(Sheet::assert_adds_up);
}

#[test]
fn what_more_there_is_counts_all_that_ended() {
    let text = during_nine_thousand("10");
    let more: Vec<usize> =
        text.lines().filter_map(|line| line.strip_suffix(" more")?.trim().parse().ok()).collect();
    let all: usize = more.iter().map(|more| more + 10).sum();
    // A slow machine shows a flow in several reports: in that of its datagrams, while it is silent, and when it has ended.
    assert!(all >= 9_000 && all < 4 * 9_000 + 300 * more.len(), "{more:?} more: {text}");
}
