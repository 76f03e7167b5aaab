//! Two namespaces joined by a veth pair.

use std::net::{SocketAddr, SocketAddrV6, UdpSocket};

use super::space::Space;
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

/// The pair's two ends are both called `wire`, with an MTU of 1500.
pub struct Link {
    pub near: Space,
    pub far: Space,
}

/// The payload of UDP that a namespace sent and received, with its headers: 28 bytes in IPv4, 48 in IPv6. Connection
/// tracking puts fragments together before they are counted.
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
        let link = Self { near: Space::new("near"), far: Space::new("far") };
        link.near.ip(&format!("link add wire type veth peer name wire netns {}", link.far.name()));
        for (space, end) in [(&link.near, 1), (&link.far, 2)] {
            space.ip(&format!("address add 10.99.0.{end}/24 broadcast + dev wire"));
            for network in ["fd99", "fe80"] {
                space.ip(&format!("address add {network}::{end}/64 dev wire nodad"));
            }
            space.ip("link set wire up");
        }
        // Until then, it swallows what is sent.
        for space in [&link.near, &link.far] {
            let up = || space.ip("link show wire").contains("state UP").then_some(());
            eventually("both ends of the wire are up", up);
        }
        link
    }

    /// A connection from the near end to this address of the far end.
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

    /// A UDP socket at each end.
    pub fn sockets(&self, near: &str, far: &str) -> (Own<UdpSocket>, Own<UdpSocket>) {
        (self.near.socket(near), self.far.socket(far))
    }

    /// Begins to count UDP at both ends.
    pub fn count(&self) {
        self.near.filter(COUNT);
        self.far.filter(COUNT);
    }

    /// Datagrams of these sizes up, each answered by one of `down` bytes. The ends, which nft agrees with.
    pub fn exchange(&self, client: &UdpSocket, server: &UdpSocket, sizes: &[usize], down: usize) -> [End; 2] {
        self.count();
        let address = |socket: &UdpSocket| socket.local_addr().expect("bound");
        let mut remote = address(server);
        if let (SocketAddr::V6(remote), SocketAddr::V6(local)) = (&mut remote, address(client)) {
            // The link's number at the end that sends.
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
            assert_eq!(self.near.counted(counter), (count, near + headers), "{counter} by the near end");
            assert_eq!(self.far.counted(counter), (count, far + headers), "{counter} by the far end");
        }
        let flow = Flow::udp(address(client), remote);
        traffic::ends(flow, up, down).map(|end| end.packets(count, count))
    }
}

impl Space {
    /// A UDP socket bound to this address.
    pub fn socket(&self, address: &str) -> Own<UdpSocket> {
        self.inside(|| traffic::udp(&scoped(address).to_string()))
    }

    /// Frames that its end of the link has sent.
    pub fn sent(&self) -> u64 {
        let devices = self.inside(|| std::fs::read_to_string("/proc/thread-self/net/dev").expect("/proc"));
        let wire =
            devices.lines().find_map(|line| line.trim_start().strip_prefix("wire:")).expect("its line");
        wire.split_whitespace().nth(9).and_then(|word| word.parse().ok()).expect("a number")
    }
}

/// This address with a free port. A link-local one gets the scope of `wire` in the namespace of this thread.
fn scoped(address: &str) -> SocketAddr {
    let address = format!("{address}:0").parse().expect("an address");
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => {
            SocketAddrV6::new(*v6.ip(), 0, 0, scope()).into()
        }
        _ => address,
    }
}

/// The number of `wire` in the namespace of this thread.
pub fn scope() -> u32 {
    // SAFETY: a NUL-terminated string, which the C library reads.
    let scope = unsafe { libc::if_nametoindex(c"wire".as_ptr()) };
    assert_ne!(scope, 0, "no wire: {}", std::io::Error::last_os_error());
    scope
}
