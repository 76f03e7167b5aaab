//! Holds many connections at once. Child processes of this program hold them, because a process may open only a limited
//! number of files.

use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The number of connections in one process, which has both ends of each.
const PER_PROCESS: usize = 4_000;

/// Open connections. Each has two ends on this machine, and so two rows. Dropping this closes them.
pub struct Connections(Vec<Child>);

impl Connections {
    /// Makes `count` connections. Of these, `active` move a byte in both directions ten times a second.
    pub fn open(count: usize, active: usize) -> Self {
        let mut children = Vec::new();
        let mut left = (count, active);
        while left.0 > 0 {
            let part = (left.0.min(PER_PROCESS), left.1.min(PER_PROCESS));
            left = (left.0 - part.0, left.1 - part.1);
            let mut command = Command::new(env::current_exe().expect("/proc/self/exe"));
            command.args(["hold", &part.0.to_string(), &part.1.to_string()]);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a child");
            let mut ready = String::new();
            let stdout = child.stdout.take().expect("piped");
            BufReader::new(stdout).read_line(&mut ready).expect("UTF-8");
            assert_eq!(ready, "ready\n", "the child could not make the connections; its message is above");
            children.push(child);
        }
        Self(children)
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // The child ends when its standard input ends.
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// Runs in the child, and holds connections until its standard input ends.
pub fn hold(count: usize, active: usize) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    let address = listener.local_addr().expect("bound");
    let connect = |_| {
        let client = TcpStream::connect(address).expect("connect");
        (client, listener.accept().expect("accept").0)
    };
    let connections: Vec<(TcpStream, TcpStream)> = (0..count).map(connect).collect();
    io::stdout().write_all(b"ready\n").expect("the parent reads");
    thread::spawn(move || {
        loop {
            let start = Instant::now();
            for (client, server) in connections.iter().take(active) {
                exchange(client, server);
                exchange(server, client);
            }
            thread::sleep(Duration::from_millis(100).saturating_sub(start.elapsed()));
        }
    });
    let _ = io::stdin().read_to_end(&mut Vec::new());
}

fn exchange(mut from: &TcpStream, mut to: &TcpStream) {
    let mut byte = [b'x'];
    from.write_all(&byte).expect("write");
    to.read_exact(&mut byte).expect("read");
}
