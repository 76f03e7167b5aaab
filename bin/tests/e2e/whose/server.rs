//! A server that answers one question of each client, and clients that live no longer than that.

use std::{
    net::{SocketAddr, TcpListener},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::traffic::{Own, accept, receive, receive_to_end, send};

/// Bytes that a client sends.
pub const QUESTION: u64 = 30;
/// Bytes that it receives.
pub const ANSWER: u64 = 4_000;

/// Returns whether this machine is emulated. Then it is too slow for limits in milliseconds.
pub fn is_slow() -> bool {
    std::env::var_os("TCPTOP_SLOW").is_some()
}

/// Answers so many clients, one after another. An answer takes a moment, so that each client lives for some milliseconds.
pub fn answer(listener: Own<TcpListener>, clients: usize) -> JoinHandle<()> {
    let moment = Duration::from_millis(if is_slow() { 100 } else { 2 });
    thread::spawn(move || {
        for _ in 0..clients {
            let stream = accept(&listener);
            receive(&stream, QUESTION);
            thread::sleep(moment);
            send(&stream, ANSWER);
            receive_to_end(&stream);
        }
    })
}

/// Orders for a helper that is such a client.
pub fn question(server: SocketAddr) -> String {
    format!("connect {server}\nsend {QUESTION}\nreceive {ANSWER}")
}
