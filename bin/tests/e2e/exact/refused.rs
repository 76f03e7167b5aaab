//! Tests packets that the BPF program of another cgroup refuses. The kernel runs the programs of all cgroups, whatever one of
//! them returns. So tcptop sees such a packet, but not that it is dropped.

use super::case;
use crate::{
    cgroup::inside,
    harness::Tcptop,
    helper::Helper,
    programs::refuse_packets,
    rows::{Flow, Owner},
    traffic::{V4, accept, listen, receive, udp},
};

/// A datagram that is refused at the sender counts as sent, and one that is refused at the receiver counts as received.
#[test]
fn datagrams_refused_both_ways() {
    inside("refused-datagrams", |cgroup| {
        let tcptop = Tcptop::start();
        let mut helper = Helper::new("e2e-refused");
        cgroup.take("inner", helper.owner.pid);
        let other = udp(V4);
        let (here, there) = (helper.tell(&format!("udp {V4}")), other.local_addr().expect("bound"));
        let refused = refuse_packets(&cgroup.directory);
        for _ in 0..5 {
            let why = helper.tell(&format!("send-refused 100 {there}"));
            assert!(why.contains("not permitted"), "{why}");
            other.send_to(&[0; 30], &here).expect("send");
        }
        let flow = Flow::udp(here.parse().expect("an address"), there);
        let expected = [
            flow.moved(&helper.owner, 150, 500).packets(5, 5),
            flow.flipped().moved(&Owner::me(), 0, 150).packets(0, 5),
        ];
        tcptop.expect_live(&expected);
        drop(refused);
        other.send_to(&[0; 7], &here).expect("send");
        assert_eq!(
            helper.tell("receive-from 7"),
            there.to_string(),
            "the helper received no datagram before this one"
        );
        let expected = [
            flow.moved(&helper.owner, 157, 500).packets(6, 5),
            flow.flipped().moved(&Owner::me(), 0, 157).packets(0, 6),
        ];
        helper.leave();
        drop(other);
        case("datagrams that another cgroup's program refuses, both ways", "-", tcptop, &expected);
    });
}

/// TCP retransmits refused segments. Their bytes count once at either end.
#[test]
fn segments_refused_for_a_while() {
    inside("refused-segments", |cgroup| {
        let tcptop = Tcptop::start();
        let mut helper = Helper::new("e2e-refused");
        cgroup.take("inner", helper.owner.pid);
        let listener = listen(V4);
        let there = listener.local_addr().expect("bound");
        let here = helper.tell(&format!("connect {there}")).parse().expect("an address");
        let server = accept(&listener);
        helper.tell("send 100");
        receive(&server, 100);
        let refused = refuse_packets(&cgroup.directory);
        helper.tell("send 2000");
        let flow = Flow::tcp(here, there);
        tcptop.expect_live(&[flow.moved(&helper.owner, 0, 2_100)]);
        drop(refused);
        receive(&server, 2_000);
        let expected = [flow.moved(&helper.owner, 0, 2_100), flow.flipped().moved(&Owner::me(), 2_100, 0)];
        helper.leave();
        drop(server);
        case("segments that another cgroup's program refuses for a while", "-", tcptop, &expected);
    });
}
