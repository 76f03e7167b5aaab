//! Tests amounts of data for which an emulated machine needs minutes.

use crate::{
    exact::{
        amounts, case,
        witness::{TCP_INFO, assert_ends_agree},
    },
    harness::Tcptop,
    traffic::{Pair, V4, transfer},
};

#[test]
fn tens_of_megabytes_both_ways() {
    amounts::both_ways("both ways at once, 50 MB and 40 MB", V4, 50_000_000, 40_000_001);
}

#[test]
fn more_than_four_gibibytes() {
    const AMOUNT: u64 = (1 << 32) + 123_456_789;
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    transfer(&pair.client, &pair.server, AMOUNT);
    transfer(&pair.server, &pair.client, 10);
    let expected = pair.ends(AMOUNT, 10);
    assert_ends_agree(&pair, &expected);
    drop(pair);
    case("more than 4 GiB on one connection", TCP_INFO, tcptop, &expected);
}
