//! Tests connections that a router forwards. Its connection tracking counts the bytes of whole IP packets.

pub mod native;
mod tun;
mod wire;
