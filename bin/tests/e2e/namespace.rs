//! Tests connections in other network namespaces, such as those of containers.

use std::{
    fs::File,
    net::{TcpListener, UdpSocket},
    os::fd::AsRawFd,
    thread,
};

use crate::{
    harness::{Tcptop, eventually},
    helper::{self, Helper},
    rows::{Flow, Owner},
    traffic::{Own, Pair, connect, datagram, ends, finish_sending, receive_to_end, udp},
};

/// Moves the calling thread into a new network namespace, and brings up its loopback.
pub fn enter_new() {
    // SAFETY: the call gets no pointer, and moves only this thread.
    let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(result, 0, "unshare: {}", std::io::Error::last_os_error());
    raise_loopback();
}

/// Moves the calling thread into a process's network namespace.
pub fn enter(pid: u32) {
    enter_file(&format!("/proc/{pid}/ns/net"), libc::CLONE_NEWNET);
}

/// Makes this process create its further children in the PID namespace that the children of process `pid` have.
pub fn enter_pids(pid: u32) {
    enter_file(&format!("/proc/{pid}/ns/pid_for_children"), libc::CLONE_NEWPID);
}

fn enter_file(path: &str, kind: libc::c_int) {
    let file = File::open(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    // SAFETY: the call gets no pointer.
    let result = unsafe { libc::setns(file.as_raw_fd(), kind) };
    assert_eq!(result, 0, "setns: {}", std::io::Error::last_os_error());
}

/// Makes this process create its further children in a new network namespace and a new PID namespace.
pub fn contain_children() {
    // SAFETY: the call gets no pointer.
    let result = unsafe { libc::unshare(libc::CLONE_NEWPID) };
    assert_eq!(result, 0, "unshare: {}", std::io::Error::last_os_error());
    enter_new();
}

/// `struct ifreq` of netdevice(7) with its flags.
#[repr(C)]
pub struct FlagsRequest {
    pub name: [u8; 16],
    pub flags: i16,
    pub rest: [u8; 22],
}

fn raise_loopback() {
    const SIOCSIFFLAGS: libc::Ioctl = 0x8914;
    let up = i16::try_from(libc::IFF_UP | libc::IFF_RUNNING).expect("it fits");
    let mut request = FlagsRequest { name: *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0", flags: up, rest: [0; 22] };
    // This socket belongs to the new namespace, because it is created after the move.
    let socket = raw_socket();
    // SAFETY: `request` has the size of a `struct ifreq`.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCSIFFLAGS, &raw mut request) };
    assert_eq!(result, 0, "SIOCSIFFLAGS: {}", std::io::Error::last_os_error());
}

fn raw_socket() -> UdpSocket {
    // The wildcard address can be bound while no interface is up.
    UdpSocket::bind("0.0.0.0:0").expect("a socket")
}

/// Nobody uses these ports outside, so the rows of the namespaces cannot be confused with others.
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
    let (pair, client, server) = inside.join().expect("the traffic does not panic");
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
    let pair = inside.join().expect("the traffic does not panic");
    let expected = pair.ends(1_000, 0);
    drop(pair);
    tcptop.finish(&expected);
}

#[test]
fn processes_in_two_namespaces_with_the_same_ports() {
    let tcptop = Tcptop::start();
    let mut expected = Vec::new();
    let mut helpers = Vec::new();
    for (name, up) in [("space-one", 4_000), ("space-two", 5_000)] {
        let mut helper = Helper::new(name);
        helper.tell("namespace");
        let address = helper.tell("udp 127.0.0.1:11");
        // The socket sends to itself, so one flow counts both directions.
        helper.tell(&format!("send-to {up} {address}"));
        helper.tell(&format!("receive-from {up}"));
        let address = address.parse().expect("an address");
        expected.push(Flow::udp(address, address).moved(&helper.owner, up, up));
        helpers.push(helper);
    }
    helpers.into_iter().for_each(Helper::leave);
    // Both namespaces use the same ports, so only the owners distinguish the rows.
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

/// Each process has its own network namespace and cgroup. They are removed before the next process gets its own.
#[test]
fn namespaces_and_cgroups_come_and_go() {
    crate::cgroup::inside("comings", |cgroup| {
        let tcptop = Tcptop::start();
        let mut expected = Vec::new();
        for round in 0..20 {
            let below = format!("round-{round}");
            let mut command = helper::command("space-brief");
            cgroup.begin_in(&below, &mut command);
            let mut helper = Helper::by(&mut command, "space-brief");
            helper.tell("namespace");
            let address = helper.tell(&format!("udp 127.0.0.1:{}", 40_000 + round));
            helper.tell(&format!("send-to 700 {address}"));
            helper.tell("receive-from 700");
            let address = address.parse().expect("an address");
            expected.push(Flow::udp(address, address).moved(&helper.owner, 700, 700));
            helper.leave();
            cgroup.remove(&below);
        }
        tcptop.finish(&expected);
    });
}

#[test]
fn namespace_sockets_used_from_outside() {
    let tcptop = Tcptop::start();
    // A socket stays in the namespace in which it was created, whichever thread uses it.
    let listener = thread::spawn(|| {
        enter_new();
        let listener = TcpListener::bind(TCP_PORT).expect("listen");
        let client = connect(TCP_PORT.parse().expect("an address"));
        (listener, client)
    });
    let (listener, client) = listener.join().expect("the traffic does not panic");
    let pair = Pair::accepted(Own::new(listener), client);
    pair.exchange(123, 456);
    let expected = pair.ends(123, 456);
    assert_eq!(expected[0].owner, Owner::me());
    tcptop.expect_live(&expected);
    drop(pair);
    tcptop.finish(&expected);
}
