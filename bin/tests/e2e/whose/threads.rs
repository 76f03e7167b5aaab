//! A process whose sockets are made and used in a thread of another name, and that exits right after.

use super::{
    log::{Log, owner},
    server::{ANSWER, QUESTION, answer, question},
};
use crate::{
    options::Cells,
    puppet::{play, threaded},
    traffic::{V4, listen},
};

const COUNT: usize = 10;

#[test]
fn the_process_is_named_and_found() {
    let listener = listen(V4);
    let address = listener.local_addr().expect("bound");
    let port = address.port().to_string();
    let log = Log::start(&["-d", "0.5", "-D", &port]);
    let found = Log::start(&["-d", "0.5", "-D", &port, "--comm", "e2e-digger"]);
    let server = answer(listener, COUNT);
    for _ in 0..COUNT {
        let pid = play(&mut threaded("e2e-digger", "isc-net-0000"), &question(address)).to_string();
        let is_closed = |row: &Cells| row["event"] == "closed" && row["pid"] == pid;
        let row = log.expect(&pid, is_closed);
        assert_eq!(owner(&row), (&*pid, "e2e-digger"), "{row:?}");
        let moved = [&row["rx_bytes"], &row["tx_bytes"]];
        assert_eq!(moved, [&ANSWER.to_string(), &QUESTION.to_string()], "{row:?}");
        found.expect(&pid, is_closed);
    }
    server.join().expect("a server");
    log.stop();
    found.stop();
}
