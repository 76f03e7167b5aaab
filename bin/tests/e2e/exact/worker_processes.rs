//! Tests servers in which several processes or threads share one port.

use std::thread;

use super::case;
use crate::{
    harness::Tcptop,
    helper::Helper,
    rows::{End, Flow, Owner},
    traffic::{Own, Pair, V4, connect, finish_sending, receive_to_end, send},
    workers::{GREETING, greeted},
};

/// Connects `count` clients to this address. Returns each with its flow.
fn clients(count: usize, address: &str) -> Vec<(Own<std::net::TcpStream>, Flow)> {
    let address = address.parse().expect("an address");
    let client = || {
        let stream = connect(address);
        let flow = Flow::tcp(stream.local_addr().expect("bound"), address);
        (stream, flow)
    };
    (0..count).map(|_| client()).collect()
}

/// Each client sends a different number of bytes to the process that has greeted it. Returns both ends of each connection.
fn exchange(clients: &[(Own<std::net::TcpStream>, Flow)], comm: &str) -> Vec<End> {
    let mut ends = Vec::new();
    for (bytes, (client, flow)) in (1_000..).zip(clients) {
        let server = Owner { pid: greeted(client), comm: comm.into() };
        send(client, bytes);
        ends.push(flow.moved(&Owner::me(), GREETING, bytes));
        ends.push(flow.flipped().moved(&server, bytes, GREETING));
    }
    ends
}

/// Returns how many processes own a server's end.
fn count_servers(ends: &[End]) -> usize {
    let mut pids: Vec<u32> = ends.iter().skip(1).step_by(2).map(|end| end.owner.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    pids.len()
}

/// Half-closes each connection, and closes the clients' ends.
fn close_clients(clients: Vec<(Own<std::net::TcpStream>, Flow)>) {
    for (client, _) in &clients {
        finish_sending(client);
    }
}

#[test]
fn workers_with_separate_listeners() {
    let tcptop = Tcptop::start();
    let mut workers: Vec<Helper> = (0..4).map(|_| Helper::new("e2e-worker")).collect();
    let mut port = V4.to_string();
    for worker in &mut workers {
        port = worker.tell(&format!("listen-beside {port}"));
    }
    let clients = clients(40, &port);
    let greeted = workers.iter_mut().map(|worker| worker.tell("greet").parse::<usize>().expect("a number"));
    assert_eq!(greeted.sum::<usize>(), 40);
    let expected = exchange(&clients, "e2e-worker");
    assert!(count_servers(&expected) > 1, "one worker accepted all connections");
    tcptop.expect_live(&expected);
    close_clients(clients);
    workers.iter_mut().for_each(|worker| drop(worker.tell("dismiss")));
    case("SO_REUSEPORT: four workers, a listener each", "-", tcptop, &expected);
}

#[test]
fn children_accept_from_their_parent_s_listener() {
    let tcptop = Tcptop::start();
    let mut server = Helper::new("e2e-prefork");
    let port = server.tell(&format!("listen {V4}"));
    server.tell("prefork 3");
    // A child accepts no other connection before the one that it has ends.
    let first = clients(3, &port);
    let mut expected = exchange(&first, "e2e-prefork");
    assert_eq!(count_servers(&expected), 3);
    assert!(expected.iter().all(|end| end.owner != server.owner));
    tcptop.expect_live(&expected);
    close_clients(first);
    let second = clients(3, &port);
    expected.extend(exchange(&second, "e2e-prefork"));
    close_clients(second);
    case("prefork: three children accept", "-", tcptop, &expected);
}

#[test]
fn one_process_with_named_threads() {
    let tcptop = Tcptop::start();
    let named = |name: &str| thread::Builder::new().name(name.into());
    let mut expected = Vec::new();
    for index in 0..4 {
        let maker = named(&format!("maker-{index}")).spawn(|| Pair::new(V4)).expect("a thread");
        let pair = maker.join().expect("no panic");
        expected.extend(pair.ends(5_000 + index, 600));
        let user = named(&format!("user-{index}")).spawn(move || {
            pair.exchange(5_000 + index, 600);
            pair
        });
        let pair = user.expect("a thread").join().expect("no panic");
        let closer = named(&format!("closer-{index}")).spawn(move || {
            finish_sending(&pair.client);
            assert_eq!(receive_to_end(&pair.server), 0);
        });
        closer.expect("a thread").join().expect("no panic");
    }
    case("threads of one process make, use and close", "-", tcptop, &expected);
}
