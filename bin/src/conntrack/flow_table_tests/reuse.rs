//! Counters that somebody reset, and tuples that a new connection uses again.

use super::*;

#[test]
fn counters_that_fall_back_count_from_zero() {
    let mut scene = FlowScene::new();
    scene.read(&[established(1000)]);
    assert_eq!(bytes(&scene.read(&[established(10)])), [(false, 2020, 1010)]);
    assert_eq!(bytes(&scene.read(&[established(15)])), [(false, 2030, 1015)]);
    let zero = entry(1, Some(TcpState::Established), [(0, 0), (0, 0)]);
    assert_eq!(scene.read(&[zero]), [], "nothing moved");
    let handed = scene.read_with(&[established(4)], &[], &[], false);
    assert_eq!(bytes(&handed), [(true, 2038, 1019)]);
}

#[test]
fn both_directions_fall_back_together() {
    let mut scene = FlowScene::new();
    scene.read(&[entry(1, None, [(10, 1000), (1, 50)])]);
    let handed = scene.read(&[entry(1, None, [(1, 60), (9, 900)])]);
    assert_eq!(bytes(&handed), [(false, 950, 1060)]);
}

#[test]
fn a_reset_entry_that_ends_during_the_reading_is_counted_once() {
    let mut scene = FlowScene::new();
    scene.read(&[instance(1, established(1000))]);
    let (row, last) = (instance(1, established(10)), instance(1, established(12)));
    assert_eq!(bytes(&scene.read_with(&[], &[row], &[last], false)), [(true, 2024, 1012)]);
    assert_eq!(scene.read(&[]), []);
}

#[test]
fn tuples_are_used_again() {
    let mut scene = FlowScene::new();
    let first = scene.read(&[instance(1, established(100))])[0].1.key;
    // The event of the end comes before the reading.
    let handed =
        scene.read_with(&[instance(1, established(120))], &[instance(2, established(5))], &[], false);
    assert_eq!(bytes(&handed), [(true, 240, 120), (false, 10, 5)]);
    let second = handed[1].1.key;
    assert_eq!((handed[0].1.key, second == first), (first, false));
    // The event of the end comes during the reading.
    let handed = scene.read_with(&[], &[instance(3, established(2))], &[instance(2, established(9))], false);
    assert_eq!(bytes(&handed), [(true, 18, 9), (false, 4, 2)]);
    // During the reading, events also come for the flow that it showed, and for one in between.
    let events = [instance(3, established(3)), instance(4, established(1)), instance(5, established(8))];
    let handed = scene.read_with(&[], &[instance(5, established(7))], &events, false);
    assert_eq!(bytes(&handed), [(true, 6, 3), (true, 2, 1), (true, 16, 8)]);
    assert_eq!(scene.read(&[]), []);
}

#[test]
fn an_entry_at_the_same_address_is_told_by_its_counts() {
    let mut scene = FlowScene::new();
    scene.read(&[instance(1, established(100))]);
    let handed =
        scene.read_with(&[], &[instance(1, established(5))], &[instance(1, established(110))], false);
    assert_eq!(bytes(&handed), [(true, 220, 110), (false, 10, 5)]);
}

#[test]
fn a_connection_over_is_replaced_even_without_events() {
    let mut scene = FlowScene::new();
    let over = entry(1, Some(TcpState::TimeWait), [(5, 500), (5, 600)]);
    scene.read(&[over]);
    let handed = scene.read(&[entry(1, Some(TcpState::SynSent), [(1, 60), (0, 0)])]);
    assert_eq!(bytes(&handed), [(true, 600, 500), (false, 0, 60)]);
}
