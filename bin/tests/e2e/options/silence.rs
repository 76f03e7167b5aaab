//! Tests when a UDP flow ends while its socket stays open. tcptop can only tell by the time since the last datagram.

use std::{
    net::{Ipv4Addr, UdpSocket},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{Cells, cells, during};
use crate::traffic::{V4, datagram, udp};

/// Returns the time of a row's report in seconds since 1970. Needs `--time epoch`.
fn reported(row: &Cells) -> f64 {
    row["time"].parse().expect("seconds")
}

#[test]
fn a_flow_ends_in_the_first_report_after_the_timeout() {
    let (brief, steady, server) = (udp(V4), udp(V4), udp(V4));
    let to = server.local_addr().expect("bound");
    let port = to.port().to_string();
    let say = |client: &UdpSocket| {
        client.send_to(&[0; 100], to).expect("send");
        datagram(&server, 100);
        SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_secs_f64()
    };
    let mut last = [0.0; 2];
    let form = ["--csv", "--closed", "--total", "--time", "epoch"];
    let args = [&form[..], &["-d", "2", "--udp-timeout", "2", "-P", &port]].concat();
    let finished = during(&args, || {
        // Begin in the middle of an interval. The timeout of two seconds then also ends a second away from any report.
        thread::sleep(Duration::from_secs(1));
        last[0] = say(&brief);
        say(&steady);
        thread::sleep(Duration::from_secs(2));
        last[1] = say(&steady);
        // Wait for the third report of each flow's silence.
        thread::sleep(Duration::from_millis(5_500));
    });
    let rows = cells(&finished.stdout);
    let reports: Vec<f64> = rows.iter().filter(|row| row["event"] == "total").map(reported).collect();
    for (client, last) in [&brief, &steady].into_iter().zip(last) {
        let first =
            reports.iter().copied().find(|time| *time >= last + 2.0).expect("tcptop wrote more reports");
        // The timeout counts from the end of the flow's last interval. If a slow machine ends that interval late, the
        // flow is closed one report later.
        let end = reports.iter().copied().find(|time| *time > last).expect("tcptop wrote more reports");
        let due = reports.iter().copied().find(|time| *time >= end + 1.8).expect("tcptop wrote more reports");
        let near = client.local_addr().expect("bound").port().to_string();
        let of_flow = |row: &&Cells| [&row["lport"], &row["rport"]].contains(&&near);
        let closed: Vec<f64> =
            rows.iter().filter(of_flow).filter(|row| row["event"] == "closed").map(reported).collect();
        let late: Vec<f64> = closed.iter().map(|time| time - last).collect();
        assert!(
            [first, due].iter().any(|report| closed == [*report; 2]),
            "both ends must be closed {:.1} s after the last datagram, not {late:.1?}; reports came at {:.1?}",
            first - last,
            reports.iter().map(|time| time - last).collect::<Vec<_>>()
        );
    }
}

/// Queries in a second: so many that one socket sends to new servers, and so many that new sockets send.
const ASKED: (u32, u32) = (47, 8);
/// The length of the test in seconds.
const LENGTH: u32 = 21;

/// Sends the queries at a steady rate, as a resolver does.
fn ask(server: &UdpSocket, client: &UdpSocket) {
    let port = server.local_addr().expect("bound").port();
    let (begin, each) = (Instant::now(), ASKED.0 + ASKED.1);
    for index in 0..LENGTH * each {
        let due = Duration::from_secs(1) * index / each;
        thread::sleep(due.saturating_sub(begin.elapsed()));
        if index % each < ASKED.0 {
            let fresh = Ipv4Addr::from_bits(Ipv4Addr::new(127, 9, 0, 1).to_bits() + index);
            client.send_to(&[0; 40], (fresh, port)).expect("send");
            datagram(server, 40);
        } else {
            let client = udp(V4);
            client.send_to(&[0; 40], (Ipv4Addr::LOCALHOST, port)).expect("send");
            let from = datagram(server, 40);
            server.send_to(&[0; 300], from).expect("send");
            datagram(&client, 300);
        }
    }
}

/// A flow lives for the timeout of one second, and then until the end of the interval of four seconds. So there are up
/// to 275 flows of the socket that stays open, and 32 of sockets that close at once. The table has room for them even
/// if a place is used again only after two intervals. It would not have room if flows stayed until the third report
/// after their last datagram.
#[test]
fn a_resolver_s_queries_do_not_fill_the_table() {
    let (server, client) = (udp("0.0.0.0:0"), udp(V4));
    let table = ["--flows", "1024", "-d", "4", "--udp-timeout", "1"];
    let finished =
        during(&[&["--csv", "--closed", "--total"], &table[..]].concat(), || ask(&server, &client));
    let rows = cells(&finished.stdout);
    let untracked: Vec<_> = rows.iter().filter(|row| row["event"] == "untracked").collect();
    assert!(untracked.is_empty(), "{untracked:?}");
    assert!(rows.iter().filter(|row| row["event"] == "total").count() >= 5, "{}", finished.stdout);
}
