//! Full tables, a ring that overflows, a reader that is stopped: memory stays bounded, no byte is missing, and two intervals
//! later everything is as before.
//!
//! tcptop and this process are in a cgroup that is the whole tree for tcptop, so that nobody else's traffic is in the totals.

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

/// The interval of reports, and that of silence after which a UDP flow ends.
const INTERVAL: Duration = Duration::from_secs(1);

/// This process, in a cgroup of the test's. It goes back when dropped.
struct CgroupMember(PathBuf);

impl CgroupMember {
    fn into(cgroup: &Cgroup) -> Self {
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
    /// tcptop is stopped meanwhile.
    stop: bool,
    /// What is said on stderr.
    says: &'static str,
    /// KiB that tcptop may have had at its peak, of its own and mapped.
    most: u64,
    /// Makes the traffic. Bytes received and sent.
    flood: fn() -> (u64, u64),
}

fn withstand(Flood { args, stop, says, most, flood }: Flood) {
    allow_descriptors(8_192);
    inside("flooded", move |cgroup| {
        let _moved = CgroupMember::into(cgroup);
        let form = ["--csv", "--closed", "--total", "-d", "1", "--udp-timeout", "1"];
        let mut command = tcptop(&[&form, args].concat());
        cgroup.make_root_of(&mut command);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&lines);
        let process =
            Process::start(&mut command, move |line| writer.lock().expect("whole").push(line.to_owned()));
        eventually("a header", || (!lines.lock().expect("whole").is_empty()).then_some(()));
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
        let before = lines.lock().expect("whole").len();
        let pair = Pair::new(V4);
        pair.exchange(3_000, 2_000);
        (rx, tx) = (rx + 5_000, tx + 5_000);
        let ends = pair.ends(3_000, 2_000);
        drop(pair);
        thread::sleep(INTERVAL + Duration::from_millis(300));
        let status = fs::read_to_string(format!("/proc/{}/status", process.pid())).expect("it runs");
        process.signal(libc::SIGINT);
        let finished = process.wait();
        finished.assert_code(0);
        let notes = finished.stderr.lines().filter(|line| !line.contains("without the cgroup root: "));
        let notes: Vec<&str> = notes.collect();
        assert!(matches!(notes.as_slice(), [note] if note.contains(says)), "{notes:?}, not {says:?}");

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
            "in rows and untracked, and moved"
        );
        let after = &lines.lock().expect("whole")[before..];
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
        assert!(!is_static() || peak <= most, "{peak} KiB at the peak");
    });
}

/// Sends ten bytes from one socket to each of so many ports, at none of which anybody listens.
fn scatter(ports: u16) -> u64 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 65_000)).expect("nobody else's");
    for port in 1..=ports {
        socket.send_to(&[0; 10], (Ipv4Addr::LOCALHOST, port)).expect("send");
    }
    u64::from(ports) * 10
}

#[test]
fn more_udp_flows_than_places() {
    withstand(Flood {
        args: &["-u", "-t", "--flows", "1024"],
        stop: false,
        says: "tables are full",
        most: 4 * 1024,
        flood: || (0, (0..3).map(|_| scatter(20_000)).sum()),
    });
}

#[test]
fn more_news_than_the_ring_holds_while_the_reader_is_stopped() {
    withstand(Flood {
        args: &["-u", "-t", "--flows", "65536"],
        stop: true,
        says: "event records did not fit the ring",
        most: 48 * 1024,
        flood: || (0, scatter(50_000)),
    });
}

/// Each end that finds no room is counted by its packets.
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
    withstand(Flood {
        args: &["-u", "-t", "--flows", "1024"],
        stop: true,
        says: "tables are full",
        most: 4 * 1024,
        flood: connect_and_close,
    });
}
