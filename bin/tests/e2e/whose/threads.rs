//! Tests a process that opens and uses its socket in a thread of another name, and exits at once.

use super::{
    log::{Log, owner},
    server::{ANSWER, QUESTION, answer, is_slow, question},
};
use crate::{
    harness::eventually,
    helper::{play, threaded},
    options::Cells,
    traffic::{V4, listen},
};

const COUNT: usize = 10;

#[test]
fn the_row_has_the_name_of_the_process() {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let port = address.port().to_string();
    let log = Log::start(&["-d", "0.5", "-D", &port]);
    let found = Log::start(&["-d", "0.5", "-D", &port, "--comm", "e2e-digger"]);
    let server = answer(listener, COUNT);
    let (mut named, mut pids) = (0, Vec::new());
    for _ in 0..COUNT {
        let pid = play(&mut threaded("e2e-digger", "isc-net-0000"), &question(address)).to_string();
        let is_closed = |row: &Cells| row["event"] == "closed" && row["pid"] == pid;
        let row = log.expect(&pid, is_closed);
        let moved = [&row["rx_bytes"], &row["tx_bytes"]];
        assert_eq!(moved, [&ANSWER.to_string(), &QUESTION.to_string()], "{row:?}");
        pids.push(pid.clone());
        if owner(&row) == (&*pid, "e2e-digger") {
            named += 1;
        } else {
            // The process may have exited before tcptop got the CPU. The row then has the thread's name in braces.
            assert_eq!(owner(&row), (&*pid, "{isc-net-0000}"), "{row:?}");
        }
    }
    let enough = if is_slow() { 1 } else { COUNT / 3 };
    assert!(named >= enough, "only {named} of {COUNT} have the name of their process");
    server.join().expect("no panic");
    log.stop();
    // The second tcptop reads the names by itself, so it may find other processes in time.
    let found_enough = || {
        let rows = found.rows();
        let is_closed =
            |pid: &&String| rows.iter().any(|row| row["event"] == "closed" && row["pid"] == **pid);
        (pids.iter().filter(is_closed).count() >= enough).then_some(())
    };
    eventually("tcptop finds enough processes by their name", found_enough);
    found.stop();
}
