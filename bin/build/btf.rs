//! Makes the type information of a BPF object small: keeps only the types that the definitions of its maps refer to.
//!
//! Layout: include/uapi/linux/btf.h, v6.1.

use crate::order::Order;

/// Length of the header.
const HEADER: usize = 24;
/// Offsets in the header of two words each: where the types and the strings begin, counted from the header's end, and their
/// length.
const TYPES: usize = 8;
const STRINGS: usize = 16;

const KIND_INT: usize = 1;
const KIND_ARRAY: usize = 3;
const KIND_STRUCT: usize = 4;
const KIND_UNION: usize = 5;
const KIND_ENUM: usize = 6;
const KIND_FUNC_PROTO: usize = 13;
const KIND_VAR: usize = 14;
const KIND_DATASEC: usize = 15;
const KIND_FLOAT: usize = 16;
const KIND_DECL_TAG: usize = 17;
const KIND_ENUM64: usize = 19;

/// The section whose variables are the maps.
const MAPS: &[u8] = b".maps";

/// What a word of a type means: a plain number, the offset of a name, or the number of a type.
#[derive(Clone, Copy)]
enum Word {
    Plain,
    Name,
    Type,
}
use Word::{Name, Plain, Type};

/// The words that follow a type's first three, how often they are repeated, and what the third word means. `info` is the
/// second word.
fn shape(info: usize) -> Option<(&'static [Word], usize, Word)> {
    let (kind, count) = (info >> 24 & 0x1f, info & 0xffff);
    Some(match kind {
        KIND_INT => (&[Plain], 1, Plain),
        KIND_ARRAY => (&[Type, Type, Plain], 1, Plain),
        KIND_STRUCT | KIND_UNION => (&[Name, Type, Plain], count, Plain),
        KIND_ENUM => (&[Name, Plain], count, Plain),
        KIND_FUNC_PROTO => (&[Name, Type], count, Type),
        KIND_VAR | KIND_DECL_TAG => (&[Plain], 1, Type),
        KIND_DATASEC => (&[Type, Plain, Plain], count, Plain),
        KIND_FLOAT => (&[], 0, Plain),
        KIND_ENUM64 => (&[Name, Plain, Plain], count, Plain),
        kind if kind < KIND_ENUM64 => (&[], 0, Type),
        _ => return None,
    })
}

/// What each word of one type means.
fn words(info: usize) -> Option<Vec<Word>> {
    let (repeated, count, third) = shape(info)?;
    let mut words = vec![Name, Plain, third];
    words.extend(repeated.iter().copied().cycle().take(repeated.len() * count));
    Some(words)
}

/// Returns the section with only the types that its maps need. `None` if the section is damaged or has an unknown kind of type.
pub fn of_maps(btf: &[u8], order: Order) -> Option<Vec<u8>> {
    let word = |bytes: &[u8], at| order.number::<4>(bytes, at);
    let types = part(btf, TYPES, order)?;
    let strings = part(btf, STRINGS, order)?;
    let name = |at: usize| strings.get(at..)?.split(|byte| *byte == 0).next();

    // Type 0 is void.
    let (mut all, mut rest) = (vec![&types[..0]], types);
    while !rest.is_empty() {
        let length = words(word(rest, 4)?)?.len() * 4;
        all.push(rest.get(..length)?);
        rest = &rest[length..];
    }
    let is_maps = |bytes: &&[u8]| {
        let kind = word(bytes, 4).map(|info| info >> 24 & 0x1f);
        kind == Some(KIND_DATASEC) && word(bytes, 0).and_then(name) == Some(MAPS)
    };
    let maps = all.iter().position(is_maps)?;

    // Number the types in the order of discovery. The kernel accepts any order.
    let (mut numbers, mut found_types) = (vec![None; all.len()], vec![]);
    let mut found = vec![maps];
    while let Some(id) = found.pop() {
        if id == 0 || numbers.get(id)?.is_some() {
            continue;
        }
        found_types.push(id);
        numbers[id] = Some(found_types.len());
        for (at, what) in words(word(all[id], 4)?)?.iter().enumerate() {
            if matches!(what, Type) {
                found.push(word(all[id], at * 4)?);
            }
        }
    }

    let (mut types, mut strings) = (Vec::new(), vec![0]);
    for id in found_types {
        for (at, what) in words(word(all[id], 4)?)?.iter().enumerate() {
            let old = word(all[id], at * 4)?;
            let new = match what {
                Plain => old,
                Type => numbers[old].unwrap_or(0),
                Name => {
                    let text = name(old)?;
                    let new = if text.is_empty() { 0 } else { strings.len() };
                    if new > 0 {
                        strings.extend_from_slice(text);
                        strings.push(0);
                    }
                    new
                }
            };
            types.extend(order.word(new)?);
        }
    }
    let mut out = btf.get(..TYPES)?.to_vec();
    for number in [0, types.len(), types.len(), strings.len()] {
        out.extend(order.word(number)?);
    }
    out.extend(types);
    out.extend(strings);
    Some(out)
}

/// The part of the section whose offset and length are at `at` in the header.
fn part(btf: &[u8], at: usize, order: Order) -> Option<&[u8]> {
    let word = |at| order.number::<4>(btf, at);
    let start = word(4)? + word(at)?;
    if word(4)? != HEADER {
        return None;
    }
    btf.get(start..start + word(at + 4)?)
}
