//! Values by position, stored in pieces of one size.
//!
//! The static binary's allocator (SmpAllocator of Zig's C library) rounds allocations of up to 32 KiB, with its 16 bytes of
//! bookkeeping, to the next power of two, and never gives them back to the kernel. A value of 176 bytes would take 256 by
//! itself. A piece consists of whole pages, and returns to the kernel when no value is left in it.

/// Bytes of a piece.
const PIECE: usize = 64 * 1024 - 16;

/// The values of one piece.
type Piece<T> = Vec<Option<T>>;

/// Values of a type at positions that are mostly dense.
#[derive(Debug)]
pub struct Slots<T> {
    /// A piece without values is empty.
    pieces: Vec<Piece<T>>,
    /// The number of values in each piece.
    counts: Vec<u16>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { pieces: Vec::new(), counts: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// The number of values that fit into a piece.
    const EACH: usize = PIECE / size_of::<Option<T>>();

    /// Puts a value at a position, and returns the one that was there.
    pub fn insert(&mut self, index: usize, value: T) -> Option<T> {
        let (piece, at) = (index / Self::EACH, index % Self::EACH);
        if piece >= self.pieces.len() {
            self.pieces.resize_with(piece + 1, Vec::new);
            self.counts.resize(piece + 1, 0);
        }
        let values = &mut self.pieces[piece];
        if values.is_empty() {
            values.reserve_exact(Self::EACH);
            values.resize_with(Self::EACH, || None);
        }
        let former = values[at].replace(value);
        self.counts[piece] += u16::from(former.is_none());
        former
    }

    /// Returns the value at a position.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.pieces.get(index / Self::EACH)?.get(index % Self::EACH)?.as_ref()
    }

    /// Returns the value at a position for changes.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.pieces.get_mut(index / Self::EACH)?.get_mut(index % Self::EACH)?.as_mut()
    }

    /// Removes the value at a position.
    pub fn remove(&mut self, index: usize) -> Option<T> {
        let piece = index / Self::EACH;
        let values = self.pieces.get_mut(piece)?;
        let value = values.get_mut(index % Self::EACH)?.take()?;
        self.counts[piece] -= 1;
        if self.counts[piece] == 0 {
            *values = Vec::new();
        }
        Some(value)
    }

    /// Iterates over all values by position.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten().flatten()
    }

    /// Iterates over all values for changes.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pieces.iter_mut().flatten().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_and_go() {
        let mut slots = Slots::<[u64; 19]>::default();
        let each = Slots::<[u64; 19]>::EACH;
        assert!(slots.get(5).is_none() && slots.remove(5).is_none());
        for index in [0, each - 1, each, 3 * each] {
            assert_eq!(slots.insert(index, [index as u64; 19]), None);
        }
        assert_eq!(slots.insert(each, [7; 19]), Some([each as u64; 19]));
        slots.get_mut(each).expect("there")[0] = 8;
        let firsts: Vec<u64> = slots.iter().map(|value| value[0]).collect();
        assert_eq!(firsts, [0, each as u64 - 1, 8, 3 * each as u64]);
        let held = |slots: &Slots<_>| slots.pieces.iter().filter(|piece| piece.capacity() > 0).count();
        assert_eq!(held(&slots), 3, "the third piece is empty");
        for (index, left) in [(0, 3), (each - 1, 2), (each, 1), (3 * each, 0)] {
            assert!(slots.remove(index).is_some() && slots.remove(index).is_none());
            assert_eq!(held(&slots), left);
        }
    }

    #[test]
    fn a_piece_fills_its_pages() {
        let used = |each: usize, size: usize| each * size;
        let bytes =
            used(Slots::<crate::conn::Connection>::EACH, size_of::<Option<crate::conn::Connection>>());
        assert!(bytes <= PIECE && bytes > PIECE - 256, "{bytes}");
    }
}
