//! Connections that are restored from what another socket knew (CRIU): no SYN was ever sent.

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

/// Options and queues of include/uapi/linux/tcp.h.
const TCP_REPAIR: i32 = 19;
const TCP_REPAIR_QUEUE: i32 = 20;
const TCP_QUEUE_SEQ: i32 = 21;
const RECEIVE_QUEUE: i32 = 1;
const SEND_QUEUE: i32 = 2;

/// A socket that is going to be one end of a connection.
fn socket(sent: u32, received: u32) -> (OwnedFd, SocketAddr) {
    let (socket, address) = bound_tcp();
    let set = |option, value: i32| set_option(socket.as_raw_fd(), libc::IPPROTO_TCP, option, &value);
    set(TCP_REPAIR, 1);
    for (queue, number) in [(SEND_QUEUE, sent), (RECEIVE_QUEUE, received)] {
        set(TCP_REPAIR_QUEUE, queue);
        set(TCP_QUEUE_SEQ, number.cast_signed());
    }
    (socket, address)
}

/// From now on, an ordinary connection. It asks the peer for its window.
fn finish(socket: OwnedFd) -> Own<TcpStream> {
    set_option(socket.as_raw_fd(), libc::IPPROTO_TCP, TCP_REPAIR, &0i32);
    Own::new(socket.into())
}

#[test]
fn from_both_ends() {
    let tcptop = Tcptop::start();
    let ((one, here), (other, there)) = (socket(1_000, 5_000), socket(5_000, 1_000));
    // Without a packet.
    raw_connect(&one, there.port()).and_then(|()| raw_connect(&other, here.port())).expect("connect");
    let (one, other) = (finish(one), finish(other));
    transfer(&one, &other, 10);
    transfer(&other, &one, 50);
    let expected = ends(Flow::tcp(here, there), 10, 50);
    finish_sending(&one);
    assert_eq!(receive_to_end(&other), 0);
    drop((one, other));
    case("restored by TCP_REPAIR", "", tcptop, &expected);
}
