//! Tests many more connections within one interval than the table has places.

use std::{
    net::{Ipv4Addr, TcpListener},
    thread,
    time::{Duration, Instant},
};

use crate::{
    exact::line,
    lives::Lives,
    namespace,
    options::during,
    rows::{End, Flow},
    traffic::{accept, connect, ends, receive, receive_to_end, send},
};

/// The number of connections that each of two threads makes, and the most per second.
const COUNT: u32 = 15_000;
const RATE: u32 = 2_500;

/// Makes connections to this address one after another, and uses and closes each. Returns both ends of all of them.
fn make_connections(to: Ipv4Addr) -> Vec<End> {
    namespace::enter_new();
    // The kernel must not reuse a port, because the rows of two connections with the same ports could not be told apart.
    std::fs::write("/proc/sys/net/ipv4/tcp_tw_reuse", "0").expect("the namespace has this sysctl");
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "1024 65535")
        .expect("the namespace has this sysctl");
    let listener = TcpListener::bind((to, 1_000)).expect("listen");
    let address = listener.local_addr().expect("bound");
    let (begin, mut made) = (Instant::now(), Vec::new());
    for index in 0..COUNT {
        let due = Duration::from_secs(1) * index / RATE;
        thread::sleep(due.saturating_sub(begin.elapsed()));
        let (client, server) = (connect(address), accept(&listener));
        let flow = Flow::tcp(client.local_addr().expect("bound"), address);
        let [up, down] = [1 + u64::from(index % 1_400), u64::from(index % 7)];
        send(&client, up);
        receive(&server, up);
        send(&server, down);
        receive(&client, down);
        // The end that closes first keeps its port in TIME_WAIT for a minute.
        drop(client);
        assert_eq!(receive_to_end(&server), 0);
        made.extend(ends(flow, up, down));
    }
    made
}

#[test]
fn connections_beyond_the_places_of_the_table() {
    let mut expected = Vec::new();
    let options = ["--csv", "--closed", "--total", "-a", "127.4.0.0/16"];
    let mut took = Duration::ZERO;
    let finished = during(&[&options[..], &["--flows", "4096", "-d", "60"]].concat(), || {
        let begin = Instant::now();
        thread::scope(|scope| {
            let servers = [Ipv4Addr::new(127, 4, 0, 1), Ipv4Addr::new(127, 4, 0, 2)];
            let makers = servers.map(|server| scope.spawn(move || make_connections(server)));
            makers.into_iter().for_each(|maker| expected.extend(maker.join().expect("no panic")));
        });
        took = begin.elapsed();
    });
    assert!(took < Duration::from_secs(15), "the test must make 2,000 connections per second: {took:?}");
    let lives = Lives::of(&finished.stdout);
    lives.assert_exact(&expected);
    let once = expected.iter().filter(|end| lives.ends(&end.flow) == 1).count();
    assert_eq!(once, expected.len(), "each end has one closed row");
    line("30,000 connections within one report, in a table of 4,096 places", "-", &expected);
}
