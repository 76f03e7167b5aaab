//! Tests sockets that one process passes to another: by SCM_RIGHTS of unix(7), or over exec.

use super::{case, line, owners::flow};
use crate::{
    harness::Tcptop,
    helper::Helper,
    rows::{Flow, Owner, Proto},
};

/// Opens a gate of the helper. Returns its name, which no other run of these tests uses.
fn open_gate(helper: &mut Helper) -> String {
    let gate = format!("tcptop-e2e-{}", helper.owner.pid);
    helper.tell(&format!("gate {gate}"));
    gate
}

fn close_both(server: &mut Helper, client: &mut Helper) {
    client.tell("shutdown");
    assert_eq!(server.tell("end"), "0");
    server.tell("close");
    client.tell("close");
}

fn exchange(server: &mut Helper, client: &mut Helper, up: u64, down: u64) {
    client.tell(&format!("send {up}"));
    server.tell(&format!("receive {up}"));
    server.tell(&format!("send {down}"));
    client.tell(&format!("receive {down}"));
}

#[test]
fn accepted_connection_to_another_process() {
    let tcptop = Tcptop::start();
    let (mut front, mut client) = (Helper::new("e2e-front"), Helper::new("e2e-client"));
    let mut back = Helper::new("e2e-back");
    let gate = open_gate(&mut back);
    let address = front.tell("listen 127.0.0.1:0");
    let local = client.tell(&format!("connect {address}"));
    front.tell("accept");
    exchange(&mut front, &mut client, 1_000, 2_000);
    front.tell(&format!("hand-stream {gate}"));
    front.tell("close");
    back.tell("take-stream");
    exchange(&mut back, &mut client, 10_000, 20_000);
    let flow = flow(&local, &address);
    let expected =
        [flow.moved(&client.owner, 22_000, 11_000), flow.flipped().moved(&back.owner, 11_000, 22_000)];
    close_both(&mut back, &mut client);
    case("SCM_RIGHTS: an accepted connection, owned by the process that closes it", "-", tcptop, &expected);
}

/// If two processes have a connection open, no hook shows which of them uses it. The closed row names the one that closes it
/// last.
#[test]
fn accepted_connection_shared_with_another_process() {
    let tcptop = Tcptop::start();
    let (mut front, mut client) = (Helper::new("e2e-front"), Helper::new("e2e-client"));
    let mut back = Helper::new("e2e-back");
    let gate = open_gate(&mut back);
    let address = front.tell("listen 127.0.0.1:0");
    let local = client.tell(&format!("connect {address}"));
    front.tell("accept");
    front.tell(&format!("hand-stream {gate}"));
    back.tell("take-stream");
    exchange(&mut back, &mut client, 10_000, 20_000);
    let flow = flow(&local, &address);
    let expected =
        [flow.moved(&client.owner, 20_000, 10_000), flow.flipped().moved(&front.owner, 10_000, 20_000)];
    close_both(&mut back, &mut client);
    front.tell("close");
    case(
        "SCM_RIGHTS: an accepted connection of two processes, owned by the one that closes it last",
        "-",
        tcptop,
        &expected,
    );
}

#[test]
fn listener_to_another_process() {
    let tcptop = Tcptop::start();
    let (mut front, mut client) = (Helper::new("e2e-front"), Helper::new("e2e-client"));
    let mut back = Helper::new("e2e-back");
    let gate = open_gate(&mut back);
    let address = front.tell("listen 127.0.0.1:0");
    front.tell(&format!("hand-listener {gate}"));
    back.tell("take-listener");
    let local = client.tell(&format!("connect {address}"));
    back.tell("accept");
    exchange(&mut back, &mut client, 333, 444);
    let flow = flow(&local, &address);
    let expected = [flow.moved(&client.owner, 444, 333), flow.flipped().moved(&back.owner, 333, 444)];
    tcptop.expect_live(&expected);
    close_both(&mut back, &mut client);
    case("SCM_RIGHTS: a listener, its connection owned by the process that accepts", "-", tcptop, &expected);
}

/// The owner of a connection is the process that called connect(2).
#[test]
fn connected_socket_to_another_process() {
    let tcptop = Tcptop::start();
    let (mut server, mut dialer) = (Helper::new("e2e-server"), Helper::new("e2e-dialer"));
    let mut user = Helper::new("e2e-user");
    let gate = open_gate(&mut user);
    let address = server.tell("listen 127.0.0.1:0");
    let local = dialer.tell(&format!("connect {address}"));
    server.tell("accept");
    dialer.tell(&format!("hand-stream {gate}"));
    dialer.tell("close");
    user.tell("take-stream");
    exchange(&mut server, &mut user, 7_000, 70);
    let flow = flow(&local, &address);
    let expected = [flow.moved(&dialer.owner, 70, 7_000), flow.flipped().moved(&server.owner, 7_000, 70)];
    close_both(&mut server, &mut user);
    case("SCM_RIGHTS: a connection, owned by the process that called connect(2)", "-", tcptop, &expected);
}

/// The flow shows the newest sender.
#[test]
fn udp_socket_to_another_process() {
    pass_udp_socket("SCM_RIGHTS: a UDP socket, owned by the process that sends", true);
}

/// Like a server that inetd starts for the first datagram.
#[test]
fn udp_socket_to_another_process_within_an_interval() {
    pass_udp_socket("SCM_RIGHTS: a UDP socket that is handed over within an interval", false);
}

/// Hands a UDP socket that has received a datagram to a process that answers. `in_between`: not before a report has shown the
/// first owner.
fn pass_udp_socket(name: &str, in_between: bool) {
    let tcptop = if in_between { Tcptop::start() } else { Tcptop::every("3600") };
    let (mut front, mut client) = (Helper::new("e2e-front"), Helper::new("e2e-client"));
    let mut back = Helper::new("e2e-back");
    let gate = open_gate(&mut back);
    let remote = front.tell("udp 127.0.0.1:0");
    let local = client.tell("udp 127.0.0.1:0");
    client.tell(&format!("send-to 100 {remote}"));
    front.tell("receive-from 100");
    let flow = Flow { proto: Proto::Udp, ..flow(&local, &remote) };
    if in_between {
        tcptop.expect_live(&[flow.flipped().moved(&front.owner, 100, 0)]);
    }
    front.tell(&format!("hand-udp {gate}"));
    back.tell("take-udp");
    back.tell(&format!("send-to 50 {local}"));
    client.tell("receive-from 50");
    let expected = [flow.moved(&client.owner, 50, 100), flow.flipped().moved(&back.owner, 100, 50)]
        .map(|end| end.packets(1, 1));
    back.leave();
    client.leave();
    if in_between {
        case(name, "-", tcptop, &expected);
    } else {
        // The interval does not end: the last report comes when tcptop ends.
        let rows = tcptop.stop();
        expected.iter().for_each(|end| end.assert_ended(&rows));
        line(name, "-", &expected);
    }
}

/// Like inetd: a child inherits an accepted connection and executes another program.
#[test]
fn accepted_connection_over_exec() {
    let tcptop = Tcptop::start();
    let (mut server, mut client) = (Helper::new("e2e-inetd"), Helper::new("e2e-client"));
    let address = server.tell("listen 127.0.0.1:0");
    let local = client.tell(&format!("connect {address}"));
    server.tell("accept");
    let pid = server.tell("fork").parse().expect("a number");
    server.exec("e2e-service");
    let child = Owner { pid, comm: "e2e-service".into() };
    exchange(&mut server, &mut client, 4_000, 5_000);
    let flow = flow(&local, &address);
    let expected = [flow.moved(&client.owner, 5_000, 4_000), flow.flipped().moved(&child, 4_000, 5_000)];
    tcptop.expect_live(&expected);
    close_both(&mut server, &mut client);
    case("an accepted connection over fork and exec", "-", tcptop, &expected);
}

/// The row shows the name that the process had when it called connect(2).
#[test]
fn connected_socket_over_exec() {
    let tcptop = Tcptop::start();
    let (mut server, mut client) = (Helper::new("e2e-server"), Helper::new("e2e-dialer"));
    let address = server.tell("listen 127.0.0.1:0");
    let local = client.tell(&format!("connect {address}"));
    server.tell("accept");
    let dialer = client.owner.clone();
    client.exec("e2e-user");
    exchange(&mut server, &mut client, 4_000, 5_000);
    let flow = flow(&local, &address);
    let expected = [flow.moved(&dialer, 5_000, 4_000), flow.flipped().moved(&server.owner, 4_000, 5_000)];
    close_both(&mut server, &mut client);
    case("a connection over exec, under its name at connect(2)", "-", tcptop, &expected);
}
