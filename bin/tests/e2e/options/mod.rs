//! Tests each option with real traffic.

mod filters;
mod forms;
mod journal;
mod limits;
mod log_owners;
mod logs;
mod names;
mod native;
mod orders;
mod silence;
mod strangers;
mod units;
mod zones;

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Command,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use crate::{
    harness::{Finished, LIMIT, Process, tcptop},
    helper::Helper,
    rows::fields,
    traffic::{Own, Pair, V4, V6, connect, datagram, listen, send, udp},
};

/// A row of CSV: its cells by the names of the columns.
pub type Cells = HashMap<String, String>;

/// Parses CSV that begins with a header.
pub fn cells(csv: &str) -> Vec<Cells> {
    let mut lines = csv.lines().map(|line| fields(line).unwrap_or_else(|mistake| panic!("{mistake}")));
    let names = lines.next().expect("a header");
    let row = |values: Vec<String>| {
        assert_eq!(values.len(), names.len(), "{values:?}");
        names.iter().cloned().zip(values).collect()
    };
    lines.map(row).collect()
}

/// Runs tcptop with `args`, which must make it write a line when it begins to count. Then calls `traffic`, and
/// interrupts tcptop afterwards.
pub fn during(args: &[&str], traffic: impl FnOnce()) -> Finished {
    during_by(&mut tcptop(args), traffic)
}

/// Does the same with the caller's command.
pub fn during_by(command: &mut Command, traffic: impl FnOnce()) -> Finished {
    let begun = Arc::new((Mutex::new(false), Condvar::new()));
    let line = Arc::clone(&begun);
    let process = Process::start(command, move |_| {
        *line.0.lock().expect("not poisoned") = true;
        line.1.notify_all();
    });
    {
        let guard = begun.0.lock().expect("not poisoned");
        let (_guard, timeout) =
            begun.1.wait_timeout_while(guard, LIMIT, |begun| !*begun).expect("not poisoned");
        assert!(!timeout.timed_out(), "{command:?} wrote no line in {LIMIT:?}");
    }
    traffic();
    // Wait for delayed acknowledgements, which show the last bytes received.
    thread::sleep(Duration::from_millis(300));
    process.signal(libc::SIGINT);
    let finished = process.wait();
    finished.assert_success();
    finished
}

/// Returns the rows of one report in CSV, which covers all of `traffic`.
pub fn csv(args: &[&str], traffic: impl FnOnce()) -> Vec<Cells> {
    let all = [&["--csv", "-d", "60"], args].concat();
    cells(&during(&all, traffic).stdout)
}

/// Returns text reports. tcptop prints the first one before the traffic.
pub fn text(args: &[&str], traffic: impl FnOnce()) -> String {
    during(&[&["-d", "0.3"], args].concat(), traffic).stdout
}

/// Servers of two processes, with TCP and UDP, IPv4 and IPv6.
pub struct Scene {
    pub v4: Own<TcpListener>,
    pub v6: Own<TcpListener>,
    pub server: Own<UdpSocket>,
    pub other: Helper,
    /// The port at which the other process listens.
    pub other_port: u16,
    /// The connections that `play` has made.
    pairs: Vec<Pair>,
    client: Own<UdpSocket>,
    other_clients: Vec<Own<TcpStream>>,
}

/// The bytes that each client sends, and those that it receives over TCP.
pub const V4_BYTES: (u64, u64) = (40_000, 400);
pub const V6_BYTES: (u64, u64) = (30_000, 300);
pub const UDP_BYTES: usize = 2_000;
pub const OTHER_BYTES: u64 = 1_000;

impl Scene {
    /// Makes the servers. It makes no connection yet, because tcptop counts an older one only from its first segment
    /// on.
    pub fn new() -> Self {
        let mut other = Helper::new("e2e-other");
        let address: SocketAddr = other.tell(&format!("listen {V4}")).parse().expect("an address");
        Self {
            v4: listen(V4),
            v6: listen(V6),
            server: udp(V4),
            other,
            other_port: address.port(),
            pairs: Vec::new(),
            client: udp(V4),
            other_clients: Vec::new(),
        }
    }

    /// Connects to each server and moves bytes, so there are eight ends.
    pub fn play(&mut self) {
        for (listener, (up, down)) in [(&self.v4, V4_BYTES), (&self.v6, V6_BYTES)] {
            let client = connect(listener.local_addr().expect("bound"));
            let pair = Pair::accepted(Own::new(listener.try_clone().expect("dup")), client);
            pair.exchange(up, down);
            self.pairs.push(pair);
        }
        self.client.send_to(&[0; UDP_BYTES], self.server.local_addr().expect("bound")).expect("send");
        datagram(&self.server, UDP_BYTES);
        let client = connect(SocketAddr::from(([127, 0, 0, 1], self.other_port)));
        self.other.tell("accept");
        send(&client, OTHER_BYTES);
        self.other.tell(&format!("receive {OTHER_BYTES}"));
        self.other_clients.push(client);
    }

    /// Returns the servers' ports, for filters that show only this scene.
    pub fn ports(&self) -> [u16; 4] {
        let port = |address: std::io::Result<SocketAddr>| address.expect("bound").port();
        [
            port(self.v4.local_addr()),
            port(self.v6.local_addr()),
            port(self.server.local_addr()),
            self.other_port,
        ]
    }

    /// Returns these ports as the value of an option.
    pub fn list(&self) -> String {
        self.ports().iter().map(u16::to_string).collect::<Vec<_>>().join(",")
    }
}

/// Makes a connection, moves bytes over it, and closes it.
pub fn short_lived(listener: &TcpListener, up: u64, down: u64) {
    let client = connect(listener.local_addr().expect("bound"));
    Pair::accepted(Own::new(listener.try_clone().expect("dup")), client).exchange(up, down);
}

/// Returns the events of the rows. Leaves out `other`, because anybody may send packets of other protocols.
pub fn events(rows: &[Cells]) -> Vec<&str> {
    rows.iter().map(|row| row["event"].as_str()).filter(|event| *event != "other").collect()
}

/// Returns the rows of connections, without the sums.
pub fn connections(rows: &[Cells]) -> Vec<&Cells> {
    rows.iter().filter(|row| !row["proto"].is_empty()).collect()
}
