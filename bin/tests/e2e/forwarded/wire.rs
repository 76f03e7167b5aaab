//! Forwards packets between two devices of this host. The test writes and reads each packet and needs no other program, so it
//! also runs on a machine of ci/matrix.

use std::{fs, net::Ipv4Addr, thread};

use super::tun::{Tun, datagram, segment};
use crate::{
    harness::{Process, tcptop},
    namespace::enter_new,
    options::{Cells, cells, during_by},
};

const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 91, 1, 2), 40_000);
const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 91, 2, 2), 443);

/// Control bits of RFC 9293 section 3.1.
const FIN: u8 = 1;
const SYN: u8 = 2;
const ACK: u8 = 16;

/// The two devices of a router.
struct RouterDevices {
    lan: Tun,
    wan: Tun,
}

impl RouterDevices {
    /// Creates a router in a new network namespace of this thread. Returns `None` if connection tracking counts nothing here.
    fn new() -> Option<Self> {
        enter_new();
        let lan = Tun::new("lan", Ipv4Addr::new(10, 91, 1, 1))?;
        let wan = Tun::new("wan", Ipv4Addr::new(10, 91, 2, 1))?;
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("root");
        fs::write("/proc/sys/net/netfilter/nf_conntrack_acct", "1").ok()?;
        let mut router = Self { lan, wan };
        router.up(&datagram((CLIENT.0, 9), (SERVER.0, 9), 0));
        // Without an nft rule that needs it, connection tracking sees packets only with the module parameter
        // nf_conntrack.enable_hooks=1.
        let count =
            fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count").expect("conntrack is loaded");
        (count.trim() != "0").then_some(router)
    }

    /// Has the router forward a packet to the server.
    fn up(&mut self, packet: &[u8]) {
        self.lan.arrive(packet);
        assert_eq!(self.wan.leave(), packet.len());
    }

    /// Has the router forward a packet to the client.
    fn down(&mut self, packet: &[u8]) {
        self.wan.arrive(packet);
        assert_eq!(self.lan.leave(), packet.len());
    }

    /// Forwards all segments of a TCP connection with these bytes of payload.
    fn connection(&mut self, up: usize, down: usize) {
        let [sent, received] = [up, down].map(|size| 2 + u32::try_from(size).expect("fits"));
        self.up(&segment(CLIENT, SERVER, SYN, [1, 0], 0));
        self.down(&segment(SERVER, CLIENT, SYN | ACK, [1, 2], 0));
        self.up(&segment(CLIENT, SERVER, ACK, [2, 2], up));
        self.down(&segment(SERVER, CLIENT, ACK, [2, sent], down));
        self.up(&segment(CLIENT, SERVER, FIN | ACK, [sent, received], 0));
        self.down(&segment(SERVER, CLIENT, FIN | ACK, [received, sent + 1], 0));
        self.up(&segment(CLIENT, SERVER, ACK, [sent + 1, received + 1], 0));
    }
}

/// Runs `test` with a router, in a thread with a new network namespace.
fn with_router(test: impl FnOnce(RouterDevices) + Send + 'static) {
    let test = || match RouterDevices::new() {
        Some(router) => test(router),
        None => println!("skipped: connection tracking counts nothing here"),
    };
    thread::spawn(test).join().expect("no panic");
}

fn assert_row(
    rows: &[Cells],
    protocol: &str,
    local: (Ipv4Addr, u16),
    bytes: [usize; 2],
    packets: [usize; 2],
) {
    let local = format!("{}:{}", local.0, local.1);
    let row = rows.iter().find(|row| row["proto"] == protocol && row["local"] == local);
    let row = row.unwrap_or_else(|| panic!("{protocol} {local}: {rows:?}"));
    assert_eq!(row["comm"], "(forwarded)");
    let number = |name: &str| row[name].parse::<usize>().expect("a number");
    assert_eq!([number("rx_bytes"), number("tx_bytes")], bytes, "{row:?}");
    assert_eq!([number("rx_packets"), number("tx_packets")], packets, "{row:?}");
}

#[test]
fn every_byte_of_a_packet_counts() {
    with_router(|mut router| {
        let columns = "event,proto,local,remote,comm,state,rx_bytes,tx_bytes,rx_packets,tx_packets";
        let args = ["--csv", "--closed", "-d", "60", "--traffic", "forwarded", "--columns", columns];
        let finished = during_by(&mut tcptop(&args), || {
            for size in [0, 100, 1_000] {
                router.up(&datagram((CLIENT.0, 5_000), (SERVER.0, 53), size));
                router.down(&datagram((SERVER.0, 53), (CLIENT.0, 5_000), 2));
            }
            router.connection(1_000, 300);
        });
        let rows = cells(&finished.stdout);
        assert_row(&rows, "udp", (CLIENT.0, 5_000), [3 * 30, 3 * 28 + 1_100], [3, 3]);
        assert_row(&rows, "tcp", CLIENT, [3 * 40 + 300, 4 * 40 + 1_000], [3, 4]);
        assert_eq!(finished.stderr, "");
    });
}

/// `--once` prints a report with the connections that the router forwarded before the start.
#[test]
fn once() {
    with_router(|_router| {
        let args = ["--once", "-d", "0.2", "--traffic", "forwarded", "--columns", "proto,local,remote,comm"];
        let finished = Process::start(&mut tcptop(&args), |_| ()).wait();
        finished.assert_success();
        let row = "udp   10.91.1.2:9           10.91.2.2:9           (forwarded)";
        assert!(finished.stdout.contains(row), "{}", finished.stdout);
        assert!(finished.stdout.contains("FWD 1 "), "{}", finished.stdout);
    });
}
