//! Tests IPsec by policy. The egress hook sees encrypted packets that contain those of the sockets.

use std::thread;

use crate::{
    exact::case,
    harness::Tcptop,
    ipsec::{Mode, begin},
    namespace,
    traffic::{Pair, V4, datagram, finish_sending, receive_to_end, udp},
    whose::log::Log,
};

/// Runs `act` in a network namespace with IPsec. Returns false if the kernel has no IPsec.
fn inside(mode: Mode, act: impl FnOnce() + Send + 'static) -> bool {
    let thread = thread::spawn(move || {
        namespace::enter_new();
        let Some(_ipsec) = begin(mode) else {
            println!("skipped: this kernel has no IPsec");
            return false;
        };
        act();
        true
    });
    thread.join().expect("no panic")
}

fn connections(mode: Mode, name: &'static str) {
    inside(mode, move || {
        let tcptop = Tcptop::start();
        let mut expected = Vec::new();
        for (up, down) in [(300_000, 300), (0, 1), (300, 300_000)] {
            let pair = Pair::new(V4);
            pair.exchange(up, down);
            let both = pair.ends(up, down);
            tcptop.expect_live(&both);
            finish_sending(&pair.client);
            assert_eq!(receive_to_end(&pair.server), 0);
            tcptop.expect_live(&both);
            expected.extend(both);
        }
        case(name, "", tcptop, &expected);
    });
}

#[test]
fn transport_mode() {
    connections(Mode::Transport, "IPsec, transport mode");
}

#[test]
fn tunnel_mode() {
    connections(Mode::Tunnel, "IPsec, tunnel mode");
}

#[test]
fn transport_mode_in_udp() {
    connections(Mode::InUdp, "IPsec in UDP");
}

/// tcptop cannot see datagrams that are sent inside encrypted packets. It says so, and counts the packets as `other`.
#[test]
fn datagrams_are_other() {
    for mode in [Mode::Transport, Mode::InUdp] {
        inside(mode, || {
            let log = Log::of_columns("event,rx_bytes,tx_bytes", &["--total", "-d", "0.5"]);
            let (server, client) = (udp(V4), udp(V4));
            client.connect(server.local_addr().expect("bound")).expect("connect");
            for _ in 0..5 {
                client.send(&[0; 400]).expect("send");
                datagram(&server, 400);
            }
            let (rows, messages) = log.stop_with_messages();
            assert!(messages.contains("inside other packets"), "{messages}");
            let sum = |event: &str, column: &str| -> u64 {
                let of = rows.iter().filter(|row| row["event"] == event);
                of.map(|row| row[column].parse::<u64>().unwrap_or(0)).sum()
            };
            let sent = sum("other", "tx_bytes");
            assert!((2_000..4_000).contains(&sent), "{sent} bytes of other packets: {rows:#?}");
            assert!(sum("total", "rx_bytes") >= 2_000, "received datagrams are in the total: {rows:#?}");
        });
    }
}
