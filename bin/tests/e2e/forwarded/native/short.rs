//! Tests flows that begin and end between two readings of connection tracking.

use super::router::{CLIENT, Router, SERVER, sums};
use crate::{
    options::connections,
    traffic::{Own, Pair, connect, datagram, listen},
};

/// The number of connections.
const COUNT: u64 = 2_000;

/// Connection tracking removes an entry one second after the connection has ended, and the report comes later.
#[test]
fn connections_that_end_before_the_report() {
    let router = Router::new("");
    router.set("net/netfilter/nf_conntrack_tcp_timeout_time_wait", "1");
    let rows = router.watch(&[], || {
        let listener = router.server.inside(|| listen(&format!("{SERVER}:0")));
        let address = listener.local_addr().expect("bound");
        router.client.inside(|| {
            for _ in 0..COUNT {
                let client = connect(address);
                let listener = Own::new(listener.try_clone().expect("dup"));
                Pair::accepted(listener, client).exchange(100, 1_000);
            }
        });
        // Connection tracking removes expired entries in intervals, and when it looks an entry up.
        std::thread::sleep(std::time::Duration::from_secs(3));
    });
    let rows = connections(&rows);
    assert_eq!(rows.len() as u64, COUNT);
    assert!(rows.iter().all(|row| row["event"] == "closed" && row["comm"] == "(forwarded)"));
    let (up, down) = router.forwarded();
    assert_eq!(sums(rows), (down, up));
}

#[test]
fn udp_flows_that_expire_before_the_report() {
    let router = Router::new("");
    router.set("net/netfilter/nf_conntrack_udp_timeout", "1");
    let rows = router.watch(&[], || {
        for _ in 0..100 {
            let (client, server) = router.sockets(CLIENT, SERVER);
            client.send_to(&[0; 50], server.local_addr().expect("bound")).expect("send");
            let from = datagram(&server, 50);
            server.send_to(&[0; 500], from).expect("send");
            datagram(&client, 500);
        }
        std::thread::sleep(std::time::Duration::from_secs(3));
    });
    let rows = connections(&rows);
    assert_eq!(rows.len(), 100);
    assert_eq!(sums(rows), (100 * 528, 100 * 78));
}
