//! Options that need or exclude each other.

use super::*;

#[test]
fn what_says_nothing_alone_is_refused() {
    assert_eq!(refusal("--max-size 1M"), "'--max-size' needs '--output FILE'");
    assert_eq!(refusal("--max-size 1M -o -"), "'--max-size' needs '--output FILE'");
    assert_eq!(refusal("--keep 3 -o x"), "'--keep' needs '--max-size'");
    assert_eq!(refusal("--total"), "'--total' needs '--csv'");
    let rows = "both set what a row is, expected one of them";
    assert_eq!(refusal("--by comm --closed"), format!("'--by' cannot be used with '--closed': {rows}"));
    assert_eq!(refusal("--by comm -l"), format!("'--by' cannot be used with '--listen': {rows}"));
    assert_eq!(
        refusal("--closed=only -l"),
        format!("'--closed=only' cannot be used with '--listen': {rows}")
    );
}

#[test]
fn what_sets_the_same_thing_twice_is_refused() {
    let count = "both set the number of reports, expected one of them";
    let time = "both set the time between reports, expected one of them";
    assert_eq!(refusal("--once --count 5"), format!("'--once' cannot be used with '--count': {count}"));
    assert_eq!(refusal("-n 1 -1"), format!("'--once' cannot be used with '--count': {count}"));
    assert_eq!(refusal("-1 2 3"), format!("'--once' cannot be used with 'count': {count}"));
    assert_eq!(refusal("2 3 -n 4"), format!("'--count' cannot be used with 'count': {count}"));
    assert_eq!(refusal("2 -d 2"), format!("'--interval' cannot be used with 'interval': {time}"));
}
