//! Tests with firewalls and devices, in network namespaces that the test makes.

use std::{net::SocketAddr, os::fd::AsRawFd, thread};

use super::{COLUMNS, ended};
use crate::{
    exact::native::netns::Netns,
    options::csv,
    traffic::{Pair, bound_tcp, connect, listen, raw_connect, set_option},
};

#[test]
fn connects_that_the_network_rejects() {
    let netns = Netns::new("unreachable");
    let answers = [
        ("icmp type host-unreachable", "unreachable"),
        ("icmp type admin-prohibited", "unreachable"),
        ("icmp type port-unreachable", "unreachable"),
        ("tcp reset", "refused"),
    ];
    for (answer, expected) in answers {
        let remote = netns.inside(|| bound_tcp().1.port());
        netns.nft(&format!(
            "chain in {{
                type filter hook input priority 0
                tcp dport {remote} reject with {answer}
            }}"
        ));
        let mut port = 0;
        let rows = csv(&COLUMNS, || {
            port = netns.inside(|| {
                let (socket, local) = bound_tcp();
                set_option(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_SYNCNT, &2i32);
                // This connect blocks. The kernel only records an error that arrives while it sends, and the answer to the next
                // SYN ends the connect.
                raw_connect(&socket, remote).expect_err("nft rejects it");
                local.port()
            });
        });
        assert_eq!(ended(&rows, port), ("lo", expected), "{answer}");
    }
}

#[test]
fn interfaces_of_both_ends_of_a_link() {
    let (near, far) = (Netns::new("cable-near"), Netns::new("cable-far"));
    near.ip(&format!("link add cable type veth peer name plug netns {}", far.name()));
    for (netns, device, address) in [(&near, "cable", "10.99.0.1/24"), (&far, "plug", "10.99.0.2/24")] {
        netns.ip(&format!("address add {address} dev {device}"));
        netns.ip(&format!("link set {device} up"));
    }
    let index = far.ip("-o link show plug").split(':').next().expect("a line").to_owned();
    let mut ports = [0; 2];
    // tcptop runs in the near namespace and sees the sockets of both. It cannot name an interface of the far namespace, so it
    // shows its index.
    let rows = near.inside(|| {
        csv(&COLUMNS, || {
            let listener = far.inside(|| listen("10.99.0.2:0"));
            let address: SocketAddr = listener.local_addr().expect("bound");
            let client = thread::scope(|scope| scope.spawn(|| connect(address)).join().expect("no panic"));
            let pair = Pair::accepted(listener, client);
            pair.exchange(10, 20);
            ports = [pair.flow.local.port(), pair.flow.remote.port()];
        })
    });
    assert_eq!(ports.map(|port| ended(&rows, port)), [("cable", "fin"), (index.as_str(), "fin")]);
}
