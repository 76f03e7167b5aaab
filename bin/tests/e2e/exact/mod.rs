//! Exactness tests. They send known traffic through real sockets, and expect every byte of it in the final rows. `ci/exact`
//! runs these tests and makes a table of the lines that they print.
//!
//! Tests that need other programs, kernel modules or gigabytes of traffic are in `native`, which `ci/matrix` skips.

mod acceptors;
mod amounts;
mod buffers;
mod connects;
mod corner_cases;
mod datagrams;
mod encrypted;
mod endings;
mod fastopen;
mod lost_segments;
mod mapped;
pub mod native;
mod offload;
mod older;
mod owners;
mod passed_sockets;
mod probes;
mod receivers;
mod refused;
mod resets;
mod restored;
mod round_trips;
mod windows;
mod witness;
mod worker_processes;
mod zero_copy;

use crate::{
    harness::Tcptop,
    rows::{End, Row},
};

/// Finishes like [`Tcptop::finish`], which panics if one byte or one owner is wrong, and prints the case's line. `witness`
/// names a second source of the numbers, besides the programs that sent and received the bytes.
pub fn case(name: &str, witness: &str, tcptop: Tcptop, ends: &[End]) -> Vec<Row> {
    let rows = tcptop.finish(ends);
    line(name, witness, ends);
    rows
}

/// Prints the line of a case. The caller has found all its ends exact.
pub fn line(name: &str, witness: &str, ends: &[End]) {
    let bytes: u64 = ends.iter().map(|end| end.rx + end.tx).sum();
    println!("exact: {name}|{}|{bytes}|{witness}", ends.len());
}
