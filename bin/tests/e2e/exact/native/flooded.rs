//! Tests full tables, a ring that overflows and a reader that is stopped. tcptop's memory must stay bounded, no byte may be
//! missing, and two intervals later connections must have their rows and owners again.
//!
//! tcptop and this process run in a cgroup that tcptop takes for the root, so the totals have no other traffic.

use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use crate::{
    cgroup::{Cgroup, inside},
    footprint::kib,
    harness::{Process, eventually, is_static, tcptop},
    lives::Lives,
    namespace,
    rows::{Line, Owner, Row},
    traffic::{Pair, V4, accept, allow_descriptors, connect, listen, receive, send},
};

/// The report interval, and the time after which an idle UDP flow ends.
const INTERVAL: Duration = Duration::from_secs(1);

/// Keeps this process in a cgroup of the test. Moves it back when dropped.
struct CgroupMember(PathBuf);

impl CgroupMember {
    fn enter(cgroup: &Cgroup) -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").expect("cgroups");
        let path = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        let home = cgroup.root().join(path).join("cgroup.procs");
        cgroup.take("flood", std::process::id());
        Self(home)
    }
}

impl Drop for CgroupMember {
    fn drop(&mut self) {
        let _ = fs::write(&self.0, std::process::id().to_string());
    }
}

struct Flood {
    args: &'static [&'static str],
    /// Whether tcptop is stopped during the flood.
    stop: bool,
    /// A part of the one message that tcptop must write to stderr.
    message: &'static str,
    /// The most memory that tcptop may have at its peak, with mapped files, in KiB.
    most_kib: u64,
    /// Makes the traffic. Returns the bytes received and sent.
    flood: fn() -> (u64, u64),
}

fn assert_survives(Flood { args, stop, message, most_kib, flood }: Flood) {
    allow_descriptors(8_192);
    inside("flooded", move |cgroup| {
        let _inside = CgroupMember::enter(cgroup);
        let options = ["--csv", "--closed", "--total", "-d", "1", "--udp-timeout", "1"];
        let mut command = tcptop(&[&options, args].concat());
        cgroup.make_root_of(&mut command);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&lines);
        let process = Process::start(&mut command, move |line| {
            writer.lock().expect("not poisoned").push(line.to_owned());
        });
        eventually("a header", || (!lines.lock().expect("not poisoned").is_empty()).then_some(()));
        namespace::enter_new();

        if stop {
            process.signal(libc::SIGSTOP);
        }
        let (mut rx, mut tx) = flood();
        if stop {
            thread::sleep(Duration::from_secs(2));
            process.signal(libc::SIGCONT);
        }
        thread::sleep(2 * INTERVAL + Duration::from_millis(300));
        let before = lines.lock().expect("not poisoned").len();
        let pair = Pair::new(V4);
        pair.exchange(3_000, 2_000);
        (rx, tx) = (rx + 5_000, tx + 5_000);
        let ends = pair.ends(3_000, 2_000);
        drop(pair);
        thread::sleep(INTERVAL + Duration::from_millis(300));
        let status = fs::read_to_string(format!("/proc/{}/status", process.pid())).expect("tcptop runs");
        process.signal(libc::SIGINT);
        let finished = process.wait();
        finished.assert_code(0);
        let notes = finished.stderr.lines().filter(|line| !line.contains("without the cgroup root: "));
        let notes: Vec<&str> = notes.collect();
        assert!(
            matches!(notes.as_slice(), [note] if note.contains(message)),
            "stderr has {notes:?}, and not only a message with {message:?}"
        );

        let lives = Lives::of(&finished.stdout);
        let untracked = lives.untracked;
        let (rows_rx, rows_tx) = lives.sum();
        println!(
            "flooded: {:?} in rows, {untracked:?} untracked; {} KiB",
            lives.sum(),
            kib(&status, "VmHWM")
        );
        assert_eq!(
            (rows_rx + untracked.0, rows_tx + untracked.1),
            (rx, tx),
            "bytes of rows and untracked bytes must be the bytes that were moved"
        );
        let after = &lines.lock().expect("not poisoned")[before..];
        assert!(!after.iter().any(|line| line.contains(",untracked,")), "{after:?}");
        let rows = after.iter().filter_map(|line| match Line::parse(line.trim_end()) {
            Ok(Line::Row(row)) => Some(*row),
            _ => None,
        });
        let rows: Vec<Row> = rows.collect();
        for end in ends {
            let owner = Some(Owner::me());
            let is_end = |row: &&Row| row.flow == end.flow && row.closed && row.owner == owner;
            assert_eq!(rows.iter().filter(|row| is_end(row)).count(), 1, "{end:?} {rows:?}");
        }
        let peak = kib(&status, "VmHWM");
        assert!(!is_static() || peak <= most_kib, "{peak} KiB at the peak");
    });
}

/// Sends ten bytes from one socket to each of this many ports, on which no process listens. Returns the bytes sent.
fn send_to_ports(ports: u16) -> u64 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 65_000)).expect("the port is free in this namespace");
    for port in 1..=ports {
        socket.send_to(&[0; 10], (Ipv4Addr::LOCALHOST, port)).expect("send");
    }
    u64::from(ports) * 10
}

#[test]
fn more_udp_flows_than_places() {
    assert_survives(Flood {
        args: &["-u", "-t", "--flows", "1024"],
        stop: false,
        message: "tables are full",
        most_kib: 4 * 1024,
        flood: || (0, (0..3).map(|_| send_to_ports(20_000)).sum()),
    });
}

#[test]
fn more_events_than_the_ring_holds_while_the_reader_is_stopped() {
    assert_survives(Flood {
        args: &["-u", "-t", "--flows", "65536"],
        stop: true,
        message: "event records did not fit the ring",
        most_kib: 48 * 1024,
        flood: || (0, send_to_ports(50_000)),
    });
}

/// Makes connections that each move 100 bytes up and 30 down. An end without a place in the table counts as untracked, by its
/// packets.
fn connect_and_close() -> (u64, u64) {
    const CONNECTIONS: u64 = 4_000;
    let listener = listen("127.0.0.1:1000");
    let address = listener.local_addr().expect("bound");
    for _ in 0..CONNECTIONS {
        let (client, server) = (connect(address), accept(&listener));
        send(&client, 100);
        receive(&server, 100);
        send(&server, 30);
        receive(&client, 30);
    }
    (CONNECTIONS * 130, CONNECTIONS * 130)
}

#[test]
fn more_connections_than_places_while_the_reader_is_stopped() {
    assert_survives(Flood {
        args: &["-u", "-t", "--flows", "1024"],
        stop: true,
        message: "tables are full",
        most_kib: 4 * 1024,
        flood: connect_and_close,
    });
}
