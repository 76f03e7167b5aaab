//! Tests connections that the client resets after a million bytes.

use super::log::{Log, owner};
use crate::{
    helper::Helper,
    traffic::{V4, close_by_reset, connect, listen, send, set_option},
};

const BYTES: u64 = 1_000_000;

#[test]
fn reset_while_the_server_has_it_open() {
    let log = Log::start(&["-d", "1"]);
    let mut server = Helper::new("e2e-accepting");
    let address = server.tell("listen 127.0.0.1:0");
    let client = connect(address.parse().expect("an address"));
    let local = client.local_addr().expect("bound").to_string();
    server.tell("accept");
    send(&client, BYTES / 2);
    server.tell(&format!("receive {}", BYTES / 2));
    send(&client, BYTES / 2);
    server.tell(&format!("receive {}", BYTES / 2));
    close_by_reset(client);
    let row = log.closed(&address, &local);
    let pid = server.owner.pid.to_string();
    assert_eq!((owner(&row), &*row["rx_bytes"]), ((&*pid, "e2e-accepting"), "1000000"), "{row:?}");
    log.stop();
}

#[test]
fn reset_before_accept() {
    let log = Log::start(&["-d", "1"]);
    let mut client = Helper::new("e2e-resetting");
    let listener = listen(V4);
    // The buffer must hold all bytes, because nobody reads them.
    set_option(
        std::os::fd::AsRawFd::as_raw_fd(&*listener),
        libc::SOL_SOCKET,
        libc::SO_RCVBUFFORCE,
        &4_000_000i32,
    );
    let address = listener.local_addr().expect("bound").to_string();
    let local = client.tell(&format!("connect {address}"));
    client.tell(&format!("send {BYTES}"));
    client.tell("reset");
    let row = log.closed(&address, &local);
    let me = crate::rows::Owner::me();
    assert_eq!((owner(&row), &*row["rx_bytes"]), ((&*me.pid.to_string(), &*me.comm), "1000000"), "{row:?}");
    log.stop();
}
