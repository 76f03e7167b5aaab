//! Tests the owners of connections between several processes.

use super::case;
use crate::{
    harness::Tcptop,
    helper::Helper,
    rows::{Flow, Owner},
    traffic::{V4, accept, listen, receive},
};

/// Returns the flow between two addresses, as helpers print them.
pub fn flow(local: &str, remote: &str) -> Flow {
    Flow::tcp(local.parse().expect("an address"), remote.parse().expect("an address"))
}

#[test]
fn server_and_client_are_two_processes() {
    let tcptop = Tcptop::start();
    let (mut server, mut client) = (Helper::new("e2e-server"), Helper::new("e2e-client"));
    let address = server.tell("listen 127.0.0.1:0");
    let local = client.tell(&format!("connect {address}"));
    assert_eq!(server.tell("accept"), local);
    client.tell("send 10000");
    server.tell("receive 10000");
    server.tell("send 200");
    client.tell("receive 200");
    let flow = flow(&local, &address);
    let expected = [flow.moved(&client.owner, 200, 10_000), flow.flipped().moved(&server.owner, 10_000, 200)];
    tcptop.expect_live(&expected);
    client.tell("shutdown");
    assert_eq!(server.tell("end"), "0");
    server.tell("close");
    client.tell("close");
    case("server and client are two processes, TCP", "-", tcptop, &expected);
}

#[test]
fn udp_server_and_client_are_two_processes() {
    let tcptop = Tcptop::start();
    let (mut server, mut client) = (Helper::new("e2e-udp-server"), Helper::new("e2e-udp-client"));
    let remote = server.tell("udp 127.0.0.1:0");
    let local = client.tell("udp 127.0.0.1:0");
    client.tell(&format!("send-to 800 {remote}"));
    server.tell("receive-from 800");
    server.tell(&format!("send-to 90 {local}"));
    client.tell("receive-from 90");
    let flow = Flow { proto: crate::rows::Proto::Udp, ..flow(&local, &remote) };
    let expected = [flow.moved(&client.owner, 90, 800), flow.flipped().moved(&server.owner, 800, 90)]
        .map(|end| end.packets(1, 1));
    tcptop.expect_live(&expected);
    client.leave();
    server.leave();
    case("server and client are two processes, UDP", "-", tcptop, &expected);
}

#[test]
fn a_forked_child_serves_and_closes() {
    let tcptop = Tcptop::start();
    let (mut server, mut client) = (Helper::new("e2e-parent"), Helper::new("e2e-peer"));
    let address = server.tell("listen 127.0.0.1:0");
    let local = client.tell(&format!("connect {address}"));
    server.tell("accept");
    // The child obeys from here on. The parent has closed its copy of the connection.
    let child = Owner::of(server.tell("fork").parse().expect("a number"));
    assert_ne!(child, server.owner);
    client.tell("send 3000");
    server.tell("receive 3000");
    server.tell("send 4000");
    client.tell("receive 4000");
    let flow = flow(&local, &address);
    let expected = [flow.moved(&client.owner, 4_000, 3_000), flow.flipped().moved(&child, 3_000, 4_000)];
    tcptop.expect_live(&expected);
    server.tell("close");
    client.tell("close");
    case("a forked child serves and closes", "-", tcptop, &expected);
}

#[test]
fn processes_that_are_gone_before_the_report() {
    let tcptop = Tcptop::every("2");
    let (mut server, mut client) = (Helper::new("e2e-brief-serve"), Helper::new("e2e-brief-call"));
    let address = server.tell("listen 127.0.0.1:0");
    let local = client.tell(&format!("connect {address}"));
    server.tell("accept");
    client.tell("send 42");
    server.tell("receive 42");
    let flow = flow(&local, &address);
    let expected = [flow.moved(&client.owner, 0, 42), flow.flipped().moved(&server.owner, 42, 0)];
    client.leave();
    server.leave();
    case("processes that are gone before the report", "-", tcptop, &expected);
}

#[test]
fn processes_that_are_killed() {
    let tcptop = Tcptop::start();
    let (mut server, mut client) = (Helper::new("e2e-survivor"), Helper::new("e2e-victim"));
    let address = server.tell("listen 127.0.0.1:0");
    let local = client.tell(&format!("connect {address}"));
    server.tell("accept");
    client.tell("send 5000");
    server.tell("receive 5000");
    let flow = flow(&local, &address);
    let expected = [flow.moved(&client.owner, 0, 5_000), flow.flipped().moved(&server.owner, 5_000, 0)];
    client.kill();
    assert_eq!(server.tell("end"), "0");
    server.tell("close");
    case("a process that is killed", "-", tcptop, &expected);
}

#[test]
fn closed_by_its_owner_after_the_connection_ended() {
    let tcptop = Tcptop::start();
    let mut client = Helper::new("e2e-caller");
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let local = client.tell(&format!("connect {address}"));
    let server = accept(&listener);
    client.tell("send 640");
    receive(&server, 640);
    let flow = Flow::tcp(local.parse().expect("an address"), address);
    let expected = [flow.moved(&client.owner, 0, 640), flow.flipped().moved(&Owner::me(), 640, 0)];
    drop(server);
    client.tell("close");
    case("closed by its process after its end", "-", tcptop, &expected);
}

#[test]
fn never_accepted() {
    let tcptop = Tcptop::start();
    let mut client = Helper::new("e2e-unheard");
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let local = client.tell(&format!("connect {address}"));
    client.tell("send 77");
    // No process has accepted the connection yet, so its row names the listener's process.
    let flow = Flow::tcp(local.parse().expect("an address"), address);
    let expected = [flow.moved(&client.owner, 0, 77), flow.flipped().moved(&Owner::me(), 77, 0)];
    tcptop.expect_live(&expected);
    drop(listener);
    client.tell("close");
    case("never accepted, owned by the listener's process", "-", tcptop, &expected);
}
