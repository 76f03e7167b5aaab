//! The ends of flows, from events and from readings.

use super::*;

#[test]
fn an_event_brings_the_final_counts() {
    let mut scene = FlowScene::new();
    scene.read(&[established(100)]);
    assert_eq!(bytes(&scene.read_with(&[], &[], &[established(130)], false)), [(true, 260, 130)]);
    assert_eq!(
        bytes(&scene.read_with(&[established(7)], &[], &[], false)),
        [(true, 14, 7)],
        "no reading showed this flow"
    );
    let own = Entry { original: Tuple { source: ROUTER, ..established(7).original }, ..established(7) };
    assert_eq!(scene.read_with(&[own], &[], &[], false), [], "this host does not forward the flow");
}

#[test]
fn a_row_before_its_event_is_one_flow() {
    let mut scene = FlowScene::new();
    let handed =
        scene.read_with(&[], &[instance(1, established(100))], &[instance(1, established(110))], false);
    assert_eq!(bytes(&handed), [(true, 220, 110)]);
    assert_eq!(scene.read(&[]), []);
}

#[test]
fn time_wait_ends_a_connection_that_does_not_move() {
    for state in [TcpState::TimeWait, TcpState::Close] {
        let mut scene = FlowScene::new();
        let over = |bytes| entry(1, Some(state), [(5, bytes), (5, 600)]);
        let first = scene.read(&[over(500)])[0].1.key;
        assert_eq!(bytes(&scene.read(&[over(520)])), [(false, 600, 520)], "the connection still moves");
        let handed = scene.read(&[over(520), over(520)]);
        assert_eq!(
            bytes(&handed),
            [(true, 600, 520)],
            "the end is handed up once, although the reading has two rows"
        );
        assert_eq!(scene.read(&[over(520)]), [], "the end must not be handed up again");
        let handed = scene.read(&[over(560)]);
        assert_eq!(bytes(&handed), [(false, 0, 40)], "this is another connection");
        let second = handed[0].1.key;
        assert_eq!((second.index, second.generation), (first.index, first.generation + 1));
        assert_eq!(handed[0].1.earlier, Traffic::default());
        assert_eq!(bytes(&scene.read(&[over(560)])), [(true, 0, 40)]);
        assert_eq!(scene.read_with(&[over(560)], &[], &[], false), [], "the end was handed up before");
        assert_eq!(scene.flows.flows.len(), 0);
    }
}

#[test]
fn two_rows_of_one_reading_are_no_two_readings() {
    let mut scene = FlowScene::new();
    let over = entry(1, Some(TcpState::TimeWait), [(5, 500), (5, 600)]);
    assert_eq!(bytes(&scene.read(&[over.clone(), over.clone()])), [(false, 600, 500)]);
    assert_eq!(bytes(&scene.read(&[over])), [(true, 600, 500)]);
}

#[test]
fn an_entry_gone_while_its_end_is_handed_up_frees_its_place() {
    let mut scene = FlowScene::new();
    let over = |bytes| entry(1, Some(TcpState::TimeWait), [(5, bytes), (5, 600)]);
    scene.read(&[over(500)]);
    assert_eq!(bytes(&scene.read_with(&[], &[over(500)], &[over(501)], false)), [(true, 600, 501)]);
    assert_eq!(scene.flows.flows.len(), 0);
}

#[test]
fn a_reading_that_may_miss_entries_ends_none_at_once() {
    let mut scene = FlowScene::new();
    scene.read(&[established(100)]);
    assert_eq!(scene.read_with(&[], &[], &[], true), []);
    assert_eq!(bytes(&scene.read_with(&[], &[established(110)], &[], true)), [(false, 220, 110)]);
    assert_eq!(scene.read_with(&[], &[], &[], true), []);
    assert_eq!(bytes(&scene.read_with(&[], &[], &[], true)), [(true, 220, 110)]);
}

#[test]
fn a_failed_reading_ends_nothing() {
    let mut scene = FlowScene::new();
    scene.read(&[established(100)]);
    scene.flows.abort_reading();
    assert_eq!(scene.hand_up(), []);
    assert_eq!(scene.read(&[established(100)]), []);
}

#[test]
fn nothing_more_is_handed_up_of_what_another_collector_counts() {
    let mut scene = FlowScene::new();
    let key = scene.read(&[established(100)])[0].1.key;
    scene.flows.leave(&[ConnectionKey { generation: key.generation + 1, ..key }]);
    assert_eq!(bytes(&scene.read(&[established(110)])), [(false, 220, 110)], "the flow gets another key");
    scene.flows.leave(&[key]);
    assert_eq!(scene.read(&[established(120)]), []);
    let over = [entry(1, Some(TcpState::TimeWait), [(5, 500), (5, 600)])];
    for _ in 0..3 {
        assert_eq!(scene.read(&over), []);
    }
    assert_eq!(scene.read(&[]), []);
    assert_eq!(scene.flows.flows.len(), 0, "the place of the flow is free");
}

#[test]
fn an_end_that_another_source_saw_is_the_end() {
    let mut scene = FlowScene::new();
    let key = scene.read(&[established(100)])[0].1.key;
    let mut handed = Vec::new();
    scene.flows.end_now(&[key, key], &mut |event| handed.push(handed_from(event)));
    assert_eq!(bytes(&handed), [(true, 200, 100)]);
    assert_eq!((scene.read(&[established(100)]), scene.read(&[])), (vec![], vec![]));
}
