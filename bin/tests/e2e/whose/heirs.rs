//! An owner that has exited while its child holds the socket.

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

/// Whether a process has exited is asked at most once in a second, and /proc is asked in the report after it. After a look
/// at /proc that took long, as it does on an emulated machine, it is left alone for up to ten seconds.
fn soon() -> Duration {
    Duration::from_secs(8).max(live_limit())
}

fn is_of(row: &crate::options::Cells, process: &Owner) -> bool {
    owner(row) == (&*process.pid.to_string(), &*process.comm)
}

/// The heir keeps sending until a live row is its own.
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
        assert!(begin.elapsed() < soon(), "not {:?}: {newest:?}", helper.owner);
        sleep(Duration::from_millis(100));
    }
}

fn assert_closed_by(log: Log, heir: &Owner, ends: (&str, &str)) {
    let closed = log.closed(ends.0, ends.1);
    assert!(is_of(&closed, heir), "{heir:?}: {closed:?}");
    log.stop();
}

#[test]
fn of_a_made_connection() {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let log = Log::start(&["-d", "0.3", "-P", &address.port().to_string()]);
    let mut client = Helper::new("e2e-dying");
    let (local, remote) = (client.tell(&format!("connect {address}")), address.to_string());
    let server = accept(&listener);
    client.tell("send 5");
    receive(&server, 5);
    let first = log.expect("of the one who connects", |row| is_live(row, &local, &remote));
    assert!(is_of(&first, &client.owner), "{first:?}");
    let heir = client.replace_by_child("e2e-heir");
    send_until_named(&log, &mut client, &server, (&local, &remote));
    client.tell("close");
    drop(server);
    assert_closed_by(log, &heir, (&local, &remote));
}

#[test]
fn of_an_accepted_connection() {
    let mut server = Helper::new("e2e-dying");
    let address = server.tell("listen 127.0.0.1:0");
    let log = Log::start(&["-d", "0.3"]);
    let client = connect(address.parse().expect("an address"));
    let remote = client.local_addr().expect("bound").to_string();
    server.tell("accept");
    server.tell("send 5");
    receive(&client, 5);
    let first = log.expect("of the one who accepts", |row| is_live(row, &address, &remote));
    assert!(is_of(&first, &server.owner), "{first:?}");
    let heir = server.replace_by_child("e2e-heir");
    send_until_named(&log, &mut server, &client, (&address, &remote));
    server.tell("close");
    drop(client);
    assert_closed_by(log, &heir, (&address, &remote));
}

#[test]
fn of_an_idle_connection() {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let log = Log::text(address.port());
    let mut client = Helper::new("e2e-dying");
    let (local, remote) = (client.tell(&format!("connect {address}")), address.to_string());
    let _server = accept(&listener);
    log.expect_line(&[&local, &remote, &client.owner.pid.to_string(), "e2e-dying"]);
    let heir = client.replace_by_child("e2e-heir");
    log.expect_line(&[&local, &remote, &heir.pid.to_string(), "e2e-heir"]);
}

#[test]
fn of_an_idle_connection_older_than_tcptop() {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let mut client = Helper::new("e2e-dying");
    let (local, remote) = (client.tell(&format!("connect {address}")), address.to_string());
    let _server = accept(&listener);
    let log = Log::text(address.port());
    log.expect_line(&[&local, &remote, &client.owner.pid.to_string(), "e2e-dying"]);
    let heir = client.replace_by_child("e2e-heir");
    log.expect_line(&[&local, &remote, &heir.pid.to_string(), "e2e-heir"]);
}

#[test]
fn of_a_connection_older_than_tcptop() {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let mut client = Helper::new("e2e-dying");
    let (local, remote) = (client.tell(&format!("connect {address}")), address.to_string());
    let server = accept(&listener);
    let log = Log::start(&["-d", "0.3", "-P", &address.port().to_string()]);
    let heir = client.replace_by_child("e2e-heir");
    send_until_named(&log, &mut client, &server, (&local, &remote));
    client.tell("close");
    drop(server);
    assert_closed_by(log, &heir, (&local, &remote));
}

#[test]
fn of_an_older_connection_that_never_moves_again() {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let mut client = Helper::new("e2e-dying");
    let (local, remote) = (client.tell(&format!("connect {address}")), address.to_string());
    let server = accept(&listener);
    let log = Log::start(&["-d", "0.3", "-P", &address.port().to_string()]);
    let heir = client.replace_by_child("e2e-heir");
    sleep(Duration::from_secs(1));
    client.tell("close");
    drop(server);
    assert_closed_by(log, &heir, (&local, &remote));
}
