//! Which process does a connection belong to? Here are the situations in which that is hard to tell: processes that are gone,
//! that have another's id, that share sockets, or that live in namespaces.
//!
//! Each test writes down what tcptop must say of its own connections. Tests that need programs of the build machine are in
//! `native`, which `ci/matrix` leaves out.

mod birth;
mod brief;
mod heirs;
mod last;
pub mod log;
mod native;
pub mod orders;
mod pid_space;
mod pids;
mod quiet;
mod resets;
mod reuse;
pub mod server;
mod spaces;
mod threads;
