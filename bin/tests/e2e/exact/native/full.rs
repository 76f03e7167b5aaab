//! Tests a full table: the bytes of all rows and the untracked bytes add up to what was moved.

use std::{net::TcpListener, thread, time::Duration};

use crate::{
    harness::{self, Process},
    namespace,
    options::{Cells, cells},
    traffic::{Own, accept, allow_descriptors, connect, listen, transfer},
};

/// The number of connections, of which the table has room for a third, and the bytes that each moves in a round.
const CONNECTIONS: u64 = 3_000;
const BYTES: u64 = 100;
/// The number of connections that are closed between the rounds.
const CLOSED_EARLY: usize = 400;

fn number(row: &Cells, column: &str) -> u64 {
    row[column].parse().unwrap_or(0)
}

/// Returns the sums of these rows' bytes, received and sent.
fn sum<'a>(rows: impl Iterator<Item = &'a Cells>) -> (u64, u64) {
    rows.fold((0, 0), |(rx, tx), row| (rx + number(row, "rx_bytes"), tx + number(row, "tx_bytes")))
}

/// Moves bytes on all connections, closes some of them to make room in the table, and moves bytes again on the others.
fn move_in_two_rounds(listener: &TcpListener) {
    let address = listener.local_addr().expect("bound");
    let mut pairs: Vec<(Own<_>, Own<_>)> = (0..CONNECTIONS)
        .map(|_| {
            let client = connect(address);
            (client, accept(listener))
        })
        .collect();
    for round in 0..2 {
        for (client, server) in &pairs {
            transfer(client, server, BYTES);
        }
        if round == 0 {
            thread::sleep(Duration::from_millis(700));
            pairs.drain(..CLOSED_EARLY);
            thread::sleep(Duration::from_millis(700));
        }
    }
}

#[test]
fn connections_that_find_room_later_are_counted_once() {
    allow_descriptors(8_192);
    let args = ["--csv", "--flows", "1024", "--total", "--closed", "-d", "0.3"];
    let (ready, is_ready) = std::sync::mpsc::channel();
    let process = Process::start(&mut harness::tcptop(&args), move |_| _ = ready.send(()));
    is_ready.recv_timeout(harness::LIMIT).expect("a header");
    let port = thread::spawn(|| {
        namespace::enter_new();
        let listener = listen("127.0.0.1:10");
        move_in_two_rounds(&listener);
        listener.local_addr().expect("bound").port().to_string()
    });
    let port = port.join().expect("no panic");
    thread::sleep(Duration::from_millis(700));
    process.signal(libc::SIGINT);
    let finished = process.wait();
    finished.assert_code(0);
    let rows = cells(&finished.stdout);
    let mine = |row: &&Cells| row["event"] == "closed" && (row["lport"] == port || row["rport"] == port);
    let closed = sum(rows.iter().filter(mine));
    let untracked = sum(rows.iter().filter(|row| row["event"] == "untracked"));
    // A connection has the bytes of both rounds, or of one. One that found room later lacks those of the first round.
    let moved_by = |row: &Cells| number(row, "rx_bytes") + number(row, "tx_bytes");
    let whole = rows.iter().filter(mine).filter(|row| moved_by(row) == 2 * BYTES);
    let part = rows.iter().filter(mine).filter(|row| moved_by(row) == BYTES);
    let (whole, part) = (whole.count(), part.count());
    assert!(
        whole <= 1024 && part > 2 * CLOSED_EARLY,
        "{whole} connections have both rounds, and {part} have one"
    );
    let moved = CONNECTIONS * BYTES + (CONNECTIONS - CLOSED_EARLY as u64) * BYTES;
    let both = (closed.0 + untracked.0, closed.1 + untracked.1);
    // Connections of other programs on this machine may be untracked too.
    let fits = both.0 >= moved && both.1 >= moved;
    assert!(fits, "{moved} moved; closed {closed:?}, untracked {untracked:?}");
    println!("{moved} moved; closed {closed:?}, untracked {untracked:?}");
}
