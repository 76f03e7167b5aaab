//! Tests connections whose owner exits while its child has inherited the socket. The child becomes the owner.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use super::log::{Log, is_live, owner};
use crate::{
    harness::live_limit,
    helper::Helper,
    rows::Owner,
    traffic::{V4, accept, connect, listen, receive},
};

/// Returns the time within which tcptop must name the child. It checks at most once a second whether a process has exited, and
/// reads /proc for the next report. After a read that took long, as on an emulated machine, it waits up to ten seconds.
fn naming_limit() -> Duration {
    Duration::from_secs(8).max(live_limit())
}

/// Returns whether a row names this process.
fn is_of(row: &crate::options::Cells, process: &Owner) -> bool {
    owner(row) == (&*process.pid.to_string(), &*process.comm)
}

/// Has the child send until a live row names it.
fn send_until_named(log: &Log, helper: &mut Helper, peer: &std::net::TcpStream, ends: (&str, &str)) {
    let begin = Instant::now();
    loop {
        helper.tell("send 10");
        receive(peer, 10);
        let rows = log.rows();
        let newest = rows.iter().rfind(|row| is_live(row, ends.0, ends.1));
        if newest.is_some_and(|row| is_of(row, &helper.owner)) {
            println!("named after {:?}", begin.elapsed());
            return;
        }
        assert!(
            begin.elapsed() < naming_limit(),
            "the newest row does not name {:?}: {newest:?}",
            helper.owner
        );
        sleep(Duration::from_millis(100));
    }
}

/// Panics unless the closed row names this process.
fn assert_closed_by(log: Log, child: &Owner, ends: (&str, &str)) {
    let closed = log.closed(ends.0, ends.1);
    assert!(is_of(&closed, child), "{child:?}: {closed:?}");
    log.stop();
}

#[test]
fn an_outgoing_connection() {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let log = Log::start(&["-d", "0.3", "-P", &address.port().to_string()]);
    let mut client = Helper::new("e2e-parent");
    let (local, remote) = (client.tell(&format!("connect {address}")), address.to_string());
    let server = accept(&listener);
    client.tell("send 5");
    receive(&server, 5);
    let first = log.expect("a live row of the process that connects", |row| is_live(row, &local, &remote));
    assert!(is_of(&first, &client.owner), "{first:?}");
    let child = client.replace_by_child("e2e-child");
    send_until_named(&log, &mut client, &server, (&local, &remote));
    client.tell("close");
    drop(server);
    assert_closed_by(log, &child, (&local, &remote));
}

#[test]
fn an_accepted_connection() {
    let mut server = Helper::new("e2e-parent");
    let address = server.tell("listen 127.0.0.1:0");
    let log = Log::start(&["-d", "0.3"]);
    let client = connect(address.parse().expect("an address"));
    let remote = client.local_addr().expect("bound").to_string();
    server.tell("accept");
    server.tell("send 5");
    receive(&client, 5);
    let first = log.expect("a live row of the process that accepts", |row| is_live(row, &address, &remote));
    assert!(is_of(&first, &server.owner), "{first:?}");
    let child = server.replace_by_child("e2e-child");
    send_until_named(&log, &mut server, &client, (&address, &remote));
    server.tell("close");
    drop(client);
    assert_closed_by(log, &child, (&address, &remote));
}

#[test]
fn an_idle_connection() {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let log = Log::text(address.port());
    let mut client = Helper::new("e2e-parent");
    let (local, remote) = (client.tell(&format!("connect {address}")), address.to_string());
    let _server = accept(&listener);
    log.expect_line(&[&local, &remote, &client.owner.pid.to_string(), "e2e-parent"]);
    let child = client.replace_by_child("e2e-child");
    log.expect_line(&[&local, &remote, &child.pid.to_string(), "e2e-child"]);
}

#[test]
fn an_idle_connection_older_than_tcptop() {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let mut client = Helper::new("e2e-parent");
    let (local, remote) = (client.tell(&format!("connect {address}")), address.to_string());
    let _server = accept(&listener);
    let log = Log::text(address.port());
    log.expect_line(&[&local, &remote, &client.owner.pid.to_string(), "e2e-parent"]);
    let child = client.replace_by_child("e2e-child");
    log.expect_line(&[&local, &remote, &child.pid.to_string(), "e2e-child"]);
}

#[test]
fn a_connection_older_than_tcptop() {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let mut client = Helper::new("e2e-parent");
    let (local, remote) = (client.tell(&format!("connect {address}")), address.to_string());
    let server = accept(&listener);
    let log = Log::start(&["-d", "0.3", "-P", &address.port().to_string()]);
    let child = client.replace_by_child("e2e-child");
    send_until_named(&log, &mut client, &server, (&local, &remote));
    client.tell("close");
    drop(server);
    assert_closed_by(log, &child, (&local, &remote));
}

#[test]
fn an_older_connection_without_further_traffic() {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let mut client = Helper::new("e2e-parent");
    let (local, remote) = (client.tell(&format!("connect {address}")), address.to_string());
    let server = accept(&listener);
    let log = Log::start(&["-d", "0.3", "-P", &address.port().to_string()]);
    let child = client.replace_by_child("e2e-child");
    sleep(Duration::from_secs(1));
    client.tell("close");
    drop(server);
    assert_closed_by(log, &child, (&local, &remote));
}
