//! Tests with a router that consists of three network namespaces.

mod offload;
mod options;
pub mod router;
mod short;
mod translated;
mod zones;
