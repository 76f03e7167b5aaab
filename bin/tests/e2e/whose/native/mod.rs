//! Tests that need programs of the build machine.

mod dig;
mod paths;
pub mod ring;
mod uring;
