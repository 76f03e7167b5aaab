//! Joins two network namespaces by a veth pair.

use std::net::{SocketAddr, SocketAddrV6, UdpSocket};

use super::netns::Netns;
use crate::{
    harness::eventually,
    rows::{End, Flow},
    traffic::{self, Own, Pair, connect, datagram, listen},
};

pub const NEAR4: &str = "10.99.0.1";
pub const FAR4: &str = "10.99.0.2";
pub const NEAR6: &str = "[fd99::1]";
pub const FAR6: &str = "[fd99::2]";
pub const NEAR_LOCAL: &str = "[fe80::1]";
pub const FAR_LOCAL: &str = "[fe80::2]";

/// Two network namespaces, each with an end of the veth pair. Both ends are called `wire` and have an MTU of 1500.
pub struct Link {
    pub near: Netns,
    pub far: Netns,
}

/// nft rules that count the UDP datagrams that a namespace sends and receives, with their headers: 28 bytes in IPv4, 48 in IPv6.
/// Connection tracking reassembles fragments before they are counted.
const COUNT: &str = "counter sent {}
    counter received {}
    chain out {
        type filter hook output priority 0
        meta l4proto udp counter name sent
    }
    chain in {
        type filter hook input priority 0
        meta l4proto udp ct state new,established counter name received
    }";

impl Link {
    pub fn new() -> Self {
        let link = Self { near: Netns::new("near"), far: Netns::new("far") };
        link.near.ip(&format!("link add wire type veth peer name wire netns {}", link.far.name()));
        for (netns, end) in [(&link.near, 1), (&link.far, 2)] {
            netns.ip(&format!("address add 10.99.0.{end}/24 broadcast + dev wire"));
            for network in ["fd99", "fe80"] {
                netns.ip(&format!("address add {network}::{end}/64 dev wire nodad"));
            }
            netns.ip("link set wire up");
        }
        // Until both ends are up, the link drops packets.
        for netns in [&link.near, &link.far] {
            let up = || netns.ip("link show wire").contains("state UP").then_some(());
            eventually("both ends of the wire are up", up);
        }
        link
    }

    /// Connects from the near end to this address of the far end.
    pub fn pair(&self, address: &str) -> Pair {
        let listener = self.far.inside(|| listen(&scoped(address).to_string()));
        let port = listener.local_addr().expect("bound").port();
        let client = self.near.inside(|| {
            let mut address = scoped(address);
            address.set_port(port);
            connect(address)
        });
        Pair::accepted(listener, client)
    }

    /// Opens a UDP socket at each end.
    pub fn sockets(&self, near: &str, far: &str) -> (Own<UdpSocket>, Own<UdpSocket>) {
        (self.near.socket(near), self.far.socket(far))
    }

    /// Starts to count UDP datagrams at both ends.
    pub fn count(&self) {
        self.near.nft(COUNT);
        self.far.nft(COUNT);
    }

    /// Sends datagrams of these sizes up, and answers each with one of `down` bytes. Panics unless nft counts the same. Returns
    /// what tcptop must report of both ends.
    pub fn exchange(&self, client: &UdpSocket, server: &UdpSocket, sizes: &[usize], down: usize) -> [End; 2] {
        self.count();
        let address = |socket: &UdpSocket| socket.local_addr().expect("bound");
        let mut remote = address(server);
        if let (SocketAddr::V6(remote), SocketAddr::V6(local)) = (&mut remote, address(client)) {
            // The scope is the index of the link at the sending end.
            remote.set_scope_id(local.scope_id());
        }
        for size in sizes {
            client.send_to(&vec![0; *size], remote).expect("send");
            let from = datagram(server, *size);
            server.send_to(&vec![0; down], from).expect("send");
            datagram(client, down);
        }
        let wide = |number: usize| u64::try_from(number).expect("fits");
        let count = wide(sizes.len());
        let (up, down) = (wide(sizes.iter().sum()), wide(down) * count);
        let headers = count * if remote.is_ipv4() { 28 } else { 48 };
        let both = [("sent", up, down), ("received", down, up)];
        for (counter, near, far) in both {
            assert_eq!(
                self.near.counter(counter),
                (count, near + headers),
                "nft's counter of datagrams {counter} at the near end"
            );
            assert_eq!(
                self.far.counter(counter),
                (count, far + headers),
                "nft's counter of datagrams {counter} at the far end"
            );
        }
        let flow = Flow::udp(address(client), remote);
        traffic::ends(flow, up, down).map(|end| end.packets(count, count))
    }
}

impl Netns {
    /// Opens a UDP socket that is bound to this address.
    pub fn socket(&self, address: &str) -> Own<UdpSocket> {
        self.inside(|| traffic::udp(&scoped(address).to_string()))
    }

    /// Returns how many frames the namespace's end of the link has sent.
    pub fn frames_sent(&self) -> u64 {
        let devices = self.inside(|| std::fs::read_to_string("/proc/thread-self/net/dev").expect("/proc"));
        let wire = devices.lines().find_map(|line| line.trim_start().strip_prefix("wire:")).expect("a line");
        wire.split_whitespace().nth(9).and_then(|word| word.parse().ok()).expect("a number")
    }
}

/// Returns this address with port 0. A link-local address gets the scope of `wire` in the calling thread's namespace.
fn scoped(address: &str) -> SocketAddr {
    let address = format!("{address}:0").parse().expect("an address");
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => {
            SocketAddrV6::new(*v6.ip(), 0, 0, scope()).into()
        }
        _ => address,
    }
}

/// Returns the index of `wire` in the calling thread's namespace.
pub fn scope() -> u32 {
    // SAFETY: the C library reads a NUL-terminated string.
    let scope = unsafe { libc::if_nametoindex(c"wire".as_ptr()) };
    assert_ne!(scope, 0, "if_nametoindex: {}", std::io::Error::last_os_error());
    scope
}
