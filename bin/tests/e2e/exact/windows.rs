//! Tests a server that does not read. Only bytes that left the client count.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    case,
    witness::{Info, TCP_INFO, assert_ends_agree},
};
use crate::{
    harness::{Tcptop, eventually},
    traffic::{
        Pair, SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, V4, close_by_reset, fill, finish_sending, queue, receive_to_end,
    },
};

/// Writes until the window of the server is full. Returns how many bytes the client wrote, and how many of them arrived. The
/// others have not left the client.
pub fn fill_window(pair: &Pair) -> (u64, u64) {
    let written = fill(&pair.client);
    // If the window is smaller than a segment, only the persist timer fills it, which takes a while. A closed window may also
    // open once more.
    let (mut before, mut since) = (u64::MAX, Instant::now());
    let unsent = eventually("the window stays closed, and all sent bytes are acknowledged", || {
        let (unsent, unacknowledged) = (queue(&*pair.client, SIOCOUTQNSD), queue(&*pair.client, SIOCOUTQ));
        if unsent != unacknowledged || unsent != before || Info::of(&*pair.client).window() != 0 {
            (before, since) = (unsent, Instant::now());
        }
        (since.elapsed() >= Duration::from_secs(1)).then_some(unsent)
    });
    assert!(unsent > 0, "the client has no unsent bytes");
    let arrived = queue(&*pair.server, SIOCINQ);
    assert_eq!(written - unsent, arrived, "the server has not received all bytes that left the client");
    (written, arrived)
}

#[test]
fn reset_by_the_sender() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    let (_, arrived) = fill_window(&pair);
    let expected = pair.ends(arrived, 0);
    tcptop.expect_live(&expected);
    assert_ends_agree(&pair, &expected);
    close_by_reset(pair.client);
    thread::sleep(Duration::from_millis(50));
    drop(pair.server);
    case("a server that never reads, reset by the client", TCP_INFO, tcptop, &expected);
}

#[test]
fn reset_by_the_receiver() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    let (_, arrived) = fill_window(&pair);
    let expected = pair.ends(arrived, 0);
    assert_ends_agree(&pair, &expected);
    close_by_reset(pair.server);
    thread::sleep(Duration::from_millis(50));
    drop(pair.client);
    case("a server that never reads, reset by itself", TCP_INFO, tcptop, &expected);
}

#[test]
fn reset_with_a_fin_behind_the_full_window() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    let (_, arrived) = fill_window(&pair);
    // The FIN is queued behind the bytes that do not leave.
    finish_sending(&pair.client);
    let expected = pair.ends(arrived, 0);
    tcptop.expect_live(&expected);
    assert_ends_agree(&pair, &expected);
    close_by_reset(pair.server);
    thread::sleep(Duration::from_millis(50));
    drop(pair.client);
    case("a server that never reads, a FIN behind the full window", TCP_INFO, tcptop, &expected);
}

#[test]
fn read_after_window_probes() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    let (written, arrived) = fill_window(&pair);
    // A probe of the closed window carries no byte.
    let segments = Info::of(&*pair.client).segments().1;
    eventually("the client probes the window twice", || {
        (Info::of(&*pair.client).segments().1 >= segments + 2).then_some(())
    });
    assert_ends_agree(&pair, &pair.ends(arrived, 0));
    tcptop.expect_live(&pair.ends(arrived, 0));
    finish_sending(&pair.client);
    assert_eq!(receive_to_end(&pair.server), written);
    let expected = pair.ends(written, 0);
    assert_ends_agree(&pair, &expected);
    drop(pair);
    case("a full window, probed, then read", TCP_INFO, tcptop, &expected);
}
