//! With a router of its own: three network namespaces.

mod offload;
mod options;
pub mod router;
mod short;
mod translated;
mod zones;
