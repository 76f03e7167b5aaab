//! What the table hands up about a flow.

use super::*;

#[test]
fn a_flow_from_its_beginning_to_its_end() {
    let mut scene = FlowScene::new();
    let handed = scene.read(&[established(100)]);
    let [(false, seen)] = &handed[..] else { panic!("{handed:?}") };
    assert_eq!((seen.ends.laddr, seen.ends.lport), (INSIDE, 1));
    assert_eq!((seen.ends.raddr, seen.ends.rport), (OUTSIDE, 443));
    assert_eq!(
        (seen.protocol, seen.opening, seen.state),
        (Protocol::Tcp, ObservedOpening::Active, Some(TcpState::Established))
    );
    assert_eq!((seen.totals.tx_bytes, seen.totals.rx_bytes), (100, 200));
    assert_eq!((seen.totals.tx_packets, seen.totals.rx_packets), (1, 2));
    assert_eq!((seen.earlier, seen.began), (Traffic::default(), Some(at(2))));
    let forwarded = seen.forwarded.expect("the flow is forwarded");
    assert_eq!((forwarded.translated, forwarded.offloaded), (Some((ROUTER, 1)), false));
    assert_eq!(scene.read(&[established(100)]), [], "it did not move");
    assert_eq!(bytes(&scene.read(&[established(150)])), [(false, 300, 150)]);
    let handed = scene.read(&[]);
    assert_eq!(bytes(&handed), [(true, 300, 150)]);
    assert_eq!(handed[0].1.key, seen.key);
    assert_eq!(scene.read(&[]), []);
}

#[test]
fn what_moved_before_the_start_is_told_once() {
    let mut scene = FlowScene::beginning_with(&[established(100), entry(2, None, [(1, 30), (0, 0)])]);
    let handed = scene.read(&[established(150), entry(2, None, [(1, 30), (0, 0)])]);
    assert_eq!(bytes(&handed), [(false, 300, 150), (false, 0, 30)], "the idle flow must be handed up, too");
    assert_eq!(handed[0].1.earlier, Traffic { rx: 200, tx: 100 });
    assert_eq!(handed[1].1.earlier, Traffic { rx: 0, tx: 30 });
    assert_eq!(handed[0].1.began, None);
    let handed = scene.read(&[established(160), entry(2, None, [(1, 30), (0, 0)])]);
    assert_eq!(bytes(&handed), [(false, 320, 160)]);
    assert_eq!(handed[0].1.earlier, Traffic::default());
}

#[test]
fn an_end_before_the_first_report_has_its_past() {
    let mut scene = FlowScene::beginning_with(&[established(100)]);
    let handed = scene.read_with(&[established(140)], &[entry(9, None, [(1, 7), (0, 0)])], &[], false);
    assert_eq!(bytes(&handed), [(true, 280, 140), (false, 0, 7)]);
    assert_eq!(handed[0].1.earlier, Traffic { rx: 200, tx: 100 });
    assert_eq!(handed[1].1.earlier, Traffic::default());
}

#[test]
fn without_accounting_flows_appear_and_end() {
    let mut scene = FlowScene::new();
    let uncounted = [Entry { counts: [None; 2], ..established(0) }];
    assert_eq!(bytes(&scene.read(&uncounted)), [(false, 0, 0)]);
    assert_eq!(scene.read(&uncounted), []);
    assert_eq!(bytes(&scene.read(&[])), [(true, 0, 0)]);
}

#[test]
fn an_offloaded_flow_is_marked_and_has_no_state() {
    let mut scene = FlowScene::new();
    scene.read(&[established(100)]);
    let offloaded = Entry { offloaded: true, state: None, ..established(100) };
    let handed = scene.read(&[offloaded]);
    let [(false, seen)] = &handed[..] else { panic!("{handed:?}") };
    assert_eq!((seen.state, seen.forwarded.expect("the flow is forwarded").offloaded), (None, true));
}

#[test]
fn a_server_inside_receives_what_the_original_direction_counts() {
    let mut scene = FlowScene::new();
    let server = mapped([192, 168, 1, 80]);
    let mut entry = entry(1, Some(TcpState::Established), [(1, 100), (2, 5000)]);
    entry.original = Tuple { source: OUTSIDE, destination: ROUTER, sport: 1, dport: 443, other: 0 };
    entry.reply = Tuple { source: server, destination: OUTSIDE, sport: 8443, dport: 1, other: 0 };
    let seen = &scene.read(&[entry])[0].1;
    assert_eq!((seen.ends.laddr, seen.ends.lport, seen.ends.raddr), (server, 8443, OUTSIDE));
    assert_eq!(
        (seen.totals.rx_bytes, seen.totals.tx_bytes, seen.opening),
        (100, 5000, ObservedOpening::Passive)
    );
    assert_eq!(seen.forwarded.expect("the flow is forwarded").translated, Some((ROUTER, 443)));
}

#[test]
fn own_udp_flows_count_payload() {
    let mut flows = TrackedFlows::default();
    let host = Host::with(&[ROUTER], &[]);
    let mut own = entry(1, None, [(2, 2 * 28 + 100), (1, 28 + 7)]);
    own.original.source = ROUTER;
    flows.entry_read(&own, false, at(1), &mut |entry| Some((direction::own(entry, &host)?, None)));
    let mut handed = Vec::new();
    flows.hand_up(&mut |event| handed.push(handed_from(event)));
    assert_eq!(bytes(&handed), [(false, 7, 100)]);
    assert_eq!((handed[0].1.forwarded, handed[0].1.opening), (None, ObservedOpening::Active));
}
