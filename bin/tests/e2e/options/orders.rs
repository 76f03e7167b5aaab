//! Tests the order and the number of rows, and groups of rows.

use std::{thread, time::Duration};

use super::{
    Cells, OTHER_BYTES, Scene, UDP_BYTES, V4_BYTES, V6_BYTES, cells, connections, csv, events, short_lived,
    text,
};
use crate::{
    harness::{LIMIT, Process, tcptop},
    helper::{command, play},
    traffic::{V4, listen},
    whose::server::{ANSWER, QUESTION, answer, question},
};

#[test]
fn sort_orders_by_any_column() {
    for (option, column, ascending) in [
        ("-s", "tx_bytes", false),
        ("--sort", "-tx_bytes", true),
        ("-s", "lport", true),
        ("-s", "-lport", false),
        ("-s", "rx_packets", false),
    ] {
        let mut scene = Scene::new();
        let list = scene.list();
        let rows = csv(&[option, column, "-P", &list], || scene.play());
        let name = column.trim_start_matches('-');
        let values: Vec<u64> =
            connections(&rows).iter().map(|row| row[name].parse().expect("a number")).collect();
        assert_eq!(values.len(), 8, "{rows:?}");
        let sorted = if ascending { values.is_sorted() } else { values.iter().rev().is_sorted() };
        assert!(sorted && values[0] != values[7], "{column}: {values:?}");
    }
}

#[test]
fn rows_are_limited_and_the_sums_are_not() {
    let mut scene = Scene::new();
    let list = scene.list();
    let rows = csv(&["--rows", "2", "-P", &list, "--total"], || scene.play());
    assert_eq!(events(&rows), ["live", "live", "shown", "total"]);
    assert_eq!(rows[0]["tx_bytes"], V4_BYTES.0.to_string(), "the busiest row must be the first");
    let text = text(&["-r", "3", "-P", &list], || scene.play());
    let last = text.trim_end().split("\n\n").last().expect("a block");
    assert_eq!(last.lines().count(), 2 + 3 + 1, "{text}");
    assert!(last.ends_with(" more"), "{text}");
}

fn grouped(by: &str) -> (Vec<Cells>, Scene) {
    let mut scene = Scene::new();
    let list = scene.list();
    let rows = csv(&["--by", by, "-P", &list, "--total"], || scene.play());
    (rows, scene)
}

fn sums(row: &Cells) -> [u64; 3] {
    ["conns", "rx_bytes", "tx_bytes"].map(|name| row[name].parse().expect("a number"))
}

#[test]
fn groups_have_counts_and_sums() {
    let udp = UDP_BYTES as u64;
    let tcp = V4_BYTES.0 + V4_BYTES.1 + V6_BYTES.0 + V6_BYTES.1;

    let (rows, scene) = grouped("process");
    let group = |pid: u32| rows.iter().find(|row| row["pid"] == pid.to_string()).expect("a group");
    assert_eq!(sums(group(std::process::id())), [7, tcp + udp, tcp + udp + OTHER_BYTES]);
    assert_eq!(sums(group(scene.other.owner.pid)), [1, OTHER_BYTES, 0]);
    assert_eq!(group(scene.other.owner.pid)["comm"], "e2e-other");

    let (rows, _) = grouped("proto");
    let group = |proto: &str| rows.iter().find(|row| row["proto"] == proto).expect("a group");
    assert_eq!(sums(group("tcp")), [6, tcp + OTHER_BYTES, tcp + OTHER_BYTES]);
    assert_eq!(sums(group("udp")), [2, udp, udp]);
    assert_eq!(group("udp")["event"], "group");

    let (rows, _) = grouped("remote");
    let group = |raddr: &str| rows.iter().find(|row| row["raddr"] == raddr).expect("a group");
    assert_eq!(sums(group("::1")), [2, V6_BYTES.0 + V6_BYTES.1, V6_BYTES.0 + V6_BYTES.1]);
    assert_eq!(sums(group("127.0.0.1"))[0], 6);

    for by in ["lport", "rport"] {
        let (rows, scene) = grouped(by);
        let server = scene.ports()[0].to_string();
        let group = rows.iter().find(|row| row.get(by) == Some(&server)).expect("a group");
        let (rx, tx) = if by == "lport" { V4_BYTES } else { (V4_BYTES.1, V4_BYTES.0) };
        assert_eq!(sums(group), [1, rx, tx]);
    }

    let (rows, _) = grouped("user");
    let groups: Vec<&Cells> = rows.iter().filter(|row| row["event"] == "group").collect();
    let name = if std::path::Path::new("/etc/passwd").exists() { "root" } else { "0" };
    assert_eq!((groups.len(), groups[0]["user"].as_str()), (1, name));
}

#[test]
fn a_group_counts_what_ended_in_the_interval() {
    let scene = Scene::new();
    let port = scene.ports()[0].to_string();
    let rows = csv(&["--by", "process", "-P", &port], || short_lived(&scene.v4, 700, 70));
    assert_eq!(rows.iter().map(sums).collect::<Vec<_>>(), [[2, 770, 770]]);
}

/// Two clients with the same command line run one after the other. Reports must show their bytes long after they have
/// exited.
#[test]
fn sums_since_the_start() {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let port = address.port().to_string();
    let server = answer(listener, 2);
    let args = ["--csv", "-d", "0.2", "--by", "cmdline", "--since-start", "-D", &port];
    let (sender, lines) = std::sync::mpsc::channel();
    let process = Process::start(&mut tcptop(&args), move |line| _ = sender.send(line.to_owned()));
    let header = lines.recv_timeout(LIMIT).expect("a header");
    assert_eq!(header.trim_end(), "time,event,cmdline,conns,rx_bytes,tx_bytes,rx_rate,tx_rate");
    for _ in 0..2 {
        let mut command = command("e2e-since");
        command.arg("--long-gone");
        play(&mut command, &question(address));
        thread::sleep(Duration::from_millis(500));
    }
    server.join().expect("the server does not panic");
    process.signal(libc::SIGINT);
    let finished = process.wait();
    finished.assert_code(0);
    let rows = cells(&finished.stdout);
    let number = |row: &Cells, name: &str| row[name].parse::<u64>().expect("a number");
    // Both processes have the same command line. If tcptop could not read it in time, the process is in the group of its name.
    let mut reports: Vec<Vec<&Cells>> = Vec::new();
    for row in &rows {
        assert_eq!(row["event"], "group");
        assert!(row["cmdline"].ends_with("--long-gone") || row["cmdline"] == "e2e-since", "{row:?}");
        match reports.last_mut() {
            Some(report) if report[0]["time"] == row["time"] => report.push(row),
            _ => reports.push(vec![row]),
        }
    }
    let sum = |report: &Vec<&Cells>, name: &str| report.iter().map(|row| number(row, name)).sum::<u64>();
    let last = reports.last().expect("a report");
    let sums = ["conns", "rx_bytes", "tx_bytes", "rx_rate"].map(|name| sum(last, name));
    assert_eq!(sums, [0, 2 * ANSWER, 2 * QUESTION, 0], "{rows:?}");
    let counts: Vec<u64> = reports.iter().map(|report| sum(report, "rx_bytes")).collect();
    assert!(counts.is_sorted() && counts.len() > 4, "{counts:?}");
}
