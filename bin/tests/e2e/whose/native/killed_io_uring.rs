//! Tests a server with io_uring that is killed. A worker of the kernel closes its connections.

use crate::{
    helper::Helper,
    traffic::{connect, receive_to_end, send},
    whose::log::{Log, owner},
};

#[test]
fn the_killed_server_is_the_owner() {
    let log = Log::start(&["-d", "0.5"]);
    let mut server = Helper::new("e2e-uring");
    let address = server.tell("listen 127.0.0.1:0");
    let client = connect(address.parse().expect("an address"));
    let local = client.local_addr().expect("bound").to_string();
    send(&client, 700);
    server.tell("serve-io-uring 700");
    let pid = server.owner.pid.to_string();
    server.kill();
    assert_eq!(receive_to_end(&client), 0);
    drop(client);
    let row = log.closed(&address, &local);
    assert_eq!((owner(&row), &*row["rx_bytes"]), ((&*pid, "e2e-uring"), "700"), "{row:?}");
    let rows = log.stop();
    assert!(
        !rows.iter().any(|row| row["local"] == address && row["comm"].starts_with("kworker")),
        "{rows:?}"
    );
}
