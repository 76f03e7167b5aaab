//! Creates a client, a server, and a router between them that translates addresses. Each has a network namespace.

use std::{fs, net::UdpSocket};

use crate::{
    exact::native::netns::Netns,
    harness::{Process, tcptop},
    options::{Cells, during_by},
    traffic::{self, Own, Pair, connect, listen},
};

/// The addresses of the client, of the router's end towards the server, and of the server.
pub const CLIENT: &str = "192.168.7.2";
pub const ROUTER: &str = "203.0.113.1";
pub const SERVER: &str = "203.0.113.2";
pub const CLIENT6: &str = "fd07::2";
pub const SERVER6: &str = "2001:db8::2";

/// nft rules that every router has: masquerading, and counters of forwarded packets.
const RULES: &str = "
    counter up {}
    counter down {}
    chain forward {
        type filter hook forward priority 0
        iifname lan counter name up
        iifname wan counter name down
    }
    chain postrouting {
        type nat hook postrouting priority 100
        oifname wan ip saddr 192.168.7.0/24 masquerade
    }";

/// The columns that the tests need.
const COLUMNS: &str = "event,proto,local,remote,nat,pid,comm,state,rx_bytes,tx_bytes,rx_packets,tx_packets";

pub struct Router {
    pub client: Netns,
    pub router: Netns,
    pub server: Netns,
}

impl Router {
    /// Creates the three namespaces. The router's table has these chains besides `RULES`.
    pub fn new(rules: &str) -> Self {
        let [client, router, server] = ["client", "router", "server"].map(Netns::new);
        client.ip(&format!("link add wire type veth peer name lan netns {}", router.name()));
        server.ip(&format!("link add wire type veth peer name wan netns {}", router.name()));
        let addresses = [
            (&client, "wire", ["192.168.7.2/24", "fd07::2/64", "fe80::2/64"]),
            (&router, "lan", ["192.168.7.1/24", "fd07::1/64", "fe80::1/64"]),
            (&router, "wan", ["203.0.113.1/24", "2001:db8::1/64", "fe80::1/64"]),
            (&server, "wire", ["203.0.113.2/24", "2001:db8::2/64", "fe80::2/64"]),
        ];
        for (netns, device, [v4, v6, link_local]) in addresses {
            // The kernel's own link-local address is tentative for a second, and neighbour discovery fails until then.
            netns.ip(&format!("link set {device} addrgenmode none"));
            netns.ip(&format!("address add {v4} dev {device}"));
            netns.ip(&format!("address add {v6} dev {device} nodad"));
            netns.ip(&format!("address add {link_local} dev {device} nodad"));
            netns.ip(&format!("link set {device} up"));
        }
        client.ip("route add default via 192.168.7.1");
        client.ip("route add default via fd07::1");
        server.ip("route add fd07::/64 via 2001:db8::1");
        let this = Self { client, router, server };
        this.set("net/ipv4/ip_forward", "1");
        this.set("net/ipv6/conf/all/forwarding", "1");
        this.router.nft(&format!("{RULES}\n{rules}"));
        this.set("net/netfilter/nf_conntrack_acct", "1");
        this
    }

    /// Sets a kernel parameter of the router.
    pub fn set(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/{name}");
        self.router.inside(|| fs::write(&path, value)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Returns a kernel parameter of the router.
    pub fn get(&self, name: &str) -> String {
        let path = format!("/proc/sys/{name}");
        let value = self.router.inside(|| fs::read_to_string(&path));
        value.unwrap_or_else(|error| panic!("{path}: {error}")).trim().into()
    }

    /// Runs tcptop on the router during `traffic`. Returns the rows of its only report, with forwarded traffic.
    pub fn watch(&self, args: &[&str], traffic: impl FnOnce() + Send) -> Vec<Cells> {
        let all =
            ["--csv", "--closed", "--total", "-d", "60", "--traffic", "forwarded", "--columns", COLUMNS];
        let all = [&all, args].concat();
        let finished = self.router.inside(|| during_by(&mut tcptop(&all), traffic));
        assert_eq!(finished.stderr, "");
        crate::options::cells(&finished.stdout)
    }

    /// Starts a tcptop on the router.
    pub fn start(&self, args: &[&str], on_line: impl FnMut(&str) + Send + 'static) -> Process {
        self.router.inside(|| Process::start(&mut tcptop(args), on_line))
    }

    /// Connects from the client to this address of the server.
    pub fn pair(&self, server: &str) -> Pair {
        let listener = self.server.inside(|| listen(&format!("{}:0", bracketed(server))));
        let address = listener.local_addr().expect("bound");
        let client = self.client.inside(|| connect(address));
        Pair::accepted(listener, client)
    }

    /// Opens a UDP socket at the client and one at the server.
    pub fn sockets(&self, client: &str, server: &str) -> (Own<UdpSocket>, Own<UdpSocket>) {
        let socket = |netns: &Netns, address: &str| {
            netns.inside(|| traffic::udp(&format!("{}:0", bracketed(address))))
        };
        (socket(&self.client, client), socket(&self.server, server))
    }

    /// Returns the bytes that the router forwarded from the client and to it, as nft counted them.
    pub fn forwarded(&self) -> (u64, u64) {
        (self.router.counter("up").1, self.router.counter("down").1)
    }
}

impl Netns {
    /// Opens a UDP socket that is bound to this address and port.
    pub fn socket_at(&self, address: &str) -> Own<UdpSocket> {
        self.inside(|| traffic::udp(address))
    }
}

/// Puts an IPv6 address into brackets.
fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.into() }
}

/// Returns the sums of the rows' bytes, received and sent.
pub fn sums<'a>(rows: impl IntoIterator<Item = &'a Cells>) -> (u64, u64) {
    let number = |row: &Cells, name: &str| row[name].parse::<u64>().expect("a number");
    rows.into_iter()
        .fold((0, 0), |(rx, tx), row| (rx + number(row, "rx_bytes"), tx + number(row, "tx_bytes")))
}
