//! Tests kernels without socket storage for tcptop: from Linux 6.19 on, those of CPUs other than x86-64 and 64-bit ARM. A debug
//! build behaves in that way if TCPTOP_WITHOUT_STORAGE is set.

use std::{
    net::{SocketAddr, TcpListener},
    os::fd::AsRawFd,
    thread,
    time::Duration,
};

use super::leftovers::socket;
use crate::{
    exact::case,
    harness::{Tcptop, eventually, is_static, tcptop},
    maps, namespace,
    rows::Flow,
    traffic::{
        Pair, V4, V4_LENGTH, accept, allow_descriptors, close_by_reset, connect, ends, finish_sending,
        listen, raw_v4, receive_to_end, transfer,
    },
};

/// Places of the flow table. Each connection on this machine needs two.
const PLACES: usize = 1024;

/// More entries than other programs on this machine use during the test.
const FEW: usize = 50;

fn start() -> Option<Tcptop> {
    if is_static() {
        // A static binary ignores this variable. On kernels without socket storage, all tests run in this way.
        return None;
    }
    let flows = PLACES.to_string();
    let mut command = tcptop(&["--csv", "--closed", "-d", "0.2", "--flows", &flows]);
    command.env("TCPTOP_WITHOUT_STORAGE", "1");
    Some(Tcptop::run(&mut command).excusing("tables are full"))
}

/// Panics unless, after some intervals, no table has more entries than other programs on this machine use.
fn assert_tables_are_empty(tcptop: &Tcptop) {
    thread::sleep(Duration::from_millis(700));
    let used = maps::in_use(tcptop.process().pid());
    assert!(used.iter().all(|(_, entries)| *entries <= FEW), "entries in use: {used:?}");
}

/// Connections for which the table had no place leave no entry in the table of sockets, and later connections have their rows
/// and owners.
#[test]
fn connections_after_more_than_fit() {
    let Some(tcptop) = start() else { return };
    // Two listeners tell the connections apart, because the kernel may give a later client the port of an earlier one.
    let [listener, later] = [listen(V4), listen(V4)];
    let open = |listener: &TcpListener| {
        let client = connect(listener.local_addr().expect("bound"));
        (client, accept(listener))
    };
    allow_descriptors(4_096);
    let many: Vec<_> = (0..PLACES / 2 + 300).map(|_| open(&listener)).collect();
    drop(many);
    thread::sleep(Duration::from_millis(700));
    let mut expected = Vec::new();
    for _ in 0..50 {
        let (client, server) = open(&later);
        transfer(&client, &server, 300);
        transfer(&server, &client, 200);
        let flow = Flow::tcp(client.local_addr().expect("bound"), later.local_addr().expect("bound"));
        expected.extend(ends(flow, 300, 200));
    }
    tcptop.expect_closed(&expected);
    assert_tables_are_empty(&tcptop);
    case("more connections than fit, and 50 later ones, without socket storage", "-", tcptop, &expected);
}

/// When a listener is closed, its state changes after the close. tcptop must remove its entry nevertheless.
#[test]
fn listeners_that_come_and_go() {
    let Some(tcptop) = start() else { return };
    for _ in 0..PLACES + 100 {
        drop(listen(V4));
    }
    assert_tables_are_empty(&tcptop);
    tcptop.stop();
}

/// Each raw socket receives a copy of every segment, also of one with a FIN.
#[test]
fn raw_sockets_of_the_protocol_tcp() {
    let Some(tcptop) = start() else { return };
    let inside = thread::spawn(|| {
        namespace::enter_new();
        let raw = || socket(libc::SOCK_RAW, libc::IPPROTO_TCP).expect("a socket");
        let raw: Vec<_> = (0..4 * FEW).map(|_| raw()).collect();
        let pair = Pair::new(V4);
        pair.exchange(10, 20);
        drop(pair);
        thread::sleep(Duration::from_millis(50));
        drop(raw);
    });
    inside.join().expect("no panic");
    assert_tables_are_empty(&tcptop);
    tcptop.stop();
}

/// Sends a segment from port 9 with only the FIN flag. The raw socket adds the IP header.
fn send_fin(to: SocketAddr) {
    let port = to.port().to_be_bytes();
    // RFC 9293 section 3.1: ports, sequence number, acknowledgement number, header length and FIN, window, checksum, urgent
    // pointer.
    let mut segment = [0, 9, port[0], port[1], 0, 0, 1, 0, 0, 0, 0, 0, 0x50, 1, 1, 0, 0, 0, 0, 0];
    // The checksum covers both addresses, the protocol and the length too.
    let words = segment.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let sum = words.sum::<u32>() + 2 * (0x7f00 + 1) + 6 + 20;
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded");
    segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    let (socket, to) = (socket(libc::SOCK_RAW, libc::IPPROTO_TCP).expect("a socket"), raw_v4(0));
    // SAFETY: `segment.len()` and `V4_LENGTH` are the sizes of `segment` and `to`.
    let sent = unsafe {
        let (data, address) = (segment.as_ptr().cast(), (&raw const to).cast());
        libc::sendto(socket.as_raw_fd(), data, segment.len(), 0, address, V4_LENGTH)
    };
    assert_eq!(sent, 20, "sendto: {}", std::io::Error::last_os_error());
}

/// The kernel reports no state changes of a listener that is older than tcptop.
#[test]
fn older_listeners_that_get_a_fin() {
    let listeners: Vec<_> = (0..4 * FEW).map(|_| listen(V4)).collect();
    let Some(tcptop) = start() else { return };
    for listener in &listeners {
        send_fin(listener.local_addr().expect("bound"));
    }
    thread::sleep(Duration::from_millis(50));
    drop(listeners);
    assert_tables_are_empty(&tcptop);
    tcptop.stop();
}

/// No callback reports the end of these connections. Each of their ends has an entry in the table of sockets, which is then full.
#[test]
fn older_connections_as_many_as_fit() {
    allow_descriptors(4_096);
    let many: Vec<_> = (0..PLACES / 2).map(|_| Pair::new(V4)).collect();
    let Some(tcptop) = start() else { return };
    many.iter().for_each(|pair| pair.exchange(10, 20));
    drop(many);
    // tcptop learns from /proc that they ended.
    eventually("most connections have closed rows", || {
        let closed = tcptop.rows().iter().filter(|row| row.closed).count();
        (closed >= PLACES - 2 * FEW).then_some(())
    });
    let pairs: Vec<_> = (0..50).map(|_| Pair::new(V4)).collect();
    let mut expected = Vec::new();
    for pair in &pairs {
        pair.exchange(300, 200);
        expected.extend(pair.ends(300, 200));
    }
    drop(pairs);
    tcptop.expect_closed(&expected);
    assert_tables_are_empty(&tcptop);
    case(
        "as many older connections as fit, and 50 later ones, without socket storage",
        "-",
        tcptop,
        &expected,
    );
}

/// The end that resets closes its socket before its only segment leaves.
#[test]
fn older_connections_that_are_reset() {
    allow_descriptors(4_096);
    let pairs: Vec<_> = (0..4 * FEW).map(|_| Pair::new(V4)).collect();
    let Some(tcptop) = start() else { return };
    for pair in pairs {
        close_by_reset(pair.client);
    }
    assert_tables_are_empty(&tcptop);
    tcptop.stop();
}

/// An end that has sent a FIN sends nothing when it is closed.
#[test]
fn older_connections_that_were_half_closed() {
    allow_descriptors(4_096);
    let pairs: Vec<_> = (0..4 * FEW).map(|_| Pair::new(V4)).collect();
    for pair in &pairs {
        finish_sending(&pair.client);
        assert_eq!(receive_to_end(&pair.server), 0);
    }
    let Some(tcptop) = start() else { return };
    let (clients, servers): (Vec<_>, Vec<_>) =
        pairs.into_iter().map(|pair| (pair.client, pair.server)).unzip();
    drop(clients);
    assert_tables_are_empty(&tcptop);
    tcptop.stop();
    drop(servers);
}
