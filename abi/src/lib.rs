//! The records that the kernel programs (`kern`) write and the binary (`bin`) reads: map keys, map values and
//! ring buffer events.
//!
//! Every type is `#[repr(C)]` and consists of fixed-width integers in the host's byte order, without implicit padding. The
//! 64-bit BPF object and a 32-bit ARM userspace therefore agree on each byte; `layout` asserts it at compile time.
//! Addresses are 16 bytes in network order, IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2).
#![no_std]

#[cfg(feature = "user")]
mod address;
mod counters;
mod event;
mod flow;
mod layout;
mod owner;
mod places;
#[cfg(feature = "user")]
mod pod;
mod stats;
mod tcp;

#[cfg(feature = "user")]
pub use address::{MappedAddress, mapped, unmapped};
pub use counters::Counters;
pub use event::{DataEvent, EventKind, OwnerEvent, StateEvent, TcptopEvent, TcptopEventData};
pub use flow::{ClaimCode, Endpoints, Flow, FlowFlags, UdpKey};
pub use owner::{COMM_LEN, Owner};
pub use places::Places;
pub use stats::{Control, Stats};
pub use tcp::TcpStateCode;

/// IP protocol number of TCP (RFC 9293), as in `Flow::protocol`.
pub const IPPROTO_TCP: u8 = 6;
/// IP protocol number of UDP (RFC 768), as in `Flow::protocol`.
pub const IPPROTO_UDP: u8 = 17;

/// Bytes of the event ring. A power of two and a multiple of every page size in use (4 to 64 KiB).
pub const RING_BYTES: u32 = 512 * 1024;
/// The largest default number of entries of the flow table and of the maps beside it. Userspace sets fewer if memory is short,
/// or another number if the user asks for one.
pub const MAX_FLOWS: u32 = 65_536;
