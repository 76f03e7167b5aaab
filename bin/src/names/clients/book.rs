//! Names by address, collected from one source after another.

use std::collections::HashMap;

/// The largest number of names.
const ENOUGH: usize = 8192;
/// The longest name in bytes, which is that of a DNS label. Longer names are cut.
const LENGTH: usize = 63;

/// 16 bytes, IPv4 mapped.
pub type HostAddress = [u8; 16];

/// The names known so far. The best source comes first, and a later source does not replace its names.
#[derive(Default)]
pub struct Book {
    names: HashMap<HostAddress, Name>,
    source: usize,
}

struct Name {
    source: usize,
    name: Box<[u8]>,
}

impl Book {
    /// Begins another source.
    pub fn begin(&mut self) {
        self.source += 1;
    }

    /// Sets a name, and replaces one that the same source gave before. An empty name removes that one.
    pub fn set(&mut self, address: HostAddress, name: &[u8]) {
        let source = self.source;
        if self.names.get(&address).is_some_and(|entry| entry.source != source) {
            return;
        }
        self.names.remove(&address);
        self.add(address, name);
    }

    /// Sets a name for an address that has none yet.
    pub fn add(&mut self, address: HostAddress, name: &[u8]) {
        // Kea writes whole domain names, which end with a dot.
        let name = name.strip_suffix(b".").unwrap_or(name);
        if name.is_empty() || self.names.len() >= ENOUGH {
            return;
        }
        let source = self.source;
        let name = &name[..name.len().min(LENGTH)];
        self.names.entry(address).or_insert_with(|| Name { source, name: name.into() });
    }

    /// The name of an address; empty if it is unknown.
    pub fn name(&self, address: &HostAddress) -> &[u8] {
        self.names.get(address).map_or(b"", |entry| &entry.name)
    }

    /// All of them.
    #[cfg(test)]
    pub fn names(&self) -> std::collections::BTreeMap<HostAddress, Vec<u8>> {
        self.names.iter().map(|(address, entry)| (*address, entry.name.to_vec())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: HostAddress = [1; 16];

    #[test]
    fn a_source_corrects_only_itself() {
        let mut book = Book::default();
        assert_eq!(book.name(&A), b"");
        book.begin();
        book.set(A, b"old");
        book.set(A, b"new");
        book.add(A, b"other");
        assert_eq!(book.name(&A), b"new");
        book.begin();
        book.set(A, b"worse");
        book.set(A, b"");
        assert_eq!(book.name(&A), b"new");
    }

    #[test]
    fn a_name_that_its_source_takes_away_leaves_room_for_another() {
        let mut book = Book::default();
        book.begin();
        book.set(A, b"gone");
        book.set(A, b"");
        assert_eq!(book.name(&A), b"");
        book.begin();
        book.add(A, b"known.");
        assert_eq!(book.name(&A), b"known", "without the dot of the root domain");
    }

    #[test]
    fn lengths_and_numbers_have_limits() {
        let mut book = Book::default();
        book.add(A, &[b'x'; LENGTH]);
        book.add([2; 16], &[b'\xff'; LENGTH + 1]);
        assert_eq!(book.name(&A), [b'x'; LENGTH]);
        assert_eq!(book.name(&[2; 16]), [b'\xff'; LENGTH], "bytes stay as they are");
        for number in 0..=ENOUGH as u128 {
            book.set(number.to_be_bytes(), b"many");
        }
        assert_eq!(book.names.len(), ENOUGH);
        assert_eq!(book.name(&(ENOUGH as u128).to_be_bytes()), b"");
        book.set([0; 16], b"again");
        assert_eq!(book.name(&[0; 16]), b"again", "a full book still replaces names");
    }
}
