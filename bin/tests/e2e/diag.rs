//! Tests the collector that reads TCP sockets through sock_diag, without BPF.

use std::{
    os::unix::process::CommandExt,
    thread,
    time::{Duration, Instant},
};

use crate::{
    harness::{Process, Scratch, Tcptop, run, tcptop},
    options::{Cells, cells},
    privilege::reachable,
    rows::Owner,
    traffic::{Pair, V4, V6, close_by_reset, finish_sending, receive_to_end, transfer},
    whose::log::Log,
};

/// Returns whether this kernel has sock_diag. Prints that a test is skipped if it has none.
pub fn is_available() -> bool {
    let check = run(&["--check"]);
    let has = check.stdout.lines().any(|line| line.starts_with("yes  sock_diag"));
    if !has {
        println!("skipped: this kernel has no sock_diag of TCP");
    }
    has
}

/// An expected closed row: the local and the remote address, and the bytes received and sent.
type ClosedRow = (String, String, u64, u64);

/// Returns the expected rows of the client's and the server's end.
fn ends(pair: &Pair, up: u64, down: u64) -> [ClosedRow; 2] {
    let (client, server) = (pair.flow.local.to_string(), pair.flow.remote.to_string());
    [(client.clone(), server.clone(), down, up), (server, client, up, down)]
}

/// Ends connections in several ways, each before a report and after one. Returns the expected rows.
fn end_in_each_way(address: &str) -> Vec<ClosedRow> {
    let mut expected = Vec::new();
    for pause in [0, 500] {
        let open = |up, down| {
            let pair = Pair::new(address);
            pair.exchange(up, down);
            thread::sleep(Duration::from_millis(pause));
            pair
        };
        // The client closes first.
        let pair = open(30_000, 500);
        expected.extend(ends(&pair, 30_000, 500));
        drop(pair.client);
        assert_eq!(receive_to_end(&pair.server), 0);
        // The server closes first.
        let pair = open(200, 100_000);
        expected.extend(ends(&pair, 200, 100_000));
        drop(pair.server);
        assert_eq!(receive_to_end(&pair.client), 0);
        // One side still sends after the other has finished.
        let pair = open(10, 20);
        finish_sending(&pair.client);
        assert_eq!(receive_to_end(&pair.server), 0);
        transfer(&pair.server, &pair.client, 5_000);
        expected.extend(ends(&pair, 10, 5_020));
        drop(pair.server);
        assert_eq!(receive_to_end(&pair.client), 0);
        // The client resets the connection. The kernel then forgets the bytes of that socket (net/ipv4/tcp.c
        // `tcp_disconnect`, v6.1), so they are lost if no report has shown them before.
        let pair = open(3_000, 4_000);
        expected.extend(ends(&pair, 3_000, 4_000).into_iter().skip(usize::from(pause == 0)));
        close_by_reset(pair.client);
        thread::sleep(Duration::from_millis(50));
    }
    expected
}

/// Panics unless each end has one closed row with the bytes that it sent and received. If the kernel does not show
/// whether a FIN has arrived, one received byte may be missing. If a connection lived only for a moment, its owner is
/// unknown or that of the listener.
fn assert_closed(log: Log, expected: &[ClosedRow]) {
    let me = Owner::me();
    let mut short = 0;
    for (local, remote, rx, tx) in expected {
        let row = log.closed(local, remote);
        let number = |name: &str| row[name].parse::<u64>().expect("a number");
        assert_eq!(number("tx_bytes"), *tx, "{row:?}");
        // On an emulated machine, tcptop once counted a FIN as a byte.
        let most = rx + u64::from(std::env::var_os("TCPTOP_SLOW").is_some());
        let received = number("rx_bytes");
        assert!(received + 1 >= *rx && received <= most, "{rx}: {row:?}");
        short += rx.saturating_sub(received);
        assert!(row["comm"].is_empty() || row["comm"] == me.comm, "{row:?}");
    }
    let is_ours = |row: &&Cells| {
        let is_same = |(local, remote, ..): &ClosedRow| row["local"] == *local && row["remote"] == *remote;
        row["event"] == "closed" && expected.iter().any(is_same)
    };
    assert_eq!(log.rows().iter().filter(is_ours).count(), expected.len(), "each end must have one row");
    println!("{short} of {} ends lack a byte", expected.len());
    assert!(short * 2 <= expected.len() as u64, "{short} ends lack a byte");
    log.stop();
}

#[test]
fn connections_end_in_each_way() {
    if !is_available() {
        return;
    }
    for address in [V4, V6] {
        let log = Log::start(&["--collector", "diag", "-d", "0.2"]);
        let expected = end_in_each_way(address);
        assert_closed(log, &expected);
    }
}

/// Each connection lives only for a moment.
#[test]
fn a_thousand_connections() {
    if !is_available() {
        return;
    }
    let log = Log::start(&["--collector", "diag", "-d", "0.5"]);
    let mut expected = Vec::new();
    for number in 0..500 {
        let pair = Pair::new(V4);
        pair.exchange(100, number);
        expected.extend(ends(&pair, 100, number));
        drop(pair.client);
        assert_eq!(receive_to_end(&pair.server), 0);
    }
    assert_closed(log, &expected);
}

#[test]
fn connections_live_and_are_older() {
    if !is_available() {
        return;
    }
    let older = Pair::new(V4);
    older.exchange(10_000, 20_000);
    let tcptop = Tcptop::run(&mut tcptop(&["--collector", "diag", "--csv", "--closed", "-d", "0.2"]));
    let pair = Pair::new(V4);
    pair.exchange(100, 200);
    older.exchange(1, 2);
    let expected = [pair.ends(100, 200), older.ends(10_001, 20_002)].concat();
    tcptop.expect_live(&expected);
    drop((pair, older));
    tcptop.finish(&expected);
}

/// sock_diag needs no privilege, as ss shows.
#[test]
fn a_plain_user_sees_connections() {
    if !is_available() {
        return;
    }
    let scratch = Scratch::new("diag");
    let mut command =
        reachable(&scratch, &["--collector", "diag", "--traffic", "local", "--csv", "--closed", "-d", "60"]);
    command.uid(65_534).gid(65_534);
    let port;
    let process = Process::start(&mut command, |_| ());
    thread::sleep(Duration::from_secs(1));
    let finished = {
        let pair = Pair::new(V4);
        pair.exchange(1_000, 2_000);
        port = pair.listener.local_addr().expect("bound").port();
        thread::sleep(Duration::from_millis(300));
        process.signal(libc::SIGINT);
        process.wait()
    };
    // stderr may have a note, because tcptop may not read the owners of other users' connections.
    finished.assert_code(0);
    let rows = cells(&finished.stdout);
    let row = rows.iter().find(|row| row["lport"] == port.to_string()).expect("the connection has a row");
    assert_eq!((row["rx_bytes"].as_str(), row["tx_bytes"].as_str()), ("1000", "2000"));
}

/// tcptop has nothing to do between two reports, so it must not wake up often.
#[test]
fn idle_costs_nothing() {
    if !is_available() {
        return;
    }
    let _pairs: Vec<Pair> = (0..50).map(|_| Pair::new(V4)).collect();
    let begin = Instant::now();
    let tcptop = Tcptop::run(&mut tcptop(&["--collector", "diag", "--csv", "--closed", "-d", "60"]));
    thread::sleep(Duration::from_secs(1));
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", tcptop.process().pid())).expect("tcptop runs");
    let switches = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    let switches: u32 = switches.and_then(|count| count.trim().parse().ok()).expect("a number");
    assert!(switches < 50, "{switches} wake-ups in {:?}", begin.elapsed());
    tcptop.stop();
}
