//! The loads: loopback traffic at full speed, on every CPU at once.
//!
//! Each CPU has a connection, and runs both of its ends. So no CPU is ever idle, and all CPU time that a watcher takes,
//! in hooks or in its own process, slows the load.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use crate::cpu;

/// A kind of traffic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// One byte to the server and one back, on an open TCP connection.
    TcpRequest,
    /// Writes of 16 KiB.
    TcpStream,
    /// Connect, send one byte to the server and one back, close.
    TcpConnect,
    /// One byte to the server and one back, between two UDP sockets.
    UdpRequest,
    /// Bursts of 64-byte datagrams, each burst received before the next.
    UdpFlood,
}

/// Every load with its name.
pub const LOADS: [(&str, Load); 5] = [
    ("tcp-request", Load::TcpRequest),
    ("tcp-stream", Load::TcpStream),
    ("tcp-connect", Load::TcpConnect),
    ("udp-request", Load::UdpRequest),
    ("udp-flood", Load::UdpFlood),
];

/// What a load achieved.
#[derive(Default)]
pub struct Outcome {
    /// Exchanges, writes, connections or datagrams per second, on all CPUs together.
    pub rate: f64,
    /// The time of each exchange in nanoseconds, sorted.
    pub latencies: Vec<u32>,
}

impl Outcome {
    /// Returns the quantile `part` of the latencies, in microseconds.
    pub fn latency(&self, part: f64) -> f64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let index = ((self.latencies.len() as f64 - 1.0) * part) as usize;
        self.latencies.get(index).map_or(0.0, |nanos| f64::from(*nanos) / 1_000.0)
    }
}

/// How long a load runs.
#[derive(Clone, Copy)]
pub struct Span {
    /// The time before the load counts, in which caches and tcptop's tables fill.
    pub warm: Duration,
    /// The time in which it counts.
    pub time: Duration,
}

/// Runs a load for this time, all of which counts.
pub fn run(load: Load, time: Duration) -> Outcome {
    run_warm(load, Span { warm: Duration::ZERO, time })
}

/// Runs a load that only counts after the time `warm`. Open connections are the same in both times.
pub fn run_warm(load: Load, span: Span) -> Outcome {
    let cpus = cpu::usable();
    let ready = Barrier::new(cpus.len());
    let lane = |cpu| {
        cpu::pin(cpu);
        match load {
            Load::TcpRequest => tcp_request(&ready, span),
            Load::TcpStream => tcp_stream(&ready, span),
            Load::TcpConnect => tcp_connect(&ready, span),
            Load::UdpRequest => udp_request(&ready, span),
            Load::UdpFlood => udp_flood(&ready, span),
        }
    };
    let mut outcome = Outcome::default();
    thread::scope(|scope| {
        // A lane makes a second thread for the other end. That thread inherits the lane's CPU.
        let lanes: Vec<_> = cpus.iter().map(|cpu| scope.spawn(|| lane(*cpu))).collect();
        for lane in lanes {
            let (operations, took, latencies) = lane.join().expect("a load does not panic");
            outcome.rate += operations as f64 / took.as_secs_f64();
            outcome.latencies.extend(latencies);
        }
    });
    outcome.latencies.sort_unstable();
    outcome
}

/// What one CPU achieved: the number of operations, the time they took, and their latencies.
type Lane = (u64, Duration, Vec<u32>);

const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(ANY).expect("listen");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connect");
    let server = listener.accept().expect("accept").0;
    for end in [&client, &server] {
        end.set_nodelay(true).expect("TCP_NODELAY");
    }
    (client, server)
}

/// Waits for the other lanes, and then repeats an operation for this time.
fn warm_up(ready: &Barrier, time: Duration, mut operation: impl FnMut()) {
    ready.wait();
    let start = Instant::now();
    while start.elapsed() < time {
        operation();
    }
}

/// Repeats an exchange until the time is over.
fn exchanges(ready: &Barrier, span: Span, mut exchange: impl FnMut()) -> Lane {
    let mut latencies = Vec::with_capacity(1 << 20);
    warm_up(ready, span.warm, &mut exchange);
    let start = Instant::now();
    let mut last = start;
    while last.duration_since(start) < span.time {
        exchange();
        let now = Instant::now();
        latencies.push(u32::try_from(now.duration_since(last).as_nanos()).unwrap_or(u32::MAX));
        last = now;
    }
    (latencies.len() as u64, last.duration_since(start), latencies)
}

/// Repeats an operation without an answer until the time is over. It returns how many operations it counts as.
fn operations(ready: &Barrier, span: Span, mut operation: impl FnMut() -> u64) -> Lane {
    warm_up(ready, span.warm, || {
        operation();
    });
    let mut count = 0;
    let start = Instant::now();
    while start.elapsed() < span.time {
        count += operation();
    }
    (count, start.elapsed(), Vec::new())
}

fn tcp_request(ready: &Barrier, span: Span) -> Lane {
    let (mut client, mut server) = pair();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut byte = [0];
            while server.read(&mut byte).expect("read") > 0 {
                server.write_all(&byte).expect("write");
            }
        });
        let mut byte = [b'x'];
        let lane = exchanges(ready, span, || {
            client.write_all(&byte).expect("write");
            client.read_exact(&mut byte).expect("read");
        });
        client.shutdown(Shutdown::Write).expect("shutdown");
        lane
    })
}

fn tcp_stream(ready: &Barrier, span: Span) -> Lane {
    let (mut client, mut server) = pair();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut buffer = vec![0; 131_072];
            while server.read(&mut buffer).expect("read") > 0 {}
        });
        let block = [b'x'; 16_384];
        let lane = operations(ready, span, || {
            client.write_all(&block).expect("write");
            1
        });
        client.shutdown(Shutdown::Write).expect("shutdown");
        lane
    })
}

fn tcp_connect(ready: &Barrier, span: Span) -> Lane {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("listen");
    let port = listener.local_addr().expect("bound").port();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut byte = [0];
            loop {
                let mut server = listener.accept().expect("accept").0;
                if server.read(&mut byte).expect("read") == 0 {
                    return;
                }
                server.write_all(&byte).expect("write");
            }
        });
        // Use another address each time: the ports of one would be used up in a second, and could not be used for a
        // minute.
        let mut host = u32::from(Ipv4Addr::LOCALHOST);
        let mut byte = [b'x'];
        let lane = exchanges(ready, span, || {
            host = if host & 0xffff == 0xfffe { u32::from(Ipv4Addr::LOCALHOST) } else { host + 1 };
            let mut client = TcpStream::connect((Ipv4Addr::from(host), port)).expect("connect");
            client.write_all(&byte).expect("write");
            client.read_exact(&mut byte).expect("read");
            // The server closes first, and the client resets. So no connection stays in TIME_WAIT, which would slow
            // every reader of /proc/net/tcp.
            assert_eq!(client.read(&mut byte).expect("read"), 0);
            reset_at_close(&client);
        });
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect"));
        lane
    })
}

/// Makes close(2) reset the connection: SO_LINGER with a time of zero.
fn reset_at_close(stream: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let (value, length) =
        ((&raw const linger).cast(), libc::socklen_t::try_from(size_of::<libc::linger>()).expect("it fits"));
    // SAFETY: the kernel reads `length` bytes, which is the size of the value.
    let result =
        unsafe { libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, value, length) };
    assert_eq!(result, 0, "SO_LINGER: {}", std::io::Error::last_os_error());
}

fn udp_pair() -> (UdpSocket, UdpSocket) {
    let (client, server) = (UdpSocket::bind(ANY).expect("bind"), UdpSocket::bind(ANY).expect("bind"));
    let address = |socket: &UdpSocket| -> SocketAddr { socket.local_addr().expect("bound") };
    client.connect(address(&server)).expect("connect");
    server.connect(address(&client)).expect("connect");
    (client, server)
}

fn udp_request(ready: &Barrier, span: Span) -> Lane {
    let (client, server) = udp_pair();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut byte = [0];
            // An empty datagram ends the load.
            while server.recv(&mut byte).expect("receive") > 0 {
                server.send(&byte).expect("send");
            }
        });
        let mut byte = [b'x'];
        let lane = exchanges(ready, span, || {
            client.send(&byte).expect("send");
            client.recv(&mut byte).expect("receive");
        });
        client.send(&[]).expect("send");
        lane
    })
}

fn udp_flood(ready: &Barrier, span: Span) -> Lane {
    const BURST: u64 = 64;
    let (client, server) = udp_pair();
    server.set_nonblocking(true).expect("fcntl");
    let mut datagram = [b'x'; 64];
    operations(ready, span, || {
        for _ in 0..BURST {
            client.send(&datagram).expect("send");
        }
        loop {
            match server.recv(&mut datagram) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return BURST,
                Err(error) => panic!("receive: {error}"),
            }
        }
    })
}
