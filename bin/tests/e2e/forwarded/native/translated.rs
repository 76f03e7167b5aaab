//! Tests the ends and the bytes of each kind of flow, with and without address translation.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::FromRawFd,
    time::Duration,
};

use super::router::{CLIENT, CLIENT6, ROUTER, Router, SERVER, SERVER6, sums};
use crate::{
    exact::native::netns::Netns,
    options::{Cells, connections},
    traffic::{Own, Pair, connect, datagram, listen},
};

/// nft rules that forward a port of the router to the client. The server and the client itself can connect to it.
const PORT_FORWARD: &str = "
    chain prerouting {
        type nat hook prerouting priority -100
        ip daddr 203.0.113.1 tcp dport 8443 dnat ip to 192.168.7.2:443
    }
    chain hairpin {
        type nat hook postrouting priority 99
        iifname lan oifname lan masquerade
    }";

/// Returns the only connection among these rows.
fn only_connection(rows: &[Cells]) -> &Cells {
    let rows = connections(rows);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((rows[0]["comm"].as_str(), rows[0]["pid"].as_str()), ("(forwarded)", ""));
    rows[0]
}

/// Panics unless the rows and their sum have the bytes that nft counted.
fn assert_exact(router: &Router, rows: &[Cells]) {
    let (up, down) = router.forwarded();
    assert!(up > 0 && down > 0);
    assert_eq!(sums(connections(rows)), (down, up), "{rows:?}");
    let sum = rows.iter().find(|row| row["event"] == "forwarded").expect("a sum");
    assert_eq!(sums([sum]), (down, up));
    assert!(!rows.iter().any(|row| row["event"] == "total"), "tcptop must not watch local connections");
}

fn assert_ends(row: &Cells, protocol: &str, local: &str, remote: &str, nat: &str) {
    let cells = ["proto", "local", "remote", "nat"].map(|name| row[name].as_str());
    assert_eq!(cells, [protocol, local, remote, nat]);
}

#[test]
fn tcp_behind_masquerade() {
    let router = Router::new("");
    let mut ends = None;
    let rows = router.watch(&[], || {
        let pair = router.pair(SERVER);
        pair.exchange(300_000, 70_000);
        ends = Some((pair.client.local_addr().expect("bound"), pair.server.local_addr().expect("bound")));
    });
    let (client, server) = ends.expect("connected");
    let row = only_connection(&rows);
    let nat = format!("{ROUTER}:{}", client.port());
    assert_ends(row, "tcp", &client.to_string(), &server.to_string(), &nat);
    assert_exact(&router, &rows);
}

#[test]
fn udp_behind_masquerade() {
    let router = Router::new("");
    let (client, server) = router.sockets(CLIENT, SERVER);
    let rows = router.watch(&[], || {
        for _ in 0..3 {
            client.send_to(&[0; 1200], server.local_addr().expect("bound")).expect("send");
            let from = datagram(&server, 1200);
            server.send_to(&[0; 100], from).expect("send");
            datagram(&client, 100);
        }
    });
    let row = only_connection(&rows);
    assert_eq!(sums([row]), (3 * 128, 3 * 1228));
    assert_eq!((row["rx_packets"].as_str(), row["tx_packets"].as_str()), ("3", "3"));
    let address = |socket: &UdpSocket| socket.local_addr().expect("bound");
    let nat = format!("{ROUTER}:{}", address(&client).port());
    assert_ends(row, "udp", &address(&client).to_string(), &address(&server).to_string(), &nat);
    assert_exact(&router, &rows);
}

#[test]
fn ipv6_is_not_translated() {
    let router = Router::new("");
    let mut client = None;
    let rows = router.watch(&[], || {
        let pair = router.pair(SERVER6);
        pair.exchange(20_000, 300_000);
        client = Some(pair.client.local_addr().expect("bound"));
    });
    let row = only_connection(&rows);
    assert_eq!(row["local"], client.expect("bound").to_string());
    assert_eq!(row["nat"], "");
    assert!(row["local"].contains(CLIENT6) && row["remote"].contains(SERVER6));
    assert_exact(&router, &rows);
}

/// Sends an echo request with this many bytes of data, and waits for the reply.
fn ping(target: SocketAddr, size: usize) -> io::Result<()> {
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just opened `fd`, and nothing else owns it. A raw socket supports the calls of a UDP socket.
    let socket = unsafe { UdpSocket::from_raw_fd(fd) };
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = vec![0; 8 + size];
    (request[0], request[5]) = (8, 77);
    let sum = !(0x0800u16 + 77);
    request[2..4].copy_from_slice(&sum.to_be_bytes());
    socket.connect(target)?;
    socket.send(&request)?;
    let mut reply = vec![0; 20 + 8 + size];
    while socket.recv(&mut reply)? != reply.len() || reply[20] != 0 {}
    Ok(())
}

#[test]
fn icmp_echo_requests() {
    let router = Router::new("");
    let rows = router.watch(&[], || {
        let target = format!("{SERVER}:0").parse().expect("an address");
        router.client.inside(|| ping(target, 56)).expect("a reply");
    });
    let row = only_connection(&rows);
    assert_eq!((row["proto"].as_str(), row["state"].as_str()), ("icmp", ""));
    assert_eq!(sums([row]), (84, 84));
    assert_exact(&router, &rows);
}

/// The forwarded port leads to a server inside. It is the local end, although the other end has connected.
#[test]
fn port_forward() {
    let router = Router::new(PORT_FORWARD);
    let mut client = None;
    let rows = router.watch(&[], || {
        let listener = router.client.inside(|| listen(&format!("{CLIENT}:443")));
        let pair = connect_to_forwarded_port(listener, &router.server);
        pair.exchange(5_000, 200_000);
        client = Some(pair.client.local_addr().expect("bound"));
    });
    let row = only_connection(&rows);
    let remote = client.expect("bound").to_string();
    assert_ends(row, "tcp", &format!("{CLIENT}:443"), &remote, &format!("{ROUTER}:8443"));
    assert_exact(&router, &rows);
}

/// Connects from a namespace to the router's forwarded port, which leads to the listener.
fn connect_to_forwarded_port(listener: Own<TcpListener>, from: &Netns) -> Pair {
    let client = from.inside(|| connect(format!("{ROUTER}:8443").parse().expect("an address")));
    Pair::accepted(listener, client)
}

/// A client inside connects to the forwarded port, which leads back inside. Both directions arrive at the same device.
#[test]
fn hairpin() {
    let router = Router::new(PORT_FORWARD);
    let mut client = None;
    let rows = router.watch(&[], || {
        let listener = router.client.inside(|| listen(&format!("{CLIENT}:443")));
        let pair = connect_to_forwarded_port(listener, &router.client);
        pair.exchange(5_000, 200_000);
        client = Some(pair.client.local_addr().expect("bound"));
    });
    let row = only_connection(&rows);
    let port = client.expect("bound").port();
    let local = format!("{CLIENT}:{port}");
    assert_ends(row, "tcp", &local, &format!("{CLIENT}:443"), &format!("192.168.7.1:{port}"));
    let (rx, tx) = sums([row]);
    assert_eq!(rx + tx, router.forwarded().0);
    assert!(rx > 200_000 && (5_000..40_000).contains(&tx), "{rx} bytes received, {tx} sent");
}
