//! Tests arguments, exit codes, and the format of the output.

use std::time::Duration;

use crate::{
    harness::{Finished, Process, full, run, spawn, tcptop},
    rows::HEADER,
    traffic::{Pair, V4, datagram, udp},
};

/// Splits text reports into blocks, one for each report.
fn blocks(finished: &Finished) -> Vec<Vec<&str>> {
    finished.stdout.trim_end().split("\n\n").map(|block| block.lines().collect()).collect()
}

#[test]
fn once_is_one_report() {
    for flag in ["--once", "-1"] {
        let finished = run(&[flag, "-d", "0.2"]);
        finished.assert_success();
        assert_eq!(blocks(&finished).len(), 1, "{}", finished.stdout);
    }
}

#[test]
fn count_is_a_number_of_reports() {
    let finished = run(&["-n", "2", "-d", "0.2"]);
    finished.assert_success();
    assert_eq!(blocks(&finished).len(), 2, "{}", finished.stdout);
}

#[test]
fn operands_are_interval_and_count() {
    let finished = run(&["0.3", "2"]);
    finished.assert_success();
    assert_eq!(blocks(&finished).len(), 2, "{}", finished.stdout);
    assert!(finished.took >= Duration::from_millis(600), "{:?}", finished.took);
}

#[test]
fn text_report() {
    let pairs: Vec<Pair> = (0..3).map(|_| Pair::new(V4)).collect();
    let process = Process::start(&mut tcptop(&["-n", "2", "-d", "0.3"]), |_| ());
    let finished = process.wait();
    finished.assert_success();
    assert!(!finished.stdout.contains('\x1b'), "a pipe must get no escape codes");
    for block in blocks(&finished) {
        let [header, titles, rows @ ..] = block.as_slice() else { panic!("{block:?}") };
        assert_eq!(
            titles.split_whitespace().collect::<Vec<_>>(),
            ["PROTO", "LOCAL", "REMOTE", "PID", "COMM", "STATE", "RX/s", "TX/s", "RX", "TX", "RTT"]
        );
        // The header has a part `other` if anybody sent packets of other protocols.
        let parts: Vec<&str> = header.split("  ").filter(|part| !part.starts_with("other ")).collect();
        let [time, interval, tcp, udp, rx, tx] = parts.as_slice() else { panic!("{header}") };
        assert_eq!((time.len(), time.matches(':').count()), (8, 2), "{header}");
        let seconds = interval.strip_prefix("interval ").and_then(|rest| rest.strip_suffix('s'));
        let measured = seconds.and_then(|seconds| seconds.parse::<f64>().ok());
        // Ticks have fixed times, so the interval after a late tick is short.
        assert!(measured.is_some_and(|seconds| (0.01..30.0).contains(&seconds)), "{header}");
        assert!(rx.starts_with("RX ") && rx.ends_with("/s") && tx.starts_with("TX ") && tx.ends_with("/s"));
        let rows_of = |protocol: &str| rows.iter().filter(|row| row.starts_with(protocol)).count();
        assert_eq!(*tcp, format!("TCP {}", rows_of("tcp")), "{block:#?}");
        assert_eq!(*udp, format!("UDP {}", rows_of("udp")), "{block:#?}");
        let me = std::process::id().to_string();
        for pair in &pairs {
            for flow in [pair.flow, pair.flow.flipped()] {
                let (local, remote) = (flow.local.to_string(), flow.remote.to_string());
                let found = rows.iter().find(|row| {
                    let cells: Vec<&str> = row.split_whitespace().collect();
                    cells[1..3] == [&local, &remote]
                });
                let row = found.unwrap_or_else(|| panic!("{flow:?} is not in {block:#?}"));
                let cells: Vec<&str> = row.split_whitespace().collect();
                assert_eq!(cells[3], me, "idle connections must have an owner too: {row}");
                assert!(cells.contains(&"ESTABLISHED"), "{row}");
            }
        }
    }
}

#[test]
fn text_report_sorts_by_rate() {
    let process = Process::start(&mut tcptop(&["-n", "1", "-d", "1", "--closed"]), |_| ());
    let pairs: Vec<Pair> = (0..3).map(|_| Pair::new(V4)).collect();
    // The test does not know when tcptop begins to count, so send until tcptop ends.
    let report = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| process.wait());
        while !waiter.is_finished() {
            for (pair, size) in pairs.iter().zip([1_000, 100_000, 10_000]) {
                pair.exchange(size, 0);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        waiter.join().expect("the thread does not panic")
    });
    report.assert_success();
    let rank = |index: usize| {
        let local = pairs[index].flow.local.to_string();
        let position = report.stdout.lines().position(|line| line.split_whitespace().nth(1) == Some(&local));
        position.unwrap_or_else(|| panic!("{local} is not in\n{}", report.stdout))
    };
    assert!(rank(1) < rank(2) && rank(2) < rank(0), "{}", report.stdout);
}

#[test]
fn csv_begins_with_its_header() {
    let finished = run(&["--csv", "--once", "-d", "0.1"]);
    finished.assert_success();
    assert_eq!(finished.stdout.lines().next(), Some(HEADER));
    assert_eq!(finished.stdout.matches(HEADER).count(), 1);
}

#[test]
fn without_closed_there_are_no_closed_rows() {
    let mut command = tcptop(&["--csv", "-d", "0.2"]);
    let tcptop = crate::harness::Tcptop::run(&mut command);
    let (pair, open) = (Pair::new(V4), Pair::new(V4));
    pair.exchange(10, 10);
    drop(pair);
    open.exchange(10, 10);
    tcptop.expect_live(&open.ends(10, 10));
    let rows = tcptop.stop();
    assert!(!rows.iter().any(|row| row.closed), "{rows:?}");
}

#[test]
fn usage_errors() {
    let cases: [(&[&str], &str); 16] = [
        (&["--nope"], "--nope"),
        (&["-x"], "-x"),
        (&["-d"], "--interval"),
        (&["-d", "0"], "--interval"),
        (&["--interval", "3601"], "--interval"),
        (&["--interval=fast"], "--interval"),
        (&["-n", "0"], "--count"),
        (&["-n", "-1"], "--count"),
        (&["soon"], "soon"),
        (&["1", "many"], "many"),
        (&["1", "2", "3"], "'3'"),
        (&["--csv=yes"], "--csv"),
        (&["--once", "-n", "2"], "--once"),
        (&["--columns", "proto,remot"], "'remot' for '--columns': did you mean 'remote'?"),
        (&["--sort", "-rx_rat"], "did you mean 'rx_rate'?"),
        (&["--state", "listen,close-wit"], "did you mean 'CLOSE_WAIT'?"),
    ];
    for (args, named) in cases {
        let finished = run(args);
        finished.assert_code(2);
        assert_eq!(finished.stdout, "", "{args:?}");
        assert!(
            finished.stderr.ends_with('\n') && finished.stderr.lines().count() == 1,
            "{args:?}: {}",
            finished.stderr
        );
        assert!(finished.stderr.contains(named), "{args:?}: {}", finished.stderr);
    }
}

/// tcptop escapes the caller's text in messages.
#[test]
fn errors_contain_no_control_characters() {
    const HOSTILE: &str = "\u{1b}[2J\n\u{202e}\\";
    const SHOWN: &str = "\\x1b[2J\\x0a\\xe2\\x80\\xae\\\\";
    let file = format!("/no/{HOSTILE}/file");
    let (option, value) = (format!("--{HOSTILE}"), format!("--csv={HOSTILE}"));
    let cases: [(&[&str], i32); 6] = [
        (&[&option], 2),
        (&["-\u{1b}"], 2),
        (&[&value], 2),
        (&["--count", HOSTILE], 2),
        (&["1", "1", HOSTILE], 2),
        (&["-1", "-o", &file], 74),
    ];
    for (args, code) in cases {
        let finished = run(args);
        finished.assert_code(code);
        let line = finished.stderr.strip_suffix('\n').expect("a line");
        let shown = line.contains(SHOWN) || args == ["-\u{1b}"] && line.contains("'-\\x1b'");
        assert!(
            shown && !line.contains(|letter: char| letter.is_control() || letter == '\u{202e}'),
            "{line:?}"
        );
    }
}

#[test]
fn numbers_that_are_too_large_mean_all_or_are_refused_with_the_limit() {
    let huge = "99999999999999999999";
    run(&["-1", "-d", "0.1", "--rows", huge]).assert_success();
    run(&["-d", "0.1", "--count", huge, "--pid", huge]).assert_code(2);
    for (option, limit) in [("--pid", "4194304"), ("--port", "65535"), ("--flows", "262144")] {
        let finished = run(&[option, huge]);
        finished.assert_code(2);
        assert!(finished.stderr.contains(limit), "{}", finished.stderr);
    }
}

#[test]
fn help_and_version() {
    let help = run(&["--help"]);
    assert_eq!(help.assert_success().stdout, include_str!("../../doc/help.txt"));
    let short = run(&["-h"]).assert_success().stdout.clone();
    assert_eq!(short, include_str!("../../doc/short-help.txt"));
    let length = short.lines().count();
    assert!(
        length < 40,
        "{length} lines are too many: take an option out of `FREQUENT` in args/documents/help.rs"
    );
    let version = run(&["-V"]);
    assert_eq!(version.assert_success().stdout, concat!("tcptop ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_full_disk_is_an_error() {
    for args in [&["--csv"][..], &["--once", "-d", "0.1"], &["--help"]] {
        let finished = Process::start(tcptop(args).stdout(full()), |_| ()).wait();
        finished.assert_code(74);
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
        assert!(finished.stderr.starts_with("error: "), "{}", finished.stderr);
    }
}

/// Runs tcptop, closes the reading end of its output after the first line, and waits until it ends.
fn close_reader(args: &[&str], traffic: impl Fn()) {
    use std::io::{BufRead, BufReader, Read};
    let mut child = spawn(&mut tcptop(args));
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("UTF-8");
    assert!(!line.is_empty());
    let status = crate::harness::eventually("the end of tcptop", || {
        traffic();
        child.try_wait().expect("a child of ours")
    });
    let mut stderr = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("UTF-8");
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn tcptop_ends_quietly_when_its_reader_closes_the_pipe() {
    close_reader(&["-d", "0.1"], || ());
    // tcptop has nothing to write, and must notice the closed pipe all the same.
    close_reader(&["--csv", "-d", "3600"], || ());
    let (client, server) = (udp(V4), udp(V4));
    let remote = server.local_addr().expect("bound");
    close_reader(&["--csv", "-d", "0.1"], || {
        client.send_to(&[0; 10], remote).expect("send");
        datagram(&server, 10);
    });
}
