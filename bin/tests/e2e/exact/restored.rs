//! Tests connections that TCP_REPAIR restores, as CRIU does, from the state of earlier sockets. Such a socket never sends a SYN.

use std::{
    net::{SocketAddr, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
};

use crate::{
    exact::case,
    harness::Tcptop,
    rows::Flow,
    traffic::{Own, bound_tcp, ends, finish_sending, raw_connect, receive_to_end, set_option, transfer},
};

/// Socket options and queues of include/uapi/linux/tcp.h.
const TCP_REPAIR: i32 = 19;
const TCP_REPAIR_QUEUE: i32 = 20;
const TCP_QUEUE_SEQ: i32 = 21;
const RECEIVE_QUEUE: i32 = 1;
const SEND_QUEUE: i32 = 2;

/// Returns a socket in repair mode, with the sequence numbers of its send and its receive queue.
fn repaired_socket(sent: u32, received: u32) -> (OwnedFd, SocketAddr) {
    let (socket, address) = bound_tcp();
    let set = |option, value: i32| set_option(socket.as_raw_fd(), libc::IPPROTO_TCP, option, &value);
    set(TCP_REPAIR, 1);
    for (queue, number) in [(SEND_QUEUE, sent), (RECEIVE_QUEUE, received)] {
        set(TCP_REPAIR_QUEUE, queue);
        set(TCP_QUEUE_SEQ, number.cast_signed());
    }
    (socket, address)
}

/// Ends the repair mode. The socket becomes an ordinary connection, and sends a window probe to its peer.
fn finish_repair(socket: OwnedFd) -> Own<TcpStream> {
    set_option(socket.as_raw_fd(), libc::IPPROTO_TCP, TCP_REPAIR, &0i32);
    Own::new(socket.into())
}

#[test]
fn both_ends_restored() {
    let tcptop = Tcptop::start();
    let ((one, here), (other, there)) = (repaired_socket(1_000, 5_000), repaired_socket(5_000, 1_000));
    // In repair mode, connect(2) sends no packet.
    raw_connect(&one, there.port()).and_then(|()| raw_connect(&other, here.port())).expect("connect");
    let (one, other) = (finish_repair(one), finish_repair(other));
    transfer(&one, &other, 10);
    transfer(&other, &one, 50);
    let expected = ends(Flow::tcp(here, there), 10, 50);
    finish_sending(&one);
    assert_eq!(receive_to_end(&other), 0);
    drop((one, other));
    case("restored by TCP_REPAIR", "", tcptop, &expected);
}
