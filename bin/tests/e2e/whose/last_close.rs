//! Tests an accepted connection that several processes hold. The last process that closes it is the owner, unless that is the
//! listening process and another one accepted the connection.

use super::log::{Log, owner};
use crate::{
    helper::Helper,
    privilege::has_storage,
    traffic::{connect, finish_sending, receive, receive_to_end, send},
};

/// The listening process has a copy of the connection that its worker has accepted, and closes it last. The worker is the owner.
#[test]
fn the_listening_process_did_not_accept() {
    if !has_storage("a connection does not know its listener (bin/doc/owners.md)") {
        return;
    }
    let log = Log::start(&["-d", "0.5"]);
    let (mut front, mut worker) = (Helper::new("e2e-front"), Helper::new("e2e-worker"));
    let [worker_gate, front_gate] = [&mut worker, &mut front].map(|helper| {
        let gate = format!("tcptop-e2e-{}", helper.owner.pid);
        helper.tell(&format!("gate {gate}"));
        gate
    });
    let address = front.tell("listen 127.0.0.1:0");
    front.tell(&format!("hand-listener {worker_gate}"));
    worker.tell("take-listener");
    let client = connect(address.parse().expect("an address"));
    let local = client.local_addr().expect("bound").to_string();
    worker.tell("accept");
    worker.tell(&format!("hand-stream {front_gate}"));
    front.tell("take-stream");
    send(&client, 40);
    worker.tell("receive 40");
    worker.tell("send 50");
    receive(&client, 50);
    finish_sending(&client);
    assert_eq!(worker.tell("end"), "0");
    worker.tell("close");
    front.tell("close");
    assert_eq!(receive_to_end(&client), 0);
    let row = log.closed(&address, &local);
    let pid = worker.owner.pid.to_string();
    assert_eq!((owner(&row), &*row["rx_bytes"]), ((&*pid, "e2e-worker"), "40"), "{row:?}");
    log.stop();
}

/// The listening process accepts, and its child serves and closes. The child is the owner.
#[test]
fn the_listening_process_accepted_for_its_child() {
    let log = Log::start(&["-d", "0.5"]);
    let mut server = Helper::new("e2e-parent");
    let address = server.tell("listen 127.0.0.1:0");
    let client = connect(address.parse().expect("an address"));
    let local = client.local_addr().expect("bound").to_string();
    server.tell("accept");
    let child = server.tell("fork");
    assert_ne!(child, server.owner.pid.to_string());
    send(&client, 40);
    server.tell("receive 40");
    finish_sending(&client);
    assert_eq!(server.tell("end"), "0");
    server.tell("close");
    assert_eq!(receive_to_end(&client), 0);
    let row = log.closed(&address, &local);
    assert_eq!((owner(&row), &*row["rx_bytes"]), ((&*child, "e2e-parent"), "40"), "{row:?}");
    log.stop();
}
