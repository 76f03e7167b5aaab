//! The byte order of a BPF object, which is that of the CPU on which it runs.

/// A byte order.
#[derive(Clone, Copy)]
pub enum Order {
    Little,
    Big,
}

impl Order {
    /// Reads a number of `N` bytes, at most eight, at `at`.
    pub fn number<const N: usize>(self, bytes: &[u8], at: usize) -> Option<usize> {
        let bytes = bytes.get(at..at.checked_add(N)?)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        let number = match self {
            Self::Little => bytes.iter().rev().fold(0, add),
            Self::Big => bytes.iter().fold(0, add),
        };
        usize::try_from(number).ok()
    }

    /// Writes a number into four bytes.
    pub fn word(self, number: usize) -> Option<[u8; 4]> {
        let number = u32::try_from(number).ok()?;
        Some(match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        })
    }

    /// Writes a number into eight bytes.
    pub fn long(self, number: usize) -> Option<[u8; 8]> {
        let number = u64::try_from(number).ok()?;
        Some(match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        })
    }
}
