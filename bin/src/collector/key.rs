//! The key of a connection in its collector.

/// Identifies one connection of one collector.
///
/// The index is small, so a table can be indexed by it. It is used again after the connection has ended. The generation
/// distinguishes connections that had the same index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionKey {
    /// Position, counted from 0.
    pub index: u32,
    /// Number of the connection at that position, counted from 1.
    pub generation: u32,
}

impl ConnectionKey {
    /// Returns the key as one number, for use in a set. All sets of numbers share their compiled code.
    pub const fn number(self) -> u64 {
        (self.index as u64) << 32 | self.generation as u64
    }
}
