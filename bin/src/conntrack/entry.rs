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
    /// Its number in the IP header.
    pub protocol: u8,
    /// The zone in which the original tuple is unique.
    pub zone: u16,
    /// As the first packet came, before address translation.
    pub original: Tuple,
    /// As answers come: its source is the real destination, its destination the source as it is translated.
    pub reply: Tuple,
    /// Of the original direction and the reply direction; `None`: the kernel does not count for this entry.
    pub counts: [Option<Count>; 2],
    /// `None` for other protocols than TCP, and while the connection is offloaded.
    pub state: Option<TcpState>,
    /// A flow table or the network card forwards its packets.
    pub offloaded: bool,
    /// Differs from that of an earlier entry with the same tuples, mostly; `None`: the source does not tell.
    pub instance: Option<u32>,
    /// When it began: nanoseconds since the Unix epoch. `None`: the kernel keeps no time stamps.
    pub began: Option<u64>,
}

/// Recognizes an entry by what is unique in the table, whichever source it was read from.
///
/// 64 bits stand for an entry, so that the table of flows is small. The seed is random: nobody can choose addresses and
/// ports so that two entries are taken for one.
#[derive(Debug, Default)]
pub struct Identity(RandomState);

impl Identity {
    /// What stands for this entry.
    pub fn of(&self, entry: &Entry) -> u64 {
        self.0.hash_one((entry.zone, entry.protocol, &entry.original))
    }
}
