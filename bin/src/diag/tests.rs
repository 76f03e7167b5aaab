//! Tests the collector with real connections over loopback. It compares the totals of both ends, to the byte.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::{DiagCollector, openings};
use crate::{
    collector::{CollectorEvent, NetworkCollector, Observation, ObservedOpening, TcpState},
    sys::clock,
};

/// The longest wait for an end.
const PATIENCE: Duration = Duration::from_secs(5);

/// A collector, and what it has handed up about connections of one server port.
struct Watcher {
    collector: DiagCollector,
    port: u16,
    existed: Vec<Observation>,
    moved: Vec<Observation>,
    ended: Vec<Observation>,
}

impl Watcher {
    fn start(port: u16) -> Self {
        let mut collector = DiagCollector::new();
        collector.start().expect("this kernel has sock_diag");
        Self { collector, port, existed: Vec::new(), moved: Vec::new(), ended: Vec::new() }
    }

    fn collect(&mut self, last: bool) {
        let Self { collector, port, existed, moved, ended } = self;
        let is_ours = |seen: &Observation| [seen.ends.lport, seen.ends.rport].contains(port);
        collector.collect(clock::monotonic(), last, &mut |event| match event {
            CollectorEvent::Existed(seen) if is_ours(&seen) => existed.push(seen),
            CollectorEvent::Moved(seen) if is_ours(&seen) => moved.push(seen),
            CollectorEvent::Ended(seen) if is_ours(&seen) => ended.push(seen),
            _ => {}
        });
    }

    /// Collects until both ends have ended. Returns the client's and the server's.
    fn await_ends(&mut self) -> (Observation, Observation) {
        let begin = Instant::now();
        while self.ended.len() < 2 && begin.elapsed() < PATIENCE {
            self.collect(false);
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(self.ended.len(), 2, "{:?}", self.ended);
        let of = |is_server| {
            let found = self.ended.iter().find(|seen| (seen.ends.lport == self.port) == is_server);
            found.expect("each end has ended once").clone()
        };
        (of(false), of(true))
    }
}

fn server() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    (client, listener.accept().expect("it was connected").0)
}

fn pass(from: &mut TcpStream, to: &mut TcpStream, bytes: usize) {
    from.write_all(&vec![7; bytes]).expect("the peer reads");
    to.read_exact(&mut vec![0; bytes]).expect("it was sent");
}

fn until_eof(stream: &mut TcpStream) -> usize {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes.len()
}

/// A way to end a connection. Before, the client has sent 1,000 bytes, and the server 2,000.
struct Way {
    name: &'static str,
    end: fn(TcpStream, TcpStream),
    /// The payload that the client and the server send in addition.
    more: (u64, u64),
    /// How many bytes fewer a receiver may count.
    slack: u64,
}

const WAYS: [Way; 8] = [
    Way {
        name: "the client closes",
        end: |client, mut server| {
            drop(client);
            until_eof(&mut server);
        },
        more: (0, 0),
        slack: 0,
    },
    Way {
        name: "the server closes",
        end: |mut client, server| {
            drop(server);
            until_eof(&mut client);
        },
        more: (0, 0),
        slack: 0,
    },
    Way {
        name: "the client closes, and the server does not wait for it",
        end: |client, server| {
            drop(client);
            thread::sleep(Duration::from_millis(5));
            drop(server);
        },
        more: (0, 0),
        slack: 0,
    },
    Way {
        name: "the client closes its side, and the server answers",
        end: |mut client, mut server| {
            client.shutdown(Shutdown::Write).expect("open");
            until_eof(&mut server);
            server.write_all(&[7; 3000]).expect("the client reads");
            drop(server);
            assert_eq!(until_eof(&mut client), 3000);
        },
        more: (0, 3000),
        slack: 0,
    },
    Way {
        name: "the server closes its side, and the client sends more",
        end: |mut client, mut server| {
            server.shutdown(Shutdown::Write).expect("open");
            until_eof(&mut client);
            client.write_all(&[7; 500]).expect("the server reads");
            drop(client);
            assert_eq!(until_eof(&mut server), 500);
        },
        more: (500, 0),
        slack: 0,
    },
    Way {
        name: "both close at once",
        end: |client, server| {
            let other = thread::spawn(move || drop(client));
            drop(server);
            other.join().expect("no panic");
        },
        more: (0, 0),
        slack: 0,
    },
    Way {
        name: "the server resets: it has not read all",
        end: |mut client, server| {
            client.write_all(&[7; 700]).expect("sent");
            thread::sleep(Duration::from_millis(5));
            drop(server);
            until_eof(&mut client);
        },
        more: (700, 0),
        slack: 0,
    },
    Way {
        name: "the client resets: the server sends to nobody",
        end: |client, mut server| {
            drop(client);
            thread::sleep(Duration::from_millis(5));
            // The server knows of the client's FIN. It sends all the same, and the answer is a reset.
            let _ = server.write_all(&[7; 600]);
            thread::sleep(Duration::from_millis(5));
            let _ = server.write_all(&[7; 600]);
        },
        more: (0, 600),
        // These bytes came after the client had closed, and the kernel forgot them at the reset.
        slack: 601,
    },
];

fn payload(seen: &Observation) -> (u64, u64) {
    (seen.totals.rx_bytes, seen.totals.tx_bytes)
}

/// Ends a connection in this way. Returns whether each total is exact.
fn ends_well(way: &Way, reads_between: bool) -> bool {
    let (listener, port) = server();
    let mut watcher = Watcher::start(port);
    let (mut client, mut server) = pair(&listener);
    pass(&mut client, &mut server, 1000);
    pass(&mut server, &mut client, 2000);
    if reads_between {
        watcher.collect(false);
        assert_eq!(watcher.moved.len(), 2, "{}", way.name);
    }
    (way.end)(client, server);
    let (client, server) = watcher.await_ends();
    let (sent, answered) = (1000 + way.more.0, 2000 + way.more.1);
    let name = way.name;
    assert_eq!(
        (client.opening, server.opening),
        (ObservedOpening::Active, ObservedOpening::Passive),
        "{name}"
    );
    assert_eq!((client.state, client.ended.is_some()), (Some(TcpState::Close), true));
    assert_eq!(client.totals.tx_bytes, sent, "{name}, {reads_between}");
    assert_eq!(server.totals.tx_bytes, answered, "{name}, {reads_between}");
    assert!(client.earlier.sum() == 0 && client.totals.rx_packets > 2 && client.totals.rtt_us > 0);
    // A total may lack one byte. If the ACK of a FIN and the other FIN came separately, the collector assumes that the
    // socket has counted the other FIN, and subtracts it.
    let slack = way.slack.max(1);
    [(&client, answered), (&server, sent)].into_iter().all(|(end, bytes)| {
        let received = end.totals.rx_bytes;
        assert!(received <= bytes && received + slack >= bytes, "{name}, {reads_between}: {end:?}");
        received + way.slack >= bytes
    })
}

#[test]
fn connections_between_two_readings() {
    for way in &WAYS {
        assert!((0..4).any(|_| ends_well(way, false)), "{}", way.name);
    }
}

#[test]
fn connections_that_a_reading_has_seen() {
    for way in &WAYS {
        assert!((0..4).any(|_| ends_well(way, true)), "{}", way.name);
    }
}

#[test]
fn what_was_moved_before_the_start_is_no_growth() {
    let (listener, port) = server();
    let (mut client, mut server) = pair(&listener);
    pass(&mut client, &mut server, 5000);
    let mut watcher = Watcher::start(port);
    watcher.collect(false);
    assert_eq!(watcher.moved, [], "the connection has not moved since the start");
    pass(&mut server, &mut client, 40);
    watcher.collect(false);
    let existed =
        watcher.existed.iter().find(|seen| seen.ends.rport == port).expect("the collector handed it up");
    assert_eq!((existed.earlier.rx, existed.earlier.tx), (0, 5000));
    let seen = watcher.moved.iter().find(|seen| seen.ends.rport == port).expect("it moved");
    assert_eq!((payload(seen), seen.opening, seen.began), ((40, 5000), ObservedOpening::Active, None));
    assert_eq!(
        openings().expect("this kernel has sock_diag").get(&seen.ends),
        Some(&ObservedOpening::Active)
    );
    let key = seen.key;
    watcher.collector.leave(&[key]);
    drop((client, server));
    thread::sleep(Duration::from_millis(50));
    watcher.collect(true);
    assert!(watcher.ended.iter().all(|seen| seen.key != key), "another collector counts this connection");
    assert_eq!(watcher.ended.len(), 1, "only the server's end is handed up");
}

#[test]
fn a_socket_that_is_kept_after_its_connection_s_end() {
    const INTERVAL: Duration = Duration::from_millis(60);
    let (listener, port) = server();
    let mut watcher = Watcher::start(port);
    let (mut client, mut server) = pair(&listener);
    pass(&mut server, &mut client, 300);
    watcher.collect(false);
    client.write_all(&[7; 100]).expect("sent");
    thread::sleep(INTERVAL);
    drop(server);
    until_eof(&mut client);
    for _ in 0..4 {
        watcher.collect(false);
        thread::sleep(INTERVAL);
    }
    assert_eq!(watcher.ended.len(), 1, "the client has not closed its socket");
    drop(client);
    thread::sleep(INTERVAL / 4);
    let (seen, _) = watcher.await_ends();
    assert_eq!(seen.totals.rx_bytes, 300, "the reset must not lose the bytes");
}

#[test]
fn many_connections_between_two_readings() {
    const MANY: usize = 400;
    let (listener, port) = server();
    let mut watcher = Watcher::start(port);
    for _ in 0..MANY {
        let (mut client, mut server) = pair(&listener);
        pass(&mut client, &mut server, 10);
        drop(client);
        until_eof(&mut server);
    }
    thread::sleep(Duration::from_millis(50));
    watcher.collect(true);
    assert_eq!(watcher.ended.len(), 2 * MANY);
    for seen in &watcher.ended {
        let expected = if seen.ends.lport == port { (10, 0) } else { (0, 10) };
        assert_eq!(payload(seen), expected, "{seen:?}");
    }
}

/// Measures a reading of 1,000 sockets: `cargo test --release -- --ignored a_reading_of --nocapture`.
#[test]
#[ignore = "it only measures"]
fn a_reading_of_many_sockets() {
    let (listener, port) = server();
    let mut pairs: Vec<_> = (0..500).map(|_| pair(&listener)).collect();
    let mut watcher = Watcher::start(port);
    for moves in [false, true] {
        let mut times = Vec::new();
        for _ in 0..50 {
            if moves {
                pairs.iter_mut().for_each(|(client, server)| pass(client, server, 1));
            }
            let (begin, cpu) = (Instant::now(), clock::cpu());
            watcher.collect(false);
            times.push((begin.elapsed(), clock::cpu().saturating_sub(cpu)));
        }
        times.sort_unstable();
        println!("1000 sockets, moving: {moves}: median (wall, cpu) {:?}, least {:?}", times[25], times[0]);
    }
}
