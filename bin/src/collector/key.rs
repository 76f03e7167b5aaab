//! Which connection of a collector is meant.

/// Names one connection of one collector.
///
/// The index is small, so that a table can be indexed by it, and is used again after the connection has ended. The
/// generation tells those apart that had the same index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionKey {
    /// Position, counted from 0.
    pub index: u32,
    /// Which connection at that position; at least 1.
    pub generation: u32,
}

impl ConnectionKey {
    /// The key as one number, for a set: sets of numbers share their code.
    pub const fn number(self) -> u64 {
        (self.index as u64) << 32 | self.generation as u64
    }
}
