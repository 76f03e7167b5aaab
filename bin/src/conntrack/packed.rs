//! A compact form of a flow's addresses.

use tcptop_abi::{MappedAddress, mapped, unmapped};

/// Three addresses of one family. Three IPv4 addresses, which most flows have, take no more room than the box that IPv6
/// addresses need.
#[derive(Debug)]
pub enum Packed {
    V4([[u8; 4]; 3]),
    V6(Box<[MappedAddress; 3]>),
}

impl Packed {
    /// Packs the addresses.
    pub fn new(addresses: [MappedAddress; 3]) -> Self {
        match addresses.each_ref().map(unmapped) {
            [Some(first), Some(second), Some(third)] => Self::V4([first, second, third]),
            _ => Self::V6(Box::new(addresses)),
        }
    }

    /// The addresses.
    pub fn get(&self) -> [MappedAddress; 3] {
        match self {
            Self::V4(addresses) => addresses.map(mapped),
            Self::V6(addresses) => **addresses,
        }
    }
}

// `TrackedFlow` contains it. If it must be larger, raise this limit and that of `TrackedFlow`.
const _: () = assert!(size_of::<Packed>() <= 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let (four, six) = (mapped([192, 0, 2, 1]), [0x20; 16]);
        for addresses in [[four; 3], [six; 3], [four, six, four], [[0; 16]; 3], [mapped([0; 4]); 3]] {
            assert_eq!(Packed::new(addresses).get(), addresses);
        }
    }
}
