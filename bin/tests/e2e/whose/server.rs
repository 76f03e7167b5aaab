//! A server that answers one request of each client, and clients that exit after the answer.

use std::{
    net::{SocketAddr, TcpListener},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::traffic::{Own, accept, receive, receive_to_end, send};

/// The bytes that a client sends.
pub const QUESTION: u64 = 30;
/// The bytes that a client receives.
pub const ANSWER: u64 = 4_000;

/// Returns whether this machine is emulated. Then it is too slow for limits in milliseconds.
pub fn is_slow() -> bool {
    std::env::var_os("TCPTOP_SLOW").is_some()
}

/// Answers this many clients one after another. It waits before each answer, so that a client lives for some milliseconds.
pub fn answer(listener: Own<TcpListener>, clients: usize) -> JoinHandle<()> {
    let pause = Duration::from_millis(if is_slow() { 100 } else { 2 });
    thread::spawn(move || {
        for _ in 0..clients {
            let stream = accept(&listener);
            receive(&stream, QUESTION);
            thread::sleep(pause);
            send(&stream, ANSWER);
            receive_to_end(&stream);
        }
    })
}

/// Returns the orders of a helper that is such a client.
pub fn question(server: SocketAddr) -> String {
    format!("connect {server}\nsend {QUESTION}\nreceive {ANSWER}")
}
