//! Tests network namespaces in which the same addresses belong to different sockets.

use std::thread;

use super::log::{Log, is_closed, owner};
use crate::{
    helper::Helper,
    namespace,
    options::Cells,
    privilege::has_storage,
    traffic::{close_by_reset, connect, send},
};

const LISTENER: &str = "0.0.0.0:8080";
const SERVER: &str = "127.0.0.1:8080";
const CLIENT: &str = "127.0.0.1:5000";

/// Starts two servers in different network namespaces. Both listen on the same port.
fn servers() -> [Helper; 2] {
    ["e2e-netns-one", "e2e-netns-two"].map(|name| {
        let mut server = Helper::new(name);
        server.tell("namespace");
        server.tell(&format!("listen {LISTENER}"));
        server
    })
}

/// Connects in a server's namespace, sends, and resets. Returns the client's address.
fn reset_connection_to(server: &Helper) -> String {
    let pid = server.owner.pid;
    let client = thread::spawn(move || {
        namespace::enter(pid);
        let client = connect(SERVER.parse().expect("an address"));
        let address = client.local_addr().expect("bound").to_string();
        send(&client, 333);
        close_by_reset(client);
        address
    });
    client.join().expect("no panic")
}

/// Makes a connection to each server that is reset before the server accepts it. Returns the closed rows of the servers' ends.
fn reset_before_accept(log: Log, servers: &[Helper; 2]) -> [Cells; 2] {
    let clients = servers.each_ref().map(reset_connection_to);
    let rows = clients.map(|client| log.closed(SERVER, &client));
    log.stop();
    rows
}

#[test]
fn listeners_younger_than_tcptop() {
    if !has_storage("a connection does not know its listener (bin/doc/owners.md)") {
        return;
    }
    let log = Log::start(&["-d", "0.5", "-L", "8080"]);
    let servers = servers();
    let rows = reset_before_accept(log, &servers);
    for (row, server) in rows.iter().zip(&servers) {
        let pid = server.owner.pid.to_string();
        assert_eq!((owner(row), &*row["rx_bytes"]), ((&*pid, &*server.owner.comm), "333"), "{rows:?}");
    }
}

#[test]
fn listeners_older_than_tcptop() {
    let servers = servers();
    let log = Log::start(&["-d", "0.5", "-L", "8080"]);
    let rows = reset_before_accept(log, &servers);
    for (row, server) in rows.iter().zip(&servers) {
        let pid = server.owner.pid.to_string();
        let own = owner(row) == (&*pid, &*server.owner.comm);
        assert!(own || owner(row) == ("", ""), "{rows:?}");
    }
}

#[test]
fn older_connections_with_the_same_ends() {
    let mut servers = servers();
    let names = ["e2e-inside-one", "e2e-inside-two"];
    let mut clients = names.map(Helper::new);
    for (server, client) in servers.iter_mut().zip(&mut clients) {
        client.tell(&format!("enter-network {}", server.owner.pid));
        client.tell(&format!("connect-from {CLIENT} {SERVER}"));
        assert_eq!(server.tell("accept"), CLIENT);
    }
    let log = Log::start(&["-d", "0.5", "-P", "8080"]);
    let amounts = ["1000", "2000"];
    for (bytes, (server, client)) in amounts.iter().zip(servers.iter_mut().zip(&mut clients)) {
        client.tell(&format!("send {bytes}"));
        server.tell(&format!("receive {bytes}"));
    }
    for bytes in amounts {
        log.expect(bytes, |row| row["event"] == "live" && row["tx_bytes"] == bytes);
    }
    for (server, client) in servers.iter_mut().zip(&mut clients) {
        client.tell("close");
        assert_eq!(server.tell("end"), "0");
        server.tell("close");
    }
    for bytes in amounts {
        for (local, remote, moved) in [(CLIENT, SERVER, "tx_bytes"), (SERVER, CLIENT, "rx_bytes")] {
            log.expect(bytes, |row| is_closed(row, local, remote) && row[moved] == bytes);
        }
    }
    let rows = log.stop();
    for (bytes, (server, client)) in amounts.iter().zip(servers.iter().zip(&clients)) {
        for (moved, helper) in [("tx_bytes", client), ("rx_bytes", server)] {
            for row in rows.iter().filter(|row| row[moved] == *bytes) {
                let pid = helper.owner.pid.to_string();
                let own = owner(row) == (&*pid, &*helper.owner.comm);
                assert!(own || owner(row) == ("", ""), "{:?}: {row:?}", helper.owner);
            }
        }
    }
}
