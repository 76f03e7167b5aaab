//! Tests that tcptop learns from accept(2) itself which process accepted a connection. After a reset, /proc no longer shows
//! the socket. While the process keeps that socket open, no close names it either.

use super::case;
use crate::{
    harness::Tcptop,
    helper::Helper,
    rows::{End, Flow, Owner},
    traffic::{close_by_reset, connect, receive, send},
};

/// The report interval. It is long enough for a whole connection between two reads of /proc.
const INTERVAL: &str = "1";

/// Connects a client of this process to `address`. The server's process accepts, both send, and the client resets. Returns
/// what tcptop must report of both ends.
fn reset_by_the_client(server: &mut Helper, acceptor: &Owner, address: &str) -> [End; 2] {
    let address = address.parse().expect("an address");
    let client = connect(address);
    let flow = Flow::tcp(client.local_addr().expect("bound"), address);
    server.tell("accept");
    send(&client, 640);
    server.tell("receive 640");
    server.tell("send 46");
    receive(&client, 46);
    close_by_reset(client);
    [flow.moved(&Owner::me(), 46, 640), flow.flipped().moved(acceptor, 640, 46)]
}

#[test]
fn a_child_accepts_from_its_parent_s_listener() {
    let mut server = Helper::new("e2e-prefork");
    let address = server.tell("listen 127.0.0.1:0");
    // The child obeys from here on. The parent keeps its copy of the listener.
    let child = Owner::of(server.tell("fork").parse().expect("a number"));
    assert_ne!(child, server.owner);
    let tcptop = Tcptop::every(INTERVAL);
    let expected = reset_by_the_client(&mut server, &child, &address);
    case("a child accepts, its socket open after a reset", "-", tcptop, &expected);
}

#[test]
fn a_process_accepts_from_a_listener_passed_by_scm_rights() {
    let (mut front, mut worker) = (Helper::new("e2e-front"), Helper::new("e2e-worker"));
    let tcptop = Tcptop::every(INTERVAL);
    let gate = format!("tcptop-e2e-{}", worker.owner.pid);
    worker.tell(&format!("gate {gate}"));
    let address = front.tell("listen 127.0.0.1:0");
    front.tell(&format!("hand-listener {gate}"));
    worker.tell("take-listener");
    let acceptor = worker.owner.clone();
    let expected = reset_by_the_client(&mut worker, &acceptor, &address);
    case("SCM_RIGHTS: a listener, its acceptor's socket open after a reset", "-", tcptop, &expected);
}

#[test]
fn the_first_row_names_the_acceptor() {
    let mut server = Helper::new("e2e-prefork");
    let address = server.tell("listen 127.0.0.1:0");
    let child = Owner::of(server.tell("fork").parse().expect("a number"));
    let tcptop = Tcptop::every(INTERVAL);
    let client = connect(address.parse().expect("an address"));
    let flow = Flow::tcp(client.local_addr().expect("bound"), client.peer_addr().expect("connected"));
    server.tell("accept");
    send(&client, 70);
    server.tell("receive 70");
    let expected = [flow.moved(&Owner::me(), 0, 70), flow.flipped().moved(&child, 70, 0)];
    tcptop.expect_live(&expected);
    let first = tcptop.rows().into_iter().find(|row| row.flow == expected[1].flow).expect("a live row");
    assert_eq!(first.owner.as_ref(), Some(&child), "{first:?}");
    drop(client);
    assert_eq!(server.tell("end"), "0");
    server.tell("close");
    case("a child accepts, named in the first row", "-", tcptop, &expected);
}
