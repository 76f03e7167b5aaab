//! Tests the limits of the flow table, and the options that compare rates with a limit.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use super::csv;
use crate::{
    exact::native::leftovers::socket,
    harness::{eventually, run},
    namespace,
    traffic::{Own, Pair, V4, allow_descriptors, datagram, transfer, udp},
};

#[test]
fn flows_that_find_no_room_are_counted_as_untracked() {
    allow_descriptors(4_096);
    let server = udp(V4);
    let remote = server.local_addr().expect("bound");
    let clients: Vec<Own<std::net::UdpSocket>> = (0..1_100).map(|_| udp(V4)).collect();
    let process = super::Process::start(
        &mut crate::harness::tcptop(&["--csv", "--flows", "1024", "--total", "-d", "0.5", "-n", "6"]),
        |_| (),
    );
    let finished = thread::scope(|scope| {
        let waiter = scope.spawn(|| process.wait());
        while !waiter.is_finished() {
            for client in &clients {
                client.send_to(&[0; 10], remote).expect("send");
                datagram(&server, 10);
            }
        }
        waiter.join().expect("the thread does not panic")
    });
    finished.assert_code(0);
    let rows = super::cells(&finished.stdout);
    assert!(rows.iter().any(|row| row["event"] == "untracked"), "{}", finished.stderr);
    assert!(finished.stderr.contains("tables are full"), "{}", finished.stderr);
    let flows = rows.iter().filter(|row| row["event"] == "live").map(|row| (&row["lport"], &row["rport"]));
    let flows: std::collections::HashSet<_> = flows.collect();
    assert!(flows.len() <= 1024, "{}", flows.len());
}

#[test]
fn flows_may_be_more_than_the_default() {
    let rows = csv(&["--flows", "70000", "-q"], || ());
    assert_eq!(rows.len(), 1);
    run(&["--flows", "1023", "-1"]).assert_code(2);
}

/// The kernel gives every raw socket of a protocol a copy of each packet. These copies must not count.
#[test]
fn copies_for_raw_sockets_are_not_untracked() {
    const BYTES: u64 = 1_000_000;
    static BEGUN: AtomicBool = AtomicBool::new(false);
    allow_descriptors(4_096);
    let process = super::Process::start(
        &mut crate::harness::tcptop(&["--csv", "--flows", "1024", "--total", "-d", "0.3"]),
        |_| BEGUN.store(true, Relaxed),
    );
    eventually("a header", || BEGUN.load(Relaxed).then_some(()));
    let inside = thread::spawn(|| {
        namespace::enter_new();
        let pair = Pair::new(V4);
        pair.exchange(1, 1);
        let server = udp(V4);
        let remote = server.local_addr().expect("bound");
        let clients: Vec<_> = (0..1_100).map(|_| udp(V4)).collect();
        for client in &clients {
            client.send_to(&[0; 10], remote).expect("send");
            datagram(&server, 10);
        }
        thread::sleep(Duration::from_millis(700));
        let raw = || socket(libc::SOCK_RAW, libc::IPPROTO_TCP).expect("a socket");
        let _raw: Vec<_> = (0..20).map(|_| raw()).collect();
        transfer(&pair.client, &pair.server, BYTES);
        thread::sleep(Duration::from_millis(400));
    });
    inside.join().expect("the traffic does not panic");
    process.signal(libc::SIGINT);
    let finished = process.wait();
    finished.assert_code(0);
    assert!(finished.stderr.contains("tables are full"), "{}", finished.stderr);
    let rows = super::cells(&finished.stdout);
    let bytes =
        rows.iter().filter(|row| row["event"] == "untracked").map(|row| row["rx_bytes"].parse::<u64>());
    let bytes: u64 = bytes.map(|bytes| bytes.expect("a number")).sum();
    // Flows of other processes on this machine may find no room meanwhile, so the sum need not be zero.
    assert!((1..BYTES).contains(&bytes), "{bytes} untracked bytes received");
}

/// One connection moves a megabyte, and the other one a few bytes.
#[test]
fn min_rate_and_exit_over_compare_rates() {
    let (busy, slow) = (Pair::new(V4), Pair::new(V4));
    let port = |pair: &Pair| pair.flow.remote.port().to_string();
    let list = format!("{},{}", port(&busy), port(&slow));
    let finished = super::during(&["--csv", "-d", "60", "--min-rate", "10K", "-P", &list], || {
        busy.exchange(1_000_000, 10);
        slow.exchange(10, 10);
    });
    let rows = super::cells(&finished.stdout);
    let live: Vec<_> = rows.iter().filter(|row| row["event"] == "live").collect();
    assert_eq!(live.len(), 2, "only both ends of the busy connection are shown: {rows:?}");
    assert!(live.iter().all(|row| [&row["lport"], &row["rport"]].contains(&&port(&busy))), "{rows:?}");

    let args = ["-d", "0.2", "-n", "3", "--exit-over", "1G", "-P", &port(&busy)];
    run(&args).assert_code(0);
    // tcptop ends after the first report with a higher rate.
    let process = super::Process::start(
        &mut crate::harness::tcptop(&["--csv", "-q", "-d", "0.2", "--exit-over", "1K", "-P", &port(&busy)]),
        |_| (),
    );
    let finished = thread::scope(|scope| {
        let waiter = scope.spawn(|| process.wait());
        while !waiter.is_finished() {
            busy.exchange(100_000, 0);
            thread::sleep(Duration::from_millis(20));
        }
        waiter.join().expect("the thread does not panic")
    });
    finished.assert_code(1);
    let last = super::cells(&finished.stdout);
    let last = last.iter().rfind(|row| row["event"] == "shown").expect("a sum");
    assert!(last["rx_rate"].parse::<u64>().expect("a number") > 512, "{last:?}");
}
