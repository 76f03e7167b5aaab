//! Bytes both ways.

use std::ops::AddAssign;

/// Payload bytes, both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Received.
    pub rx: u64,
    /// Sent.
    pub tx: u64,
}

impl Traffic {
    /// Both ways together.
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
