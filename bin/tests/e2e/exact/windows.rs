//! A server that never reads: only what the network took counts.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    case,
    witness::{Info, TCP_INFO, agree},
};
use crate::{
    harness::{Tcptop, eventually},
    traffic::{
        Pair, SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, V4, close_by_reset, fill, finish_sending, queue, receive_to_end,
    },
};

/// Fills the client's window: how many bytes it wrote, and how many of them arrived; the others never left.
pub fn fill_window(pair: &Pair) -> (u64, u64) {
    let written = fill(&pair.client);
    // A window smaller than a segment is filled by the persist timer, much later, and a closed one may open once more.
    let (mut before, mut since) = (u64::MAX, Instant::now());
    let unsent = eventually("the window stays closed, and everything sent is acknowledged", || {
        let (unsent, unacknowledged) = (queue(&*pair.client, SIOCOUTQNSD), queue(&*pair.client, SIOCOUTQ));
        if unsent != unacknowledged || unsent != before || Info::of(&*pair.client).window() != 0 {
            (before, since) = (unsent, Instant::now());
        }
        (since.elapsed() >= Duration::from_secs(1)).then_some(unsent)
    });
    assert!(unsent > 0, "there is more to send");
    let arrived = queue(&*pair.server, SIOCINQ);
    assert_eq!(written - unsent, arrived, "nothing is lost on the loopback, and all of it is acknowledged");
    (written, arrived)
}

#[test]
fn reset_by_the_sender() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    let (_, arrived) = fill_window(&pair);
    let expected = pair.ends(arrived, 0);
    tcptop.expect_live(&expected);
    agree(&pair, &expected);
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
    agree(&pair, &expected);
    close_by_reset(pair.server);
    thread::sleep(Duration::from_millis(50));
    drop(pair.client);
    case("a server that never reads, reset by itself", TCP_INFO, tcptop, &expected);
}

#[test]
fn shut_behind_a_full_window_and_reset() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    let (_, arrived) = fill_window(&pair);
    // Its FIN waits behind the bytes that never leave.
    finish_sending(&pair.client);
    let expected = pair.ends(arrived, 0);
    tcptop.expect_live(&expected);
    agree(&pair, &expected);
    close_by_reset(pair.server);
    thread::sleep(Duration::from_millis(50));
    drop(pair.client);
    case("a server that never reads, a FIN behind the full window", TCP_INFO, tcptop, &expected);
}

#[test]
fn read_at_last() {
    let tcptop = Tcptop::start();
    let pair = Pair::new(V4);
    let (written, arrived) = fill_window(&pair);
    // Probes of the closed window are bytes to nobody.
    let segments = Info::of(&*pair.client).segments().1;
    eventually("a probe of the window", || {
        (Info::of(&*pair.client).segments().1 >= segments + 2).then_some(())
    });
    agree(&pair, &pair.ends(arrived, 0));
    tcptop.expect_live(&pair.ends(arrived, 0));
    finish_sending(&pair.client);
    assert_eq!(receive_to_end(&pair.server), written);
    let expected = pair.ends(written, 0);
    agree(&pair, &expected);
    drop(pair);
    case("a full window, probed, then read", TCP_INFO, tcptop, &expected);
}
