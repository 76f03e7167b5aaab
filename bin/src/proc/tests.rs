//! The room as a whole: against the captured tables, and live, against the sockets of the test itself.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process;

use tcptop_abi::{Endpoints, TcpStateCode as Code};

use crate::conn::{Process, Protocol};

use super::lookup::Answer;
use super::testing::{self, Tree, captured, ends};
use super::{OutOf, Snapshot, cmdline, look_up, out_of, stat};
use crate::sys::limit::without_opening;

fn pids(answers: &[Answer]) -> Vec<Option<u32>> {
    answers.iter().map(|answer| answer.owner.map(|process| process.pid)).collect()
}

/// Looks up owners in the captured tables. Process 50 has the servers, and 60 the clients.
fn captured_answers(tree: &Tree, wanted: &[(Protocol, Endpoints)]) -> Vec<Answer> {
    let servers = ["socket:[18164]", "socket:[18165]", "socket:[18175]", "socket:[18187]", "socket:[18189]"];
    tree.process(50, "server", &servers);
    tree.process(60, "client", &["socket:[18167]", "socket:[18188]", "socket:[18192]", "socket:[18185]"]);
    look_up(&tree.path(""), wanted, &[]).expect("captured")
}

#[test]
fn captured_tcp() {
    let us = "192.0.2.1";
    let wanted = [
        ends(us, 40001, us, 8080),            // a client
        ends(us, 8081, us, 40005),            // accepted by a dual-stack listener
        ends(us, 8080, us, 40004),            // not accepted yet
        ends(us, 8081, us, 40009),            // half-closed; its holder is not among the processes
        ends(us, 40010, us, 8081),            // TIME_WAIT
        ends(us, 40011, "198.51.100.7", 443), // SYN_SENT
        ends(us, 8080, "198.51.100.7", 1),    // ended
        ends("2001:db8::1", 8082, us, 1),     // ended, and its listener is not among the processes
        ends("198.51.100.7", 443, us, 40011), // the other end, which is not here
    ];
    let tree = Tree::captured();
    let answers = captured_answers(&tree, &wanted.map(|ends| (Protocol::Tcp, ends)));
    assert_eq!(pids(&answers), [Some(60), Some(50), None, None, None, Some(60), None, None, None]);
    let states: Vec<Option<u8>> = answers.iter().map(|answer| answer.state).collect();
    let (established, close_wait) = (Some(Code::ESTABLISHED), Some(Code::CLOSE_WAIT));
    let (time_wait, syn_sent) = (Some(Code::TIME_WAIT), Some(Code::SYN_SENT));
    let expected = [established, established, established, close_wait, time_wait, syn_sent, None, None, None];
    assert_eq!(states, expected);
    let listeners = answers.iter().map(|answer| answer.listener.map(|process| process.pid));
    assert!(listeners.eq([None, Some(50), Some(50), Some(50), None, None, Some(50), None, None]));
}

#[test]
fn captured_udp() {
    let us = "192.0.2.1";
    let wanted = [
        ends(us, 50001, us, 53),             // connected
        ends(us, 50003, us, 53),             // connected, IPv4 on an IPv6 socket
        ends(us, 53, us, 50001),             // bound to the address
        ends("198.51.100.1", 53, us, 50001), // not bound to that one
        ends(us, 5354, "198.51.100.7", 5),   // IPv4 on the IPv6 wildcard
        ends("2001:db8::1", 5354, "2001:db8::2", 5),
        ends("2001:db8::1", 5353, "2001:db8::2", 5), // the IPv4 wildcard takes no IPv6
        ends(us, 50001, us, 54),                     // connected to someone else
    ];
    let tree = Tree::captured();
    let answers = captured_answers(&tree, &wanted.map(|ends| (Protocol::Udp, ends)));
    assert_eq!(pids(&answers), [Some(60), Some(60), Some(50), None, Some(50), Some(50), None, None]);
    let exist = answers.iter().map(|answer| answer.state.is_some());
    assert!(exist.eq([true, true, true, false, true, true, false, false]));
    assert!(answers.iter().all(|answer| answer.listener.is_none()));
}

#[test]
fn one_tuple_in_two_namespaces_is_not_guessed() {
    let tree = Tree::captured();
    let tables = captured().join("self/net");
    let other = fs::read_to_string(tables.join("tcp")).expect("captured").replace(" 18167 ", " 28167 ");
    tree.file("70/net/tcp", other.as_bytes());
    tree.link("70/ns/net", "net:[2]");
    let ours = (Protocol::Tcp, ends("192.0.2.1", 40001, "192.0.2.1", 8080));
    tree.process(70, "other", &["socket:[28167]"]);
    let answers = captured_answers(&tree, &[ours]);
    assert_eq!((answers[0].owner, answers[0].state), (None, Some(Code::ESTABLISHED)));
    tree.process(7, "both", &["socket:[28167]", "socket:[18167]"]);
    let found = look_up(&tree.path(""), &[ours], &[]).expect("captured");
    assert_eq!(pids(&found), [Some(7)], "both have the same owner, so it need not be guessed");
}

#[test]
fn nothing_wanted_and_nothing_there() {
    let found = look_up(&captured(), &[], &[]).expect("captured");
    assert!(found.is_empty());
    let tree = Tree::new();
    assert!(look_up(&tree.path(""), &[], &[]).is_err(), "/proc is not mounted");
    assert!(Snapshot::take(&tree.path("")).is_err());
}

/// Returns an address and a port as /proc and the kernel hooks show them.
fn octets(address: SocketAddr) -> ([u8; 16], u16) {
    let ip = match address.ip() {
        std::net::IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        std::net::IpAddr::V6(ip) => ip,
    };
    (ip.octets(), address.port())
}

fn seen_from(local: SocketAddr, remote: SocketAddr) -> Endpoints {
    let ((laddr, lport), (raddr, rport)) = (octets(local), octets(remote));
    Endpoints { laddr, raddr, lport, rport }
}

#[test]
fn live_sockets_of_this_process() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let server = listener.local_addr().expect("bound");
    let client = TcpStream::connect(server).expect("listening");
    let (accepted, peer) = listener.accept().expect("connected");
    let waiting = TcpStream::connect(server).expect("listening");
    let unconnected = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("any port");
    let (_, port) = octets(unconnected.local_addr().expect("bound"));
    let server_of_datagrams = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connected = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("any port");
    connected.connect(server_of_datagrams).expect("loopback");
    let from = connected.local_addr().expect("bound");
    let mut wanted = vec![
        (Protocol::Tcp, seen_from(peer, server)),
        (Protocol::Tcp, seen_from(server, peer)),
        (Protocol::Tcp, seen_from(server, waiting.local_addr().expect("connected"))),
        (Protocol::Udp, seen_from(from, server_of_datagrams)),
        (Protocol::Udp, seen_from(server_of_datagrams, from)),
    ];

    let root = Path::new("/proc");
    let found = look_up(root, &wanted, &[process::id()]).expect("/proc");
    let me = super::process::process(root, process::id()).expect("descriptors").expect("alive");
    let owners: Vec<Option<Process>> = found.iter().map(|answer| answer.owner).collect();
    assert_eq!(owners, [Some(me), Some(me), None, Some(me), Some(me)], "nobody has accepted the third one");
    assert_eq!(found[0].listener, None);
    assert_eq!(found[2].listener, Some(me));
    assert_eq!(found[2].state, Some(Code::ESTABLISHED));
    assert_eq!(look_up(root, &wanted, &[]).expect("/proc"), found, "a hint must not change the answers");

    let snapshot = Snapshot::take(root).expect("/proc");
    for ((protocol, ends), answer) in wanted.iter().zip(&found).take(4) {
        let same = |socket: &&super::SocketEntry| socket.protocol == *protocol && socket.ends == *ends;
        let socket = snapshot.connections.iter().find(same).expect("listed");
        assert_eq!(snapshot.owner(socket), answer.owner);
        assert_eq!(Some(socket.state), answer.state);
    }

    drop((client, accepted, waiting, connected));
    wanted.truncate(4);
    let ended = look_up(root, &wanted, &[]).expect("/proc");
    assert!(ended.iter().all(|answer| answer.owner.is_none()));
    assert_eq!(ended[3].state, None, "a UDP socket leaves nothing behind");
}

#[test]
fn without_descriptors_nothing_is_answered() {
    testing::alone("proc::tests::without_descriptors_nothing_is_answered", || {
        let tree = Tree::captured();
        let us = "192.0.2.1";
        let wanted = [(Protocol::Tcp, ends(us, 40001, us, 8080))];
        assert_eq!(pids(&captured_answers(&tree, &wanted)), [Some(60)]);
        let root = tree.path("");
        without_opening(|| {
            let error = look_up(&root, &wanted, &[]).expect_err("no descriptors");
            assert_eq!(OutOf::of(&error), Some(OutOf::Descriptors));
            assert_eq!(Snapshot::take(&root).err().as_ref().and_then(OutOf::of), Some(OutOf::Descriptors));
            assert_eq!(stat(&root, 60), Err(OutOf::Descriptors));
            assert_eq!(cmdline(&root, 60), Err(OutOf::Descriptors));
            assert_eq!(out_of(&root), Some(OutOf::Descriptors));
        })
        .expect("setrlimit");
        assert_eq!(out_of(&root), None);
        assert_eq!(stat(&root, 61), Ok(None), "there is no such process");
        assert_eq!(pids(&look_up(&root, &wanted, &[]).expect("captured")), [Some(60)]);
    });
}
