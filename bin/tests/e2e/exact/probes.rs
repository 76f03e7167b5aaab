//! Tests keep-alive probes: segments that repeat a sequence number and have no payload.

use std::{net::TcpStream, os::fd::AsRawFd};

use super::{
    case,
    witness::{Info, TCP_INFO, assert_ends_agree},
};
use crate::{
    harness::{Tcptop, eventually},
    traffic::{Pair, V4, set_option},
};

/// Has the kernel send a probe every second.
fn enable_keep_alive(stream: &TcpStream) {
    let set = |level, name| set_option(stream.as_raw_fd(), level, name, &1i32);
    set(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE);
    set(libc::IPPROTO_TCP, libc::TCP_KEEPINTVL);
    set(libc::SOL_SOCKET, libc::SO_KEEPALIVE);
}

#[test]
fn keep_alive_of_both_ends() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    pair.exchange(2_000, 300);
    let expected = pair.ends(2_000, 300);
    assert_ends_agree(&pair, &expected);
    enable_keep_alive(&pair.client);
    enable_keep_alive(&pair.server);
    let ends = [&*pair.client, &*pair.server];
    let before = ends.map(|end| Info::of(end).segments());
    eventually("each end sends two probes and answers two", || {
        let enough = |(end, (received, sent)): (&TcpStream, (u32, u32))| {
            let now = Info::of(end).segments();
            now.0 >= received + 4 && now.1 >= sent + 4
        };
        ends.into_iter().zip(before).all(enough).then_some(())
    });
    tcptop.expect_live(&expected);
    assert_ends_agree(&pair, &expected);
    drop(pair);
    case("keep-alive probes", TCP_INFO, tcptop, &expected);
}
