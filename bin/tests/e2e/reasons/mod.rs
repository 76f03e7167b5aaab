//! Tests the columns `reason` and `interface`: why a connection ended, and which interface carried it.

mod native;
mod queues_and_averages;

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use crate::{
    harness::{eventually, run},
    namespace,
    options::{Cells, csv},
    traffic::{
        Own, Pair, V4, V6, bound_tcp, close_by_reset, connect, datagram, drop_received, finish_sending,
        listen, raw_connect, receive_to_end, send, set_option, transfer, udp,
    },
};

const COLUMNS: [&str; 3] = ["--closed", "--columns", "event,proto,lport,rport,interface,reason"];

/// Returns the interface and the reason of the only closed row with this local port.
fn ended(rows: &[Cells], port: u16) -> (&str, &str) {
    let port = port.to_string();
    let mut mine = rows.iter().filter(|row| row["event"] == "closed" && row["lport"] == port);
    let row = mine.next().unwrap_or_else(|| panic!("no closed row of port {port}: {rows:?}"));
    assert!(mine.next().is_none(), "two rows of port {port}: {rows:?}");
    (&row["interface"], &row["reason"])
}

/// Makes a connection, and ends it by `end`. Returns the reasons of the client's end and the server's.
fn reasons(address: &str, end: impl FnOnce(Pair) + Send) -> [String; 2] {
    let mut ports = [0; 2];
    let rows = csv(&COLUMNS, || {
        let pair = Pair::new(address);
        pair.exchange(10, 20);
        ports = [pair.flow.local.port(), pair.flow.remote.port()];
        end(pair);
    });
    ports.map(|port| {
        let (interface, reason) = ended(&rows, port);
        assert_eq!(interface, "lo");
        reason.to_owned()
    })
}

/// Waits until a segment has arrived at the peer.
fn wait_for_arrival() {
    thread::sleep(Duration::from_millis(50));
}

#[test]
fn closed_by_fins() {
    for address in [V4, V6] {
        assert_eq!(reasons(address, |pair| drop((pair.client, pair.server))), ["fin"; 2]);
    }
    let half_closed = reasons(V4, |pair| {
        finish_sending(&pair.server);
        receive_to_end(&pair.client);
        drop(pair.client);
        receive_to_end(&pair.server);
    });
    assert_eq!(half_closed, ["fin"; 2]);
}

#[test]
fn reset_by_one_end() {
    let by_the_client = reasons(V4, |pair| {
        close_by_reset(pair.client);
        wait_for_arrival();
        drop(pair.server);
    });
    assert_eq!(by_the_client, ["reset-local", "reset-remote"]);
    let by_the_server = reasons(V6, |pair| {
        close_by_reset(pair.server);
        wait_for_arrival();
        drop(pair.client);
    });
    assert_eq!(by_the_server, ["reset-remote", "reset-local"]);
    let unread = reasons(V4, |pair| {
        send(&pair.server, 7);
        wait_for_arrival();
        drop(pair.client);
        wait_for_arrival();
        drop(pair.server);
    });
    assert_eq!(unread, ["reset-local", "reset-remote"]);
    let written_to_a_closed_peer = reasons(V4, |pair| {
        drop(pair.server);
        wait_for_arrival();
        send(&pair.client, 300);
        wait_for_arrival();
        drop(pair.client);
    });
    assert_eq!(
        written_to_a_closed_peer,
        ["reset-remote", "fin"],
        "the server had closed the connection before the reset"
    );
}

#[test]
fn reset_before_accept() {
    let mut ports = [0; 2];
    let rows = csv(&COLUMNS, || {
        let listener = listen(V4);
        let client = connect(listener.local_addr().expect("bound"));
        ports = [&client.local_addr(), &client.peer_addr()].map(|end| end.as_ref().expect("bound").port());
        drop(listener);
        wait_for_arrival();
        drop(client);
    });
    let [client, server] = ports.map(|port| {
        let of_connection = |row: &&Cells| row["lport"] == port.to_string() && row["rport"] != "0";
        let row = rows.iter().find(|row| row["event"] == "closed" && of_connection(row));
        row.unwrap_or_else(|| panic!("no row of {port}: {rows:?}"))["reason"].clone()
    });
    assert_eq!(client, "reset-remote");
    // The reason is unknown where sockets have no storage (CPUs other than x86-64 and 64-bit ARM from Linux 6.19 on).
    assert!(server == "reset-local" || server.is_empty(), "{server}");
}

/// A filter drops all segments that arrive at the peer, so it does not answer any more.
#[test]
fn the_peer_does_not_answer() {
    /// `TCP_USER_TIMEOUT` and `TCP_KEEPIDLE` to `TCP_KEEPCNT` of tcp(7).
    const USER_TIMEOUT: i32 = 18;
    const KEEPALIVE: [i32; 3] = [4, 5, 6];
    let fails = |pair: &Pair| {
        let error = || pair.client.take_error().expect("SO_ERROR");
        assert_eq!(eventually("the connection times out", error).kind(), ErrorKind::TimedOut);
    };
    let unanswered = reasons(V4, |pair| {
        set_option(pair.client.as_raw_fd(), libc::IPPROTO_TCP, USER_TIMEOUT, &500u32);
        drop_received(&pair.server, 0);
        send(&pair.client, 3);
        fails(&pair);
        close_by_reset(pair.server);
    });
    assert_eq!(unanswered, ["timeout", "reset-local"], "the peer does not acknowledge bytes");
    let [idle, _] = reasons(V4, |pair| {
        let client = pair.client.as_raw_fd();
        set_option(client, libc::SOL_SOCKET, libc::SO_KEEPALIVE, &1i32);
        KEEPALIVE.iter().for_each(|name| set_option(client, libc::IPPROTO_TCP, *name, &1i32));
        drop_received(&pair.server, 0);
        fails(&pair);
        close_by_reset(pair.server);
    });
    // The reason of the server is not checked: tcptop sees the reset at the server, and then the filter drops it.
    assert_eq!(idle, "timeout", "the peer does not answer keep-alive probes");
}

/// Connects without waiting, calls `wait`, and closes the socket. Returns the local port.
fn attempt((socket, local): (OwnedFd, SocketAddr), port: u16, wait: impl FnOnce(&TcpStream)) -> u16 {
    set_option(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_SYNCNT, &1i32);
    let stream = Own::new(TcpStream::from(socket));
    stream.set_nonblocking(true).expect("fcntl");
    let clone = OwnedFd::from(stream.try_clone().expect("dup"));
    let begun = raw_connect(&clone, port).expect_err("a non-blocking connect does not wait");
    assert_eq!(begun.raw_os_error(), Some(libc::EINPROGRESS));
    drop(clone);
    wait(&stream);
    drop(stream);
    local.port()
}

#[test]
fn connects_that_fail() {
    let fails = |stream: &TcpStream| {
        eventually("the connect fails", || stream.take_error().expect("SO_ERROR"));
    };
    let mut ports = [0; 3];
    let rows = csv(&COLUMNS, || {
        let (_nobody_listens, remote) = bound_tcp();
        let refused = attempt(bound_tcp(), remote.port(), fails);
        let (listener, remote) = bound_tcp();
        // SAFETY: no pointer is passed.
        let result = unsafe { libc::listen(listener.as_raw_fd(), 0) };
        assert_eq!(result, 0, "listen: {}", std::io::Error::last_os_error());
        let _listener = Own::new(TcpListener::from(listener));
        // A backlog of 0 has room for one connection. The listener never accepts it, so the next SYN gets no answer.
        let _first = connect(remote);
        let abandoned = attempt(bound_tcp(), remote.port(), |_| wait_for_arrival());
        ports = [refused, abandoned, attempt(bound_tcp(), remote.port(), fails)];
    });
    let found = ports.map(|port| ended(&rows, port));
    assert_eq!(found, [("lo", "refused"), ("lo", "abandoned"), ("lo", "timeout")]);
}

#[test]
fn interfaces_of_datagrams_and_of_other_namespaces() {
    let live = |rows: &[Cells], port: u16| -> String {
        let row = rows.iter().find(|row| row["lport"] == port.to_string());
        row.unwrap_or_else(|| panic!("no row of {port}: {rows:?}"))["interface"].clone()
    };
    let mut ports = [0; 2];
    let rows = csv(&COLUMNS, || {
        ports = [V4, V6].map(|address| {
            let (server, client) = (udp(address), udp(address));
            client.send_to(&[0; 9], server.local_addr().expect("bound")).expect("send");
            datagram(&server, 9);
            client.local_addr().expect("bound").port()
        });
        let inside = thread::spawn(|| {
            namespace::enter_new();
            drop(Pair::new("127.0.0.1:9"));
        });
        inside.join().expect("no panic");
    });
    assert_eq!(ports.map(|port| live(&rows, port)), ["lo", "lo"]);
    assert_eq!(live(&rows, 9), "lo", "lo is the first interface of every namespace");
}

#[test]
fn reports_of_chosen_interfaces() {
    let pair = Pair::new(V4);
    let shown = |list: &str| {
        let args = ["--csv", "-d", "0.2", "-1", "--columns", "lport,interface", "--interface", list];
        let port = pair.flow.local.port();
        // The connection must be active during the report.
        thread::scope(|scope| {
            let (done, wait) = mpsc::channel::<()>();
            scope.spawn(|| {
                let wait = wait;
                while wait.recv_timeout(Duration::from_millis(30)) == Err(RecvTimeoutError::Timeout) {
                    transfer(&pair.client, &pair.server, 1);
                }
            });
            let finished = run(&args);
            drop(done);
            finished.assert_success();
            finished.stdout.contains(&format!("{port},lo\n"))
        })
    };
    assert!(shown("lo") && shown("eth9,l*") && shown("!eth9"));
    assert!(!shown("!lo") && !shown("eth9"));
}
