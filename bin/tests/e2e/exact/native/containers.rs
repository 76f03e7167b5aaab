//! Tests a connection of a process with its own network and PID namespace.

use crate::{
    exact::{case, owners::flow},
    harness::Tcptop,
    helper::Helper,
    rows::Owner,
};

/// The row shows the process's id outside of its PID namespace.
#[test]
fn connection_inside_a_container() {
    let tcptop = Tcptop::start();
    let mut contained = Helper::new("e2e-contained");
    contained.tell("contain");
    let owner = Owner { pid: contained.tell("fork").parse().expect("a number"), ..contained.owner.clone() };
    assert_eq!(contained.tell("pid"), "1");
    // The process connects to itself through the backlog, because it obeys the order to accept after the one to connect.
    let address = contained.tell("listen 127.0.0.1:13");
    let local = contained.tell(&format!("connect {address}"));
    contained.tell("send 90000");
    contained.tell("shutdown");
    contained.tell("accept");
    assert_eq!(contained.tell("end"), "90000");
    contained.tell("close");
    let flow = flow(&local, &address);
    let expected = [flow.moved(&owner, 0, 90_000), flow.flipped().moved(&owner, 90_000, 0)];
    case("a connection inside a container", "-", tcptop, &expected);
}
