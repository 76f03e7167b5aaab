//! Tests that need programs of the build machine.

mod dig;
pub mod io_uring;
mod killed_io_uring;
mod subflows;
