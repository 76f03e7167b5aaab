//! Tests which process tcptop names as the owner of a connection, in situations in which that is hard to find out: the process
//! has exited, its pid belongs to another process, several processes share a socket, or they live in namespaces.
//!
//! Tests that need programs of the build machine are in `native`, which `ci/matrix` skips.

mod chosen_pid;
mod idle;
mod inherited;
mod last_close;
pub mod log;
mod native;
mod netns;
pub mod orders;
mod pid_namespaces;
mod pid_reuse;
mod pidns_init;
mod resets;
pub mod server;
mod short_lived;
mod threads;
