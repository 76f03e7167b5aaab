//! Tests that closed sockets of every kind leave no entry in the tables of a running tcptop.

use std::{
    io::{Error, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    thread,
    time::Duration,
};

use crate::{
    exact::case,
    harness::{Tcptop, tcptop},
    helper::Helper,
    maps, namespace,
    rows::{Flow, listed},
    traffic::{V4_LENGTH, accept, listen, raw_connect, raw_v4, receive, send},
};

/// Places in each table. Every test opens more sockets than that, one after another.
const PLACES: &str = "1024";

/// More entries than other programs on this machine use during the test.
const FEW: usize = 50;

fn start() -> Tcptop {
    // On a busy machine, tcptop may not empty the table in time. A full table must not keep entries either.
    let command = &mut tcptop(&["--csv", "--closed", "--flows", PLACES, "-d", "0.2"]);
    Tcptop::run(command).excusing("tables are full")
}

/// Prints to stderr that the test is skipped, because the test runner captures what tests print.
fn skipped(why: &str) {
    writeln!(std::io::stderr(), "SKIPPED: {why}").expect("stderr");
}

/// Opens an IPv4 socket.
pub fn socket(kind: libc::c_int, protocol: libc::c_int) -> Result<OwnedFd, Error> {
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::socket(libc::AF_INET, kind | libc::SOCK_CLOEXEC, protocol) };
    // SAFETY: the kernel just opened `fd`, and nothing else owns it.
    if fd < 0 { Err(Error::last_os_error()) } else { Ok(unsafe { OwnedFd::from_raw_fd(fd) }) }
}

/// Panics unless the tables are empty some intervals after the last socket was closed.
fn assert_tables_are_empty(tcptop: Tcptop) {
    thread::sleep(Duration::from_millis(700));
    let used = maps::in_use(tcptop.process().pid());
    assert!(used.iter().all(|(_, entries)| *entries <= FEW), "entries in use: {used:?}");
    tcptop.stop();
}

/// Makes connections between sockets of this protocol one after another, and uses and closes each.
fn make_connections(protocol: libc::c_int, count: u32) {
    let listener = socket(libc::SOCK_STREAM, protocol).expect("a socket");
    let here = raw_v4(0);
    // SAFETY: `V4_LENGTH` is the size of `here`, and the second call takes no pointer.
    let result = unsafe {
        libc::bind(listener.as_raw_fd(), (&raw const here).cast(), V4_LENGTH)
            | libc::listen(listener.as_raw_fd(), 16)
    };
    assert_eq!(result, 0, "bind or listen: {}", Error::last_os_error());
    let listener = TcpListener::from(listener);
    let port = listener.local_addr().expect("bound").port();
    for _ in 0..count {
        let client = socket(libc::SOCK_STREAM, protocol).expect("a socket");
        raw_connect(&client, port).expect("connect");
        let (client, server) = (TcpStream::from(client), accept(&listener));
        send(&client, 10);
        receive(&server, 10);
        drop((client, server));
        // This limits the rate to a thousand per second, so that an interval has fewer connections than the table has places.
        thread::sleep(Duration::from_millis(1));
    }
}

/// Makes 1,300 connections by Multipath TCP, RFC 8684. Returns false if the kernel does not have it.
fn make_mptcp_connections() -> bool {
    if let Err(error) = socket(libc::SOCK_STREAM, libc::IPPROTO_MPTCP) {
        skipped(&format!("MPTCP needs Linux 5.6 with CONFIG_MPTCP: {error}"));
        return false;
    }
    make_connections(libc::IPPROTO_MPTCP, 1_300);
    true
}

#[test]
fn mptcp_connections() {
    let tcptop = start();
    if make_mptcp_connections() {
        assert_tables_are_empty(tcptop);
    }
}

/// After many MPTCP connections, the table of owners has room again. So a later connection has the owner that called connect(2),
/// although another process closes it.
#[test]
fn the_owner_of_a_connection_after_many_mptcp_connections() {
    let tcptop = start();
    if !make_mptcp_connections() {
        return;
    }
    let (mut dialer, mut user) = (Helper::new("e2e-dialer"), Helper::new("e2e-user"));
    let gate = format!("tcptop-e2e-{}", user.owner.pid);
    user.tell(&format!("gate {gate}"));
    let listener = listen("127.0.0.1:0");
    let address = listener.local_addr().expect("bound");
    let local: SocketAddr = dialer.tell(&format!("connect {address}")).parse().expect("an address");
    let server = accept(&listener);
    dialer.tell(&format!("hand-stream {gate}"));
    dialer.tell("close");
    user.tell("take-stream");
    user.tell("send 70");
    receive(&server, 70);
    let flow = Flow::tcp(local, address);
    let expected = [flow.moved(&dialer.owner, 0, 70)];
    tcptop.expect_live(&expected);
    let rows = tcptop.rows();
    let first = rows.iter().find(|row| row.flow == flow).expect("a live row");
    assert_eq!(first.owner.as_ref(), Some(&dialer.owner), "{}", listed(&rows, &flow));
    drop(server);
    user.tell("close");
    case(
        "a connection after 1,300 by MPTCP, owned by the process that called connect(2)",
        "-",
        tcptop,
        &expected,
    );
}

#[test]
fn tcp_connections() {
    let tcptop = start();
    make_connections(0, 5_000);
    assert_tables_are_empty(tcptop);
}

/// Runs `act` in a network namespace in which every process may open ping sockets, icmp(7).
fn with_ping_sockets(act: impl FnOnce() + Send + 'static) {
    let inside = thread::spawn(|| {
        namespace::enter_new();
        std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647")
            .expect("the namespace has this sysctl");
        act();
    });
    inside.join().expect("no panic");
}

/// Connects `count` sockets of this kind one after another. Each sends an ICMP echo request to this machine.
fn make_icmp_sockets(kind: libc::c_int, count: u32) {
    for _ in 0..count {
        let socket = socket(kind, libc::IPPROTO_ICMP).expect("a socket");
        raw_connect(&socket, 0).expect("connect");
        // An echo request has type 8. The sender on a raw socket computes the checksum itself. ICMP ignores the port.
        let request = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];
        let to = raw_v4(0);
        // SAFETY: `request.len()` and `V4_LENGTH` are the sizes of `request` and `to`.
        let sent = unsafe {
            let (data, address) = (request.as_ptr().cast(), (&raw const to).cast());
            libc::sendto(socket.as_raw_fd(), data, request.len(), 0, address, V4_LENGTH)
        };
        assert_eq!(sent, 8, "sendto: {}", Error::last_os_error());
    }
}

#[test]
fn ping_sockets() {
    let tcptop = start();
    with_ping_sockets(|| make_icmp_sockets(libc::SOCK_DGRAM, 2_000));
    assert_tables_are_empty(tcptop);
}

#[test]
fn raw_sockets() {
    let tcptop = start();
    with_ping_sockets(|| make_icmp_sockets(libc::SOCK_RAW, 2_000));
    assert_tables_are_empty(tcptop);
}

/// UDP-Lite sockets send as UDP sockets do: RFC 3828.
#[test]
fn udp_lite_sockets() {
    const IPPROTO_UDPLITE: libc::c_int = 136;
    if let Err(error) = socket(libc::SOCK_DGRAM, IPPROTO_UDPLITE) {
        return skipped(&format!("this kernel has no UDP-Lite: {error}"));
    }
    let tcptop = start();
    for _ in 0..2_000 {
        let sender = UdpSocket::from(socket(libc::SOCK_DGRAM, IPPROTO_UDPLITE).expect("a socket"));
        sender.send_to(&[0; 5], (Ipv4Addr::LOCALHOST, 9)).expect("send");
    }
    assert_tables_are_empty(tcptop);
}

#[test]
fn udp_sockets() {
    let tcptop = start();
    for port in 1..=1_500 {
        let [connected, sends, _unused] = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").expect("bind"));
        let unused = (Ipv4Addr::new(127, 8, 0, 1), port);
        connected.connect(unused).expect("connect");
        connected.send(&[0; 5]).expect("send");
        sends.send_to(&[0; 5], unused).expect("send");
    }
    thread::sleep(Duration::from_millis(300));
    assert_tables_are_empty(tcptop.excusing("tables are full"));
}
