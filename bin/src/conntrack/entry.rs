//! An entry of the connection tracking table, as each source of entries reads it.

use std::hash::{BuildHasher, RandomState};

use super::tuple::Tuple;
use crate::collector::TcpState;

/// Whole IP packets of one direction, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub packets: u64,
    pub bytes: u64,
}

/// One tracked connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The protocol number of the IP header.
    pub protocol: u8,
    /// The zone in which the original tuple is unique.
    pub zone: u16,
    /// The addresses of the first packet, before address translation.
    pub original: Tuple,
    /// The addresses of replies: the source is the real destination, and the destination is the translated source.
    pub reply: Tuple,
    /// Counts of the original and the reply direction. `None`: the kernel does not count for this entry.
    pub counts: [Option<Count>; 2],
    /// `None` for other protocols than TCP, and while the connection is offloaded.
    pub state: Option<TcpState>,
    /// A flow table or the network card forwards its packets.
    pub offloaded: bool,
    /// An id that usually differs from that of an earlier entry with the same tuples. `None`: the source does not provide it.
    pub instance: Option<u32>,
    /// When it began: nanoseconds since the Unix epoch. `None`: the kernel keeps no time stamps.
    pub began: Option<u64>,
}

/// Identifies an entry by the fields that are unique in the table, whichever source it was read from.
///
/// The identity is a 64-bit hash, so that the table of flows stays small. Its seed is random, so nobody can choose addresses
/// and ports that make two entries look like one.
#[derive(Debug, Default)]
pub struct Identity(RandomState);

impl Identity {
    /// The hash that identifies this entry.
    pub fn of(&self, entry: &Entry) -> u64 {
        self.0.hash_one((entry.zone, entry.protocol, &entry.original))
    }
}
