//! Connections that a router passes on, as its connection tracking counts them: bytes of whole IP packets.

pub mod native;
mod tun;
mod wire;
