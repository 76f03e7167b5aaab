//! Tests the columns of queues, averages and trends.

use std::{thread, time::Duration};

use crate::{
    harness::{Process, eventually, tcptop},
    options::{Cells, cells, csv},
    traffic::{Pair, SIOCINQ, SIOCOUTQ, V4, V6, fill, queue, transfer},
};

/// Returns the newest row with this local port that is not a closed one.
fn newest(rows: &[Cells], port: u16) -> &Cells {
    let port = port.to_string();
    let row = rows.iter().rev().find(|row| row["lport"] == port && row["event"] != "closed");
    row.unwrap_or_else(|| panic!("no row of {port}: {rows:?}"))
}

#[test]
fn queues_of_both_ends() {
    for address in [V4, V6] {
        let pair = Pair::new(address);
        let mut taken = 0;
        let rows = csv(&["--columns", "event,lport,recvq,sendq,cwnd"], || {
            taken = fill(&pair.client);
            eventually("no byte is in flight", || {
                thread::sleep(Duration::from_millis(100));
                (queue(&*pair.client, SIOCOUTQ) + queue(&*pair.server, SIOCINQ) == taken).then_some(())
            });
        });
        let expected = [(0, queue(&*pair.client, SIOCOUTQ)), (queue(&*pair.server, SIOCINQ), 0)];
        assert!(expected[0].1 > 0 && expected[1].0 > 0, "{expected:?}");
        for (port, (received, sent)) in
            [pair.flow.local.port(), pair.flow.remote.port()].into_iter().zip(expected)
        {
            let row = newest(&rows, port);
            let found = ["recvq", "sendq"].map(|column| row[column].parse::<u64>().expect("a number"));
            assert_eq!(found, [received, sent], "{row:?}");
            assert!(row["cwnd"].parse::<u32>().is_ok_and(|window| window > 0), "{row:?}");
        }
    }
}

/// Returns twelve reports. The client sends every 10 ms: 1,000 bytes during the reports that `sends` selects, 1 byte during the
/// others.
fn reports_of(pair: &Pair, sends: impl Fn(usize) -> bool + Send) -> String {
    let (line, reports) = std::sync::mpsc::channel();
    let mut command = tcptop(&["--csv", "-d", "0.25", "-n", "12", "--total", "--columns"]);
    command.arg("event,lport,avg10,avg60,trend");
    let process = Process::start(&mut command, move |text| {
        // The row `total` is the last one of each report.
        if text.starts_with("event,") || text.starts_with("total,") {
            let _ = line.send(());
        }
    });
    let mut report = 0;
    while report < 13 {
        match reports.recv_timeout(Duration::from_millis(10)) {
            Ok(()) => report += 1,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) if sends(report) => {
                transfer(&pair.client, &pair.server, 1_000);
            }
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => transfer(&pair.client, &pair.server, 1),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    let finished = process.wait();
    finished.assert_success();
    finished.stdout
}

#[test]
fn averages_and_trends() {
    let pair = Pair::new(V4);
    let (rows, port) = (|text: &str| cells(text), pair.flow.local.port());
    let steady = rows(&reports_of(&pair, |_| true));
    let row = newest(&steady, port);
    let number = |row: &Cells, column: &str| row[column].parse::<f64>().expect("a number");
    for column in ["avg10", "avg60"] {
        // A busy machine sends less often.
        assert!((10_000.0..101_000.0).contains(&number(row, column)), "{row:?}");
    }
    assert!(row["trend"].len() == 10 && row["trend"].bytes().all(|step| step > b'0'), "{row:?}");

    // The client sends much during the first reports, and little during the last ones.
    let early = rows(&reports_of(&pair, |report| report < 6));
    let row = newest(&early, port);
    assert!(number(row, "avg10") < number(row, "avg60"), "{row:?}");
    let (first, last) = row["trend"].split_at(3);
    assert!(first.contains('7') && last.ends_with("111"), "{row:?}");
}

#[test]
fn trends_are_bars_in_a_utf_8_locale() {
    let pair = Pair::new(V4);
    for (locale, digits) in [("C.UTF-8", false), ("C", true)] {
        let port = pair.flow.local.port().to_string();
        let mut command = tcptop(&["-d", "0.5", "-n", "3", "--columns", "lport,trend", "--lport", &port]);
        command.env("LC_ALL", locale);
        let process = Process::start(&mut command, |_| ());
        // Send until the end, because tcptop starts late on a slow machine.
        let finished = thread::scope(|scope| {
            let finished = scope.spawn(move || process.wait());
            while !finished.is_finished() {
                transfer(&pair.client, &pair.server, 500);
                thread::sleep(Duration::from_millis(10));
            }
            finished.join().expect("no panic")
        });
        finished.assert_success();
        let rows = finished.stdout.lines().filter_map(|line| line.trim().split_once(' '));
        let trends: Vec<&str> = rows.filter(|row| row.0 == port).map(|row| row.1.trim()).collect();
        let highest = if digits { '7' } else { '█' };
        assert!(trends.last().is_some_and(|trend| trend.contains(highest)), "{}", finished.stdout);
    }
}
