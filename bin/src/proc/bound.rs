//! Listening TCP sockets and unconnected UDP sockets: finds the one that a connection or datagram reaches.

use tcptop_abi::{Endpoints, mapped, unmapped};

use crate::conn::Protocol;

use super::sockets::SocketEntry;

/// Listening TCP sockets and unconnected UDP sockets.
#[derive(Debug, Default)]
pub struct Bound {
    /// Ascending by protocol and local port.
    sockets: Vec<SocketEntry>,
}

impl Bound {
    /// Creates the table from sockets for which [`SocketEntry::is_bound`] is true.
    pub fn new(mut sockets: Vec<SocketEntry>) -> Self {
        sockets.sort_unstable_by_key(order);
        Self { sockets }
    }

    /// All sockets, by protocol and local port.
    pub fn sockets(&self) -> &[SocketEntry] {
        &self.sockets
    }

    /// Returns the sockets that fit the local end of `ends` best, in one namespace or (`None`) in each. If there are several,
    /// they share the port (`SO_REUSEPORT`, other devices) or are in several namespaces, and /proc does not show which one it
    /// is.
    pub fn serving(
        &self,
        protocol: Protocol,
        ends: &Endpoints,
        namespace: Option<u64>,
    ) -> impl Iterator<Item = &SocketEntry> {
        let key = (protocol, ends.lport);
        let first = self.sockets.partition_point(|socket| order(socket) < key);
        let last = self.sockets.partition_point(|socket| order(socket) <= key);
        let laddr = ends.laddr;
        let sockets = &self.sockets[first..last];
        // Each namespace has its own best fit.
        let mut best: Vec<(u64, Fit)> = Vec::new();
        for socket in sockets {
            let Some(fit) = fit(&socket.ends.laddr, &laddr) else { continue };
            match best.iter_mut().find(|(other, _)| *other == socket.namespace) {
                Some((_, best)) => *best = fit.max(*best),
                None => best.push((socket.namespace, fit)),
            }
        }
        sockets.iter().filter(move |socket| {
            namespace.is_none_or(|namespace| socket.namespace == namespace)
                && fit(&socket.ends.laddr, &laddr).is_some_and(|fit| best.contains(&(socket.namespace, fit)))
        })
    }
}

fn order(socket: &SocketEntry) -> (Protocol, u16) {
    (socket.protocol, socket.ends.lport)
}

/// How well a socket bound to the address `bound` fits the local address of a packet, worst first. The kernel has the same
/// order of preference (net/ipv4/udp.c, `__udp4_lib_lookup` and `compute_score`; net/ipv4/inet_hashtables.c,
/// `__inet_lookup_listener` and `compute_score`; v6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// An IPv6 wildcard for an IPv4 packet. Not with `IPV6_V6ONLY`, which /proc does not show.
    OtherFamily,
    /// The wildcard of the packet's own family.
    Wildcard,
    /// Exactly this address.
    Address,
}

/// `None`: the socket does not fit.
fn fit(bound: &[u8; 16], packet: &[u8; 16]) -> Option<Fit> {
    let is_v4 = unmapped(packet).is_some();
    if bound == packet {
        Some(Fit::Address)
    } else if *bound == [0; 16] {
        Some(if is_v4 { Fit::OtherFamily } else { Fit::Wildcard })
    } else if is_v4 && *bound == mapped([0; 4]) {
        Some(Fit::Wildcard)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::testing::{address, socket};

    fn serving(bound: &Bound, local: &str, port: u16, namespace: Option<u64>) -> Vec<u64> {
        let ends = Endpoints { laddr: address(local), lport: port, ..Endpoints::default() };
        bound.serving(Protocol::Udp, &ends, namespace).map(|socket| socket.inode).collect()
    }

    #[test]
    fn the_very_address_then_the_family_then_the_other() {
        let mut sockets = vec![
            socket(Protocol::Udp, "::", 53, 1),
            socket(Protocol::Udp, "0.0.0.0", 53, 2),
            socket(Protocol::Udp, "192.0.2.1", 53, 3),
            socket(Protocol::Udp, "192.0.2.9", 53, 4),
            socket(Protocol::Tcp, "192.0.2.1", 53, 5),
            socket(Protocol::Udp, "192.0.2.1", 54, 6),
        ];
        for (local, expected) in [("192.0.2.1", 3), ("192.0.2.2", 2), ("2001:db8::1", 1)] {
            assert_eq!(serving(&Bound::new(sockets.clone()), local, 53, None), [expected], "{local}");
        }
        sockets.remove(1);
        assert_eq!(
            serving(&Bound::new(sockets.clone()), "192.0.2.2", 53, None),
            [1],
            "a dual-stack socket serves IPv4"
        );
        sockets.remove(0);
        assert_eq!(serving(&Bound::new(sockets), "192.0.2.2", 53, None), []);
    }

    #[test]
    fn equals_are_all_given_but_for_other_namespaces() {
        let mut elsewhere = socket(Protocol::Udp, "0.0.0.0", 53, 3);
        elsewhere.namespace = 9;
        let here = [socket(Protocol::Udp, "0.0.0.0", 53, 1), socket(Protocol::Udp, "0.0.0.0", 53, 2)];
        let bound = Bound::new(vec![here[0], elsewhere, here[1]]);
        let mut all = serving(&bound, "192.0.2.2", 53, None);
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3]);
        assert_eq!(serving(&bound, "192.0.2.2", 53, Some(9)), [3]);
        assert_eq!(serving(&bound, "192.0.2.2", 53, Some(8)), []);
        let mut exact = socket(Protocol::Udp, "192.0.2.2", 53, 4);
        exact.namespace = 7;
        let bound = Bound::new(vec![here[0], elsewhere, exact]);
        let mut all = serving(&bound, "192.0.2.2", 53, None);
        all.sort_unstable();
        assert_eq!(all, [1, 3, 4], "an exact address in another namespace does not decide");
    }
}
