//! Tests connections in other network namespaces, as containers have them.

use std::{
    fs::File,
    net::{TcpListener, UdpSocket},
    os::fd::AsRawFd,
    thread,
};

use crate::{
    harness::{Tcptop, eventually},
    puppet::{self, Puppet},
    rows::{Flow, Owner},
    traffic::{Own, Pair, connect, datagram, ends, finish_sending, receive_to_end, udp},
};

/// Moves the calling thread into a new network namespace, with its loopback up.
pub fn enter_new() {
    // SAFETY: no pointer is passed; the namespace is the thread's own.
    let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(result, 0, "unshare: {}", std::io::Error::last_os_error());
    raise_loopback();
}

/// Moves the calling thread into a process's network namespace.
pub fn enter(pid: u32) {
    enter_file(&format!("/proc/{pid}/ns/net"), libc::CLONE_NEWNET);
}

/// Puts all further children of this process into the PID namespace of that process's children.
pub fn enter_pids(pid: u32) {
    enter_file(&format!("/proc/{pid}/ns/pid_for_children"), libc::CLONE_NEWPID);
}

fn enter_file(path: &str, kind: libc::c_int) {
    let file = File::open(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    // SAFETY: no pointer is passed.
    let result = unsafe { libc::setns(file.as_raw_fd(), kind) };
    assert_eq!(result, 0, "setns: {}", std::io::Error::last_os_error());
}

/// Puts all further children of this process into a new network namespace and a new PID namespace.
pub fn contain_children() {
    // SAFETY: no pointer is passed.
    let result = unsafe { libc::unshare(libc::CLONE_NEWPID) };
    assert_eq!(result, 0, "unshare: {}", std::io::Error::last_os_error());
    enter_new();
}

/// `struct ifreq` of netdevice(7), for its flags.
#[repr(C)]
pub struct FlagsRequest {
    pub name: [u8; 16],
    pub flags: i16,
    pub rest: [u8; 22],
}

fn raise_loopback() {
    const SIOCSIFFLAGS: libc::Ioctl = 0x8914;
    let up = i16::try_from(libc::IFF_UP | libc::IFF_RUNNING).expect("low bits");
    let mut request = FlagsRequest { name: *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0", flags: up, rest: [0; 22] };
    // The namespace's, as it was made after the move.
    let socket = raw_socket();
    // SAFETY: `request` is a whole ifreq.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCSIFFLAGS, &raw mut request) };
    assert_eq!(result, 0, "SIOCSIFFLAGS: {}", std::io::Error::last_os_error());
}

fn raw_socket() -> UdpSocket {
    // Binding to the wildcard address needs no interface that is up.
    UdpSocket::bind("0.0.0.0:0").expect("a socket")
}

/// Ports that nobody uses outside, so that rows of the namespaces cannot be confused with others.
const TCP_PORT: &str = "127.0.0.1:9";
const TCP6_PORT: &str = "[::1]:9";
const UDP_PORT: &str = "127.0.0.1:7";

#[test]
fn thread_in_a_namespace() {
    let tcptop = Tcptop::start();
    let inside = thread::spawn(|| {
        enter_new();
        let pair = Pair::new(TCP_PORT);
        pair.exchange(70_000, 333);
        let server = udp(UDP_PORT);
        let client = udp("127.0.0.1:0");
        client.send_to(&[0; 100], UDP_PORT).expect("send");
        assert_eq!(datagram(&server, 100), client.local_addr().expect("bound"));
        (pair, client, server)
    });
    let (pair, client, server) = inside.join().expect("traffic");
    let flow = Flow::udp(client.local_addr().expect("bound"), server.local_addr().expect("bound"));
    let expected = [pair.ends(70_000, 333), ends(flow, 100, 0)].concat();
    tcptop.expect_live(&expected);
    drop((pair, client, server));
    tcptop.finish(&expected);
}

#[test]
fn thread_in_a_namespace_ipv6_half_close() {
    let tcptop = Tcptop::start();
    let inside = thread::spawn(|| {
        enter_new();
        let pair = Pair::new(TCP6_PORT);
        pair.exchange(1_000, 0);
        finish_sending(&pair.client);
        assert_eq!(receive_to_end(&pair.server), 0);
        pair
    });
    let pair = inside.join().expect("traffic");
    let expected = pair.ends(1_000, 0);
    drop(pair);
    tcptop.finish(&expected);
}

#[test]
fn processes_in_two_namespaces_with_the_same_ports() {
    let tcptop = Tcptop::start();
    let mut expected = Vec::new();
    let mut puppets = Vec::new();
    for (name, up) in [("space-one", 4_000), ("space-two", 5_000)] {
        let mut puppet = Puppet::new(name);
        puppet.tell("namespace");
        let address = puppet.tell("udp 127.0.0.1:11");
        // To itself: one socket, one flow, both ways.
        puppet.tell(&format!("send-to {up} {address}"));
        puppet.tell(&format!("receive-from {up}"));
        let address = address.parse().expect("an address");
        expected.push(Flow::udp(address, address).moved(&puppet.owner, up, up));
        puppets.push(puppet);
    }
    puppets.into_iter().for_each(Puppet::leave);
    // Both namespaces use the same ports, so the rows differ only in their owner.
    for end in &expected {
        let found = eventually("a closed row", || {
            let mut rows = tcptop.rows();
            rows.retain(|row| row.flow == end.flow && row.owner.as_ref() == Some(&end.owner));
            rows.iter().any(|row| row.closed).then_some(rows)
        });
        end.assert_ended(&found);
    }
    tcptop.stop();
}

/// Each process has its own network namespace and cgroup, which are gone before those of the next process exist.
#[test]
fn namespaces_and_cgroups_come_and_go() {
    crate::cgroup::inside("comings", |cgroup| {
        let tcptop = Tcptop::start();
        let mut expected = Vec::new();
        for round in 0..20 {
            let below = format!("round-{round}");
            let mut command = puppet::command("space-brief");
            cgroup.begin_in(&below, &mut command);
            let mut puppet = Puppet::by(&mut command, "space-brief");
            puppet.tell("namespace");
            let address = puppet.tell(&format!("udp 127.0.0.1:{}", 40_000 + round));
            puppet.tell(&format!("send-to 700 {address}"));
            puppet.tell("receive-from 700");
            let address = address.parse().expect("an address");
            expected.push(Flow::udp(address, address).moved(&puppet.owner, 700, 700));
            puppet.leave();
            cgroup.remove(&below);
        }
        tcptop.finish(&expected);
    });
}

#[test]
fn namespace_sockets_used_from_outside() {
    let tcptop = Tcptop::start();
    // Sockets stay in the namespace they were made in, whoever uses them.
    let listener = thread::spawn(|| {
        enter_new();
        let listener = TcpListener::bind(TCP_PORT).expect("listen");
        let client = connect(TCP_PORT.parse().expect("an address"));
        (listener, client)
    });
    let (listener, client) = listener.join().expect("traffic");
    let pair = Pair::accepted(Own::new(listener), client);
    pair.exchange(123, 456);
    let expected = pair.ends(123, 456);
    assert_eq!(expected[0].owner, Owner::me());
    tcptop.expect_live(&expected);
    drop(pair);
    tcptop.finish(&expected);
}
