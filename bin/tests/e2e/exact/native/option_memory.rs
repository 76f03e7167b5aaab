//! Tests sockets whose option memory is used up. The kernel charges socket storage to it, so tcptop can keep nothing for them.

use std::{fs, net::SocketAddr, os::fd::AsRawFd};

use super::link::Link;
use crate::{
    harness::{Tcptop, eventually},
    rows::{Flow, newest},
    traffic::{Pair, V4, connect, ends, listen, raw_v4, udp},
};

/// `struct tcp_md5sig` of include/uapi/linux/tcp.h.
#[repr(C)]
struct Md5Key {
    address: libc::sockaddr_storage,
    flags: u8,
    prefix: u8,
    length: u16,
    interface: i32,
    key: [u8; 80],
}

/// A part of tcptop's message.
const MESSAGE: &str = "sockets have used up their option memory";

/// Fills the option memory of a TCP socket with MD5 keys for unused addresses, as any process may. Returns their number.
fn fill_option_memory(socket: &impl AsRawFd) -> usize {
    const TCP_MD5SIG: i32 = 14;
    let mut keys = 0;
    loop {
        // SAFETY: all zeros are a valid value of each field.
        let mut key: Md5Key = unsafe { std::mem::zeroed() };
        let to = libc::sockaddr_in {
            sin_addr: libc::in_addr { s_addr: (0xc000_0200 + u32::try_from(keys).expect("few")).to_be() },
            ..raw_v4(0)
        };
        // SAFETY: a `sockaddr_storage` has room for a `sockaddr_in`, and is aligned for it.
        unsafe { (&raw mut key.address).cast::<libc::sockaddr_in>().write(to) };
        (key.length, key.key[0]) = (80, b'k');
        let size = libc::socklen_t::try_from(size_of::<Md5Key>()).expect("small");
        // SAFETY: `size` is the size of `key`.
        let result = unsafe {
            let option = (&raw const key).cast();
            libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, TCP_MD5SIG, option, size)
        };
        if result != 0 {
            let error = std::io::Error::last_os_error();
            assert_eq!(error.raw_os_error(), Some(libc::ENOMEM), "{error}");
            return keys;
        }
        keys += 1;
    }
}

#[test]
fn filled_with_keys_before_the_start() {
    let pair = Pair::new(V4);
    for stream in [&pair.client, &pair.server] {
        assert!(fill_option_memory(&**stream) > 10);
    }
    let tcptop = Tcptop::start().excusing(MESSAGE);
    pair.exchange(70_000, 3_000);
    tcptop.expect_live(&pair.ends(70_000, 3_000));
    tcptop.stop();
}

#[test]
fn too_small_for_every_socket() {
    const PATH: &str = "/proc/sys/net/core/optmem_max";
    let link = Link::new();
    let before = link.near.inside(|| fs::read_to_string(PATH)).expect("a number");
    let set = |value: &str| link.near.inside(|| fs::write(PATH, value)).expect("write");
    // From Linux 6.8 on, each network namespace has its own limit.
    if link.far.inside(|| fs::metadata(PATH)).is_err() {
        println!("skipped: the limit applies to the whole machine");
        return;
    }
    set("64");
    let tcptop = Tcptop::start().noting(MESSAGE);
    let (pair, server, client) = link.near.inside(|| {
        let listener = listen("127.0.0.1:0");
        let client = connect(listener.local_addr().expect("bound"));
        (Pair::accepted(listener, client), udp("127.0.0.1:0"), udp("127.0.0.1:0"))
    });
    pair.exchange(70_000, 3_000);
    let to: SocketAddr = server.local_addr().expect("bound");
    client.send_to(&[0; 50], to).expect("send");
    let flow = Flow::udp(client.local_addr().expect("bound"), to);
    let expected = [pair.ends(70_000, 3_000), ends(flow, 50, 0)].concat();
    let rows = eventually("all four ends have rows", || {
        let rows = tcptop.rows();
        let is_there = |flow| newest(&rows, &flow).is_some();
        expected.iter().all(|end| is_there(end.flow)).then_some(rows)
    });
    drop(rows);
    tcptop.expect_live(&expected);
    set(before.trim());
    drop((pair, server, client));
    tcptop.finish(&expected);
}
