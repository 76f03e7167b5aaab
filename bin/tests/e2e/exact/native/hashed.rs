//! Hosts whose kernel makes no storage for sockets: 32-bit ARM from Linux 6.19 on. A build for debugging behaves like that
//! where it is asked to.

use std::{thread, time::Duration};

use crate::{
    exact::case,
    harness::{Tcptop, is_static, tcptop},
    maps,
    rows::Flow,
    traffic::{V4, accept, allow_descriptors, connect, ends, listen, transfer},
};

/// Places of the flow table. Each connection on this machine takes two.
const PLACES: usize = 1024;

/// More than the sockets that others on this machine use meanwhile.
const FEW: usize = 50;

fn start() -> Option<Tcptop> {
    if is_static() {
        // The switch is not in a static binary. On the kernels in question, every test runs in this way.
        return None;
    }
    let flows = PLACES.to_string();
    let mut command = tcptop(&["--csv", "--closed", "-d", "0.2", "--flows", &flows]);
    command.env("TCPTOP_WITHOUT_STORAGE", "1");
    Some(Tcptop::run(&mut command).excusing("tables are full"))
}

/// Of more connections than there are places, none leaves anything behind in the table of sockets, and later ones have
/// their rows and owners.
#[test]
fn connections_after_more_than_fit() {
    let Some(tcptop) = start() else { return };
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let open = |_: usize| {
        let client = connect(address);
        (client, accept(&listener))
    };
    allow_descriptors(4_096);
    let many: Vec<_> = (0..PLACES / 2 + 300).map(open).collect();
    drop(many);
    thread::sleep(Duration::from_millis(700));
    let mut expected = Vec::new();
    for number in 0..50 {
        let (client, server) = open(number);
        transfer(&client, &server, 300);
        transfer(&server, &client, 200);
        let flow = Flow::tcp(client.local_addr().expect("bound"), address);
        expected.extend(ends(flow, 300, 200));
    }
    tcptop.expect_closed(&expected);
    thread::sleep(Duration::from_millis(700));
    let used = maps::in_use(tcptop.process().pid());
    assert!(used.iter().all(|(_, entries)| *entries <= FEW), "entries in use: {used:?}");
    case("more connections than fit, and 50 later ones, without socket storage", "-", tcptop, &expected);
}

/// The place of a listener used to be lost when its socket closed: the state change comes after the close.
#[test]
fn listeners_that_come_and_go() {
    let Some(tcptop) = start() else { return };
    for _ in 0..PLACES + 100 {
        drop(listen(V4));
    }
    thread::sleep(Duration::from_millis(700));
    let used = maps::in_use(tcptop.process().pid());
    assert!(used.iter().all(|(_, entries)| *entries <= FEW), "entries in use: {used:?}");
    tcptop.stop();
}
