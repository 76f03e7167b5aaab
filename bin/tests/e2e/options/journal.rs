//! Tests the journal of ended connections (`--closed=only`).

use std::{thread, time::Duration};

use super::{cells, during};
use crate::traffic::{Pair, V4, datagram, udp};

/// Runs tcptop with `args`. Meanwhile a connection of about this length ends, and another one stays open. Returns the
/// run and the open connection.
fn ended(args: &[&str], time: Duration) -> (crate::harness::Finished, Pair) {
    let open = Pair::new(V4);
    let finished = during(&[&["-d", "0.2", "--closed=only"], args].concat(), || {
        let pair = Pair::new(V4);
        thread::sleep(time);
        pair.exchange(900, 90);
        open.exchange(10, 10);
        drop(pair);
    });
    (finished, open)
}

#[test]
fn a_journal_has_only_ended_connections_with_start_and_duration() {
    let lasted = Duration::from_millis(700);
    let before = std::time::SystemTime::now();
    let (finished, _open) = ended(&["--csv", "--time", "epoch"], lasted);
    let rows = cells(&finished.stdout);
    let mine: Vec<_> =
        rows.iter().filter(|row| row["tx_bytes"] == "900" || row["rx_bytes"] == "900").collect();
    assert_eq!(mine.len(), 2, "both ends must have a row: {rows:?}");
    assert!(rows.iter().all(|row| row["event"] == "closed"), "{rows:?}");
    for row in mine {
        let ms: u64 = row["duration_ms"].parse().expect("a number");
        assert!((690..30_000).contains(&ms), "{row:?}");
        if std::env::var_os("TCPTOP_SLOW").is_none() {
            assert!(ms < 900, "the duration must be exact to milliseconds, not to intervals: {row:?}");
        }
        let start: f64 = row["start"].parse().expect("seconds");
        let age =
            before.duration_since(std::time::UNIX_EPOCH).expect("the clock is after 1970").as_secs_f64()
                - start;
        assert!((-30.0..0.1).contains(&age), "{row:?}");
    }
}

#[test]
fn a_journal_in_text_has_titles_once_and_no_blank_lines() {
    let (finished, _open) = ended(&[], Duration::from_millis(300));
    let lines: Vec<&str> = finished.stdout.lines().collect();
    let titles: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(titles[..4], ["START", "LASTED", "PROTO", "PID"]);
    assert!(lines[1..].iter().filter(|line| line.contains("-tcp")).count() >= 2, "{lines:?}");
    assert!(lines.iter().all(|line| !line.is_empty()), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("START")).count(), 1);
}

#[test]
fn udp_timeout_ends_a_silent_flow() {
    let (client, server) = (udp(V4), udp(V4));
    let remote = server.local_addr().expect("bound");
    let port = remote.port().to_string();
    let args = ["--csv", "-d", "0.2", "--closed=only", "--udp-timeout", "1", "-P", &port];
    let finished = during(&args, || {
        for _ in 0..3 {
            client.send_to(&[0; 100], remote).expect("send");
            datagram(&server, 100);
            thread::sleep(Duration::from_millis(200));
        }
        thread::sleep(Duration::from_millis(2_500));
    });
    let rows = cells(&finished.stdout);
    assert_eq!(rows.len(), 2, "{rows:?}");
    for row in rows {
        let ms: u64 = row["duration_ms"].parse().expect("a number");
        assert!((350..1_500).contains(&ms) || std::env::var_os("TCPTOP_SLOW").is_some(), "{row:?}");
    }
}
