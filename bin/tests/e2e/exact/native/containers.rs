//! Connections of processes that are in a network and a PID namespace of their own.

use crate::{
    exact::{case, owners::flow},
    harness::Tcptop,
    helper::Helper,
    rows::Owner,
};

/// The owner has the id that it has outside.
#[test]
fn connection_inside_a_container() {
    let tcptop = Tcptop::start();
    let mut contained = Helper::new("e2e-contained");
    contained.tell("contain");
    let owner = Owner { pid: contained.tell("fork").parse().expect("a number"), ..contained.owner.clone() };
    assert_eq!(contained.tell("pid"), "1");
    // To itself, as the order to accept has to come after the one to connect: through the backlog.
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
