//! Tests each option with real traffic.

mod filters;
mod forms;
mod journal;
mod limits;
mod logs;
mod names;
mod native;
mod orders;
mod owners;
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
    puppet::Puppet,
    rows::fields,
    traffic::{Own, Pair, V4, V6, connect, datagram, listen, send, udp},
};

/// A row of CSV: cells by the names of their columns.
pub type Cells = HashMap<String, String>;

/// The rows of CSV under its header.
pub fn cells(csv: &str) -> Vec<Cells> {
    let mut lines = csv.lines().map(|line| fields(line).unwrap_or_else(|mistake| panic!("{mistake}")));
    let names = lines.next().expect("a header");
    let row = |values: Vec<String>| {
        assert_eq!(values.len(), names.len(), "{values:?}");
        names.iter().cloned().zip(values).collect()
    };
    lines.map(row).collect()
}

/// Runs tcptop with `args`, which must make it write a line once it counts; sees to traffic then, and interrupts it when
/// that was reported.
pub fn during(args: &[&str], traffic: impl FnOnce()) -> Finished {
    during_by(&mut tcptop(args), traffic)
}

/// The same, by a command of the caller.
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
        assert!(!timeout.timed_out(), "{command:?}: no line within {LIMIT:?}");
    }
    traffic();
    // A delayed acknowledgement.
    thread::sleep(Duration::from_millis(300));
    process.signal(libc::SIGINT);
    let finished = process.wait();
    finished.assert_success();
    finished
}

/// The rows of one report in CSV, of everything from `traffic` on.
pub fn csv(args: &[&str], traffic: impl FnOnce()) -> Vec<Cells> {
    let all = [&["--csv", "-d", "60"], args].concat();
    cells(&during(&all, traffic).stdout)
}

/// Reports as text, the first of them printed before the traffic.
pub fn text(args: &[&str], traffic: impl FnOnce()) -> String {
    during(&[&["-d", "0.3"], args].concat(), traffic).stdout
}

/// Servers of two processes, of both protocols and families.
pub struct Scene {
    pub v4: Own<TcpListener>,
    pub v6: Own<TcpListener>,
    pub server: Own<UdpSocket>,
    pub other: Puppet,
    /// Where the other process listens.
    pub other_port: u16,
    /// What was connected.
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
    /// Without a connection: one that is older than tcptop counts in its interval after its first segment only.
    pub fn new() -> Self {
        let mut other = Puppet::new("e2e-other");
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

    /// Connects to each, and moves something: eight ends.
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

    /// The servers' ports, for filters that show only the scene.
    pub fn ports(&self) -> [u16; 4] {
        let port = |address: std::io::Result<SocketAddr>| address.expect("bound").port();
        [
            port(self.v4.local_addr()),
            port(self.v6.local_addr()),
            port(self.server.local_addr()),
            self.other_port,
        ]
    }

    /// These ports as an option's value.
    pub fn list(&self) -> String {
        self.ports().iter().map(u16::to_string).collect::<Vec<_>>().join(",")
    }
}

/// A connection that is made, used and closed.
pub fn short_lived(listener: &TcpListener, up: u64, down: u64) {
    let client = connect(listener.local_addr().expect("bound"));
    Pair::accepted(Own::new(listener.try_clone().expect("dup")), client).exchange(up, down);
}

/// What the rows are of, but for other packets, which anybody may send.
pub fn events(rows: &[Cells]) -> Vec<&str> {
    rows.iter().map(|row| row["event"].as_str()).filter(|event| *event != "other").collect()
}

/// Rows of connections, without the sums.
pub fn connections(rows: &[Cells]) -> Vec<&Cells> {
    rows.iter().filter(|row| !row["proto"].is_empty()).collect()
}
