//! How much is counted.

use super::csv;
use crate::{
    harness::run,
    traffic::{Own, V4, allow_descriptors, datagram, udp},
};

#[test]
fn flows_that_find_no_room_are_counted_and_said() {
    allow_descriptors(4_096);
    let server = udp(V4);
    let remote = server.local_addr().expect("bound");
    let clients: Vec<Own<std::net::UdpSocket>> = (0..1_100).map(|_| udp(V4)).collect();
    let process = super::Process::start(
        &mut crate::harness::tcptop(&["--csv", "--flows", "1024", "--total", "-d", "0.5", "-n", "6"]),
        |_| (),
    );
    let finished = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| process.wait());
        while !waiter.is_finished() {
            for client in &clients {
                client.send_to(&[0; 10], remote).expect("send");
                datagram(&server, 10);
            }
        }
        waiter.join().expect("no panic")
    });
    finished.assert_code(0);
    let rows = super::cells(&finished.stdout);
    assert!(rows.iter().any(|row| row["event"] == "untracked"), "{}", finished.stderr);
    assert!(finished.stderr.contains("tables are full"), "{}", finished.stderr);
    let flows = rows.iter().filter(|row| row["event"] == "live").map(|row| (&row["lport"], &row["rport"]));
    let flows: std::collections::HashSet<_> = flows.collect();
    assert!(flows.len() <= 1024, "{}", flows.len());
}

#[test]
fn more_flows_than_the_memory_would_give() {
    let rows = csv(&["--flows", "70000", "-q"], || ());
    assert_eq!(rows.len(), 1);
    run(&["--flows", "1023", "-1"]).assert_code(2);
}
