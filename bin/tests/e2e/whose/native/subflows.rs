//! Tests the subflows of MPTCP. A worker of the kernel connects all but the first, so no call of a process shows their owner.

use std::{thread::sleep, time::Duration};

use crate::{
    exact::native::netns::Netns,
    helper::Helper,
    options::Cells,
    whose::log::{Log, owner},
};

const SERVER: &str = "10.99.1.2:8090";

/// Creates two network namespaces with two links between them. The client's end uses both.
fn linked_namespaces() -> [Netns; 2] {
    let [near, far] = ["near", "far"].map(Netns::new);
    for link in 1..=2 {
        near.ip(&format!("link add c{link} type veth peer name s{link} netns {}", far.name()));
        near.ip(&format!("addr add 10.99.{link}.1/24 dev c{link}"));
        far.ip(&format!("addr add 10.99.{link}.2/24 dev s{link}"));
        near.ip(&format!("link set c{link} up"));
        far.ip(&format!("link set s{link} up"));
    }
    for netns in [&near, &far] {
        netns.ip("mptcp limits set subflow 2 add_addr_accepted 2");
    }
    near.ip("mptcp endpoint add 10.99.2.1 dev c2 subflow");
    [near, far]
}

/// Panics unless all rows name this helper.
fn assert_all_of(rows: &[Cells], helper: &Helper) {
    let pid = helper.owner.pid.to_string();
    for row in rows {
        assert_eq!(owner(row), (&*pid, &*helper.owner.comm), "{row:?} of {rows:#?}");
    }
}

/// Returns the closed rows with the server's port at this end, which is `local` or `remote`.
fn closed(rows: &[Cells], end: &str) -> Vec<Cells> {
    let of = |row: &&Cells| row["event"] == "closed" && row[end].ends_with(":8090");
    rows.iter().filter(of).cloned().collect()
}

#[test]
fn both_subflows_of_a_connection() {
    let [near, far] = linked_namespaces();
    let log = Log::start(&["-d", "0.5", "-P", "8090"]);
    let mut server = far.inside(|| Helper::new("e2e-mptcp-serve"));
    let mut client = near.inside(|| Helper::new("e2e-mptcp-call"));
    server.tell(&format!("listen-mptcp {SERVER}"));
    client.tell(&format!("connect-mptcp {SERVER}"));
    server.tell("accept");
    for _ in 0..10 {
        client.tell("send 500000");
        server.tell("receive 500000");
        sleep(Duration::from_millis(100));
    }
    client.tell("shutdown");
    assert_eq!(server.tell("end"), "0");
    server.tell("close");
    client.tell("close");
    for local in ["10.99.1.1:", "10.99.2.1:"] {
        log.expect(local, |row| row["event"] == "closed" && row["local"].starts_with(local));
        log.expect(local, |row| row["event"] == "closed" && row["remote"].starts_with(local));
    }
    let rows = log.stop();
    assert!(!rows.iter().any(|row| row["comm"].starts_with("kworker")), "{rows:#?}");
    let (made, accepted) = (closed(&rows, "remote"), closed(&rows, "local"));
    assert_eq!((made.len(), accepted.len()), (2, 2), "{rows:#?}");
    assert_all_of(&made, &client);
    assert_all_of(&accepted, &server);
}

#[test]
fn short_connections() {
    const COUNT: usize = 20;
    let [near, far] = linked_namespaces();
    near.ip("mptcp endpoint flush");
    let log = Log::start(&["-d", "2", "-P", "8090"]);
    let mut server = far.inside(|| Helper::new("e2e-mptcp-serve"));
    let mut client = near.inside(|| Helper::new("e2e-mptcp-call"));
    server.tell(&format!("listen-mptcp {SERVER}"));
    for _ in 0..COUNT {
        client.tell(&format!("connect-mptcp {SERVER}"));
        server.tell("accept");
        client.tell("send 300");
        client.tell("shutdown");
        assert_eq!(server.tell("end"), "300");
        server.tell("close");
        client.tell("close");
    }
    let begin = std::time::Instant::now();
    while closed(&log.rows(), "local").len() < COUNT && begin.elapsed() < Duration::from_secs(8) {
        sleep(Duration::from_millis(100));
    }
    let rows = log.stop();
    let (made, accepted) = (closed(&rows, "remote"), closed(&rows, "local"));
    assert_eq!((made.len(), accepted.len()), (COUNT, COUNT), "{rows:#?}");
    assert_all_of(&made, &client);
    assert_all_of(&accepted, &server);
}
