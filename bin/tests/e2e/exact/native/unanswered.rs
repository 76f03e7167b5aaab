//! Tests a connect that is older than tcptop and that no host answers.

use std::{
    io::Error,
    os::fd::{FromRawFd, OwnedFd},
    thread::sleep,
    time::{Duration, Instant},
};

use super::link::Link;
use crate::{
    traffic::{V4_LENGTH, raw_v4},
    whose::log::Log,
};

/// An address of the near end's network that no host has.
const UNUSED: [u8; 4] = [10, 99, 0, 77];
const PORT: u16 = 81;

/// Returns a socket that is connecting.
fn begin_to_connect() -> OwnedFd {
    // SAFETY: no pointer is passed.
    let fd = unsafe {
        libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0)
    };
    assert!(fd >= 0, "socket: {}", Error::last_os_error());
    // SAFETY: the kernel just opened `fd`, and nothing else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let address = libc::in_addr { s_addr: u32::from_ne_bytes(UNUSED) };
    let name = libc::sockaddr_in { sin_addr: address, ..raw_v4(PORT) };
    // SAFETY: `V4_LENGTH` is the size of `name`.
    let result = unsafe { libc::connect(fd, (&raw const name).cast(), V4_LENGTH) };
    assert_eq!((result, Error::last_os_error().raw_os_error()), (-1, Some(libc::EINPROGRESS)));
    socket
}

#[test]
fn an_older_connect_has_no_start_and_ends_with_its_socket() {
    let link = Link::new();
    // A static neighbour entry lets the kernel send SYNs without an answer by ARP.
    link.near.ip("neigh add 10.99.0.77 lladdr 02:00:00:00:00:77 dev wire");
    let socket = link.near.inside(begin_to_connect);
    sleep(Duration::from_millis(100));
    let log = Log::of_columns("event,remote,state,start,duration_ms,tx_bytes", &["-d", "0.5", "-P", "81"]);
    let row = log.expect("a live row", |row| row["event"] == "live");
    assert_eq!((&*row["state"], &*row["start"], &*row["duration_ms"]), ("SYN_SENT", "", ""), "{row:?}");
    drop(socket);
    let begin = Instant::now();
    let row = log.expect("a closed row", |row| row["event"] == "closed");
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert_eq!((&*row["start"], &*row["duration_ms"], &*row["tx_bytes"]), ("", "", "0"), "{row:?}");
    log.stop();
}
