//! UDP flows that fall silent, and datagrams that come just when a silent flow is removed.

use std::{
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use super::origin::Route;
use crate::{exact::line, lives::Lives, options::during, rows::End};

/// Flows of each socket.
const REMOTES: u32 = 4_000;

/// Milliseconds from one datagram to each remote to the next. A flow ends after a second without one: it has just ended, is
/// about to, or is being removed.
const PACES: [u64; 8] = [1_050, 1_000, 1_100, 950, 1_150, 1_050, 1_300, 1_400];
/// And so many times as fast as can be, a second apart.
const BURSTS: [u64; 2] = [1_050; 2];

fn remote(index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 2, 0, 1).to_bits() + index)
}

/// Bytes of a datagram.
fn size(round: usize, remote: u32) -> usize {
    1 + (round + usize::try_from(remote).expect("small")) % 50
}

/// Sends to each remote once, spread over this many milliseconds or at their beginning. Each datagram is read.
fn send_to_all(route: &Route, round: usize, pace: u64, spread: bool) {
    let (begin, pace) = (Instant::now(), Duration::from_millis(pace));
    let mut buffer = [0; 64];
    for index in 0..REMOTES {
        if spread && index % 16 == 0 {
            thread::sleep((pace * index / REMOTES).saturating_sub(begin.elapsed()));
        }
        route.send(remote(index), &buffer[..size(round, index)]);
        route.receiver.recv(&mut buffer).expect("a datagram");
    }
    thread::sleep(pace.saturating_sub(begin.elapsed()));
}

#[test]
fn datagrams_while_their_flow_is_removed() {
    let route = Route::several(1).remove(0);
    let port = route.ports()[1].to_string();
    let form = ["--csv", "--closed", "--total", "-P", &port];
    let args = [&form[..], &["--flows", "65536", "-d", "0.1", "--udp-timeout", "1"]].concat();
    let finished = during(&args, || {
        for (round, pace) in PACES.into_iter().chain(BURSTS).enumerate() {
            send_to_all(&route, round, pace, round < PACES.len());
        }
    });
    let lives = Lives::of(&finished.stdout);
    let mut expected: Vec<End> = Vec::new();
    for index in 0..REMOTES {
        let sizes = (0..PACES.len() + BURSTS.len()).map(|round| size(round, index));
        expected.extend(route.ends(remote(index), u64::try_from(sizes.sum::<usize>()).expect("small")));
    }
    lives.assert_exact(&expected);
    let ends: usize = expected.iter().map(|end| lives.ends(&end.flow)).sum();
    assert!(ends > expected.len(), "only {ends} times a flow ended by silence");
    line("datagrams while their flow is removed", "-", &expected);
}
