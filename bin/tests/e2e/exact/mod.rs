//! Exactness: known traffic through real sockets, and every byte of it in the final rows. `ci/exact` runs these tests and
//! makes a table of the lines they print.
//!
//! What needs more than one machine with a loopback (programs, kernel modules, gigabytes) is in `native`, which `ci/matrix`
//! leaves out.

mod acceptors;
mod amounts;
mod buffers;
mod calls;
mod connects;
mod corners;
mod crews;
mod datagrams;
mod deafness;
mod encrypted;
mod endings;
mod fastopen;
mod handed;
mod mapped;
pub mod native;
mod offload;
mod older;
mod owners;
mod probes;
mod receivers;
mod refused;
mod resets;
mod restored;
mod round_trips;
mod windows;
mod witness;

use crate::{
    harness::Tcptop,
    rows::{End, Row},
};

/// Finishes like [`Tcptop::finish`], which panics if one byte or one owner is wrong, and prints the case's line.
/// `witness`: who else said how many bytes there were, besides the programs that sent and received them.
pub fn case(name: &str, witness: &str, tcptop: Tcptop, ends: &[End]) -> Vec<Row> {
    let rows = tcptop.finish(ends);
    line(name, witness, ends);
    rows
}

/// Prints the line of a case whose ends were all found exact.
pub fn line(name: &str, witness: &str, ends: &[End]) {
    let bytes: u64 = ends.iter().map(|end| end.rx + end.tx).sum();
    println!("exact: {name}|{}|{bytes}|{witness}", ends.len());
}
