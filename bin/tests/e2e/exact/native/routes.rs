//! Tests routes that encapsulate packets before the egress hook.

use super::link::Link;
use crate::{
    exact::case,
    harness::Tcptop,
    rows::Flow,
    traffic::{Pair, connect, datagram, ends, finish_sending, listen, receive_to_end, udp},
};

/// Sets segment routing up (RFC 8754): the near end encapsulates packets to the far end's second address. Returns that address
/// too.
fn link_with_segment_routing() -> (Link, String) {
    let link = Link::new();
    link.far.ip("address add fd98::2/128 dev lo");
    link.far.ip("-6 route add fd97::5e/128 encap seg6local action End.DT6 table 255 dev wire");
    link.near.ip("-6 route add fd97::5e/128 via fd99::2 dev wire");
    link.near.ip("-6 route add fd98::2/128 encap seg6 mode encap segs fd97::5e dev wire");
    (link, "[fd98::2]".into())
}

#[test]
fn segment_routing() {
    let (link, address) = link_with_segment_routing();
    let tcptop = Tcptop::start();
    let listener = link.far.inside(|| listen(&format!("{address}:0")));
    let client = link.near.inside(|| connect(listener.local_addr().expect("bound")));
    let pair = Pair::accepted(listener, client);
    pair.exchange(300_000, 300);
    let server = link.far.inside(|| udp(&format!("{address}:0")));
    let remote = server.local_addr().expect("bound");
    let [connected, free] = [(); 2].map(|()| link.near.inside(|| udp("[::]:0")));
    connected.connect(remote).expect("connect");
    let mut expected = Vec::from(pair.ends(300_000, 300));
    connected.send(&[0; 1_200]).expect("send");
    let from = datagram(&server, 1_200);
    expected.extend(ends(Flow::udp(from, remote), 1_200, 0));
    free.send_to(&[0; 100], remote).expect("send");
    let from = datagram(&server, 100);
    expected.extend(ends(Flow::udp(from, remote), 100, 0));
    tcptop.expect_live(&expected);
    finish_sending(&pair.client);
    assert_eq!(receive_to_end(&pair.server), 0);
    tcptop.expect_live(&pair.ends(300_000, 300));
    drop((pair, server, connected, free));
    case("segment routing (seg6)", "", tcptop, &expected);
}
