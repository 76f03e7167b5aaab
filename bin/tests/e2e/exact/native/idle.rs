//! Tests idle UDP flows, and datagrams that arrive while tcptop removes an idle flow.

use std::{
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use super::udp_pair::UdpPair;
use crate::{exact::line, lives::Lives, options::during, rows::End};

/// The number of flows of each socket.
const REMOTES: u32 = 4_000;

/// Milliseconds between two datagrams to the same remote. A flow ends after a second without one. So it has just ended, is about
/// to end, or is being removed when the next one arrives.
const PACES: [u64; 8] = [1_050, 1_000, 1_100, 950, 1_150, 1_050, 1_300, 1_400];
/// Milliseconds between rounds in which the datagrams follow each other without a pause.
const BURSTS: [u64; 2] = [1_050; 2];

fn remote(index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 2, 0, 1).to_bits() + index)
}

/// Returns the bytes of a datagram.
fn size(round: usize, remote: u32) -> usize {
    1 + (round + usize::try_from(remote).expect("small")) % 50
}

/// Sends a datagram to each remote and receives it: spread over `pace` milliseconds, or all at their beginning.
fn send_to_all(pair: &UdpPair, round: usize, pace: u64, spread: bool) {
    let (begin, pace) = (Instant::now(), Duration::from_millis(pace));
    let mut buffer = [0; 64];
    for index in 0..REMOTES {
        if spread && index % 16 == 0 {
            thread::sleep((pace * index / REMOTES).saturating_sub(begin.elapsed()));
        }
        pair.send(remote(index), &buffer[..size(round, index)]);
        pair.receiver.recv(&mut buffer).expect("a datagram");
    }
    thread::sleep(pace.saturating_sub(begin.elapsed()));
}

#[test]
fn datagrams_while_their_flow_is_removed() {
    let pair = UdpPair::in_one_namespace(1).remove(0);
    let port = pair.ports()[1].to_string();
    let options = ["--csv", "--closed", "--total", "-P", &port];
    let args = [&options[..], &["--flows", "65536", "-d", "0.1", "--udp-timeout", "1"]].concat();
    let finished = during(&args, || {
        for (round, pace) in PACES.into_iter().chain(BURSTS).enumerate() {
            send_to_all(&pair, round, pace, round < PACES.len());
        }
    });
    let lives = Lives::of(&finished.stdout);
    let mut expected: Vec<End> = Vec::new();
    for index in 0..REMOTES {
        let sizes = (0..PACES.len() + BURSTS.len()).map(|round| size(round, index));
        expected.extend(pair.ends(remote(index), u64::try_from(sizes.sum::<usize>()).expect("small")));
    }
    lives.assert_exact(&expected);
    let ends: usize = expected.iter().map(|end| lives.ends(&end.flow)).sum();
    assert!(ends > expected.len(), "flows ended only {ends} times");
    line("datagrams while their flow is removed", "-", &expected);
}
