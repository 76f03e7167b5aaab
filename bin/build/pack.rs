//! Packs the object: a fifth of its bytes is enough, and the binary must be small. The format is the block format of LZ4
//! (<https://github.com/lz4/lz4/blob/v1.10.0/doc/lz4_Block_format.md>), behind the length of what was packed.

use std::collections::HashMap;

/// A match has so many bytes at least.
const LEAST: usize = 4;
/// A match begins no further back.
const FARTHEST: usize = 65_535;
/// The last bytes are literals; no match begins in the last twelve.
const LITERALS_AT_END: usize = 5;
const NO_MATCH_AT_END: usize = 12;

/// Packs these bytes, by the longest match at each place.
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("an object is not that large");
    let mut packed = length.to_le_bytes().to_vec();
    let mut places: HashMap<&[u8], Vec<usize>> = HashMap::new();
    let (mut at, mut literals) = (0, 0);
    while at + NO_MATCH_AT_END < bytes.len() {
        let found = places.get(&bytes[at..at + LEAST]).and_then(|places| longest(bytes, at, places));
        let taken = found.map_or(1, |(_, length)| length);
        if let Some((from, length)) = found {
            sequence(&bytes[literals..at], Some((at - from, length)), &mut packed);
            literals = at + length;
        }
        for place in at..at + taken {
            places.entry(&bytes[place..place + LEAST]).or_default().push(place);
        }
        at += taken;
    }
    sequence(&bytes[literals..], None, &mut packed);
    packed
}

/// The longest match among these places: where it begins, and its length.
fn longest(bytes: &[u8], at: usize, places: &[usize]) -> Option<(usize, usize)> {
    let most = bytes.len() - LITERALS_AT_END - at;
    let length = |from: usize| {
        bytes[from..].iter().zip(&bytes[at..at + most]).take_while(|(old, new)| old == new).count()
    };
    let near = places.iter().rev().take_while(|from| at - **from <= FARTHEST);
    near.map(|from| (*from, length(*from)))
        .filter(|(_, length)| *length >= LEAST)
        .max_by_key(|(_, length)| *length)
}

/// Appends literals, and a match by its distance and length.
fn sequence(literals: &[u8], found: Option<(usize, usize)>, packed: &mut Vec<u8>) {
    let extra = found.map_or(0, |(_, length)| length - LEAST);
    let nibble = |count: usize| u8::try_from(count.min(15)).expect("four bits");
    packed.push(nibble(literals.len()) << 4 | nibble(extra));
    more(literals.len(), packed);
    packed.extend_from_slice(literals);
    if let Some((distance, _)) = found {
        packed.extend_from_slice(&u16::try_from(distance).expect("not farther").to_le_bytes());
        more(extra, packed);
    }
}

/// Appends what a count has more than four bits hold.
fn more(count: usize, packed: &mut Vec<u8>) {
    if let Some(mut rest) = count.checked_sub(15) {
        while rest >= 255 {
            packed.push(255);
            rest -= 255;
        }
        packed.push(u8::try_from(rest).expect("less than 255"));
    }
}
