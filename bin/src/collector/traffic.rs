//! A number of bytes in each direction.

use std::ops::AddAssign;

/// Payload bytes in each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Received.
    pub rx: u64,
    /// Sent.
    pub tx: u64,
}

impl Traffic {
    /// Returns the sum of both directions.
    pub const fn sum(self) -> u64 {
        self.rx.saturating_add(self.tx)
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.rx = self.rx.saturating_add(other.rx);
        self.tx = self.tx.saturating_add(other.tx);
    }
}
