//! Damages an input as files and messages get damaged, and in ways that parsers do not expect.

use super::Random;

/// The longest input in bytes.
pub const LONGEST: usize = 64 * 1024;

/// Text that parsers of numbers, names and lines are likely to mishandle.
const TOKENS: [&[u8]; 26] = [
    b"0",
    b"-1",
    b"+1",
    b"255",
    b"256",
    b"65535",
    b"65536",
    b"4294967295",
    b"4294967296",
    b"9223372036854775808",
    b"18446744073709551615",
    b"18446744073709551616",
    b"99999999999999999999999999999999999999999999",
    b"0x",
    b"0xffffffffffffffff",
    b"1e9",
    b"\0",
    b"\n",
    b"\r\n",
    b" ",
    b"\"",
    b"\\",
    b"\xff\xff\xff\xff",
    // This is a part of a character.
    b"\xe6\x97",
    // These are a control character of two bytes, and a sequence that controls a terminal.
    b"\xc2\x9b",
    b"\x1b[2J",
];

/// Lengths in words of two or four bytes: around the sizes of headers, and at the ends of the range.
const WORDS: [u32; 16] =
    [0, 1, 2, 3, 4, 5, 15, 16, 17, 20, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, u32::MAX];

/// Returns a damaged copy of one of these inputs. `tokens`: words that mean something to the parser.
pub fn mutate(inputs: &[Vec<u8>], tokens: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let mut input = random.one_of(inputs).clone();
    // Make few changes in most cases: a parser refuses an input at its beginning if it is damaged everywhere.
    for _ in 0..1 << random.below(5) {
        change(&mut input, inputs, tokens, random);
    }
    input.truncate(LONGEST);
    input
}

fn change(input: &mut Vec<u8>, inputs: &[Vec<u8>], tokens: &[&[u8]], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let (from, to) = range(input, random);
    match random.below(12) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = random.byte(),
        2 => input.insert(at, random.byte()),
        3 => drop(input.drain(from..to)),
        4 => input.truncate(at),
        5 => {
            let piece = input[from..to].to_vec();
            insert(input, at, &piece);
        }
        6 => {
            let other = random.one_of(inputs);
            let (from, to) = range(other, random);
            insert(input, at, &other[from..to]);
        }
        7 | 8 => {
            let own = random.below(2) == 0 && !tokens.is_empty();
            insert(input, at, random.one_of(if own { tokens } else { &TOKENS }));
        }
        9 => {
            // Replace a number.
            let token = *random.one_of(&TOKENS);
            let begin =
                input[..at].iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |last| last + 1);
            let length = input[begin..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            input.splice(begin..begin + length, token.iter().copied());
        }
        10 => word(input, random),
        // Repeat a line, or a part of one, many times. Do it rarely, because it takes time.
        _ if random.below(16) == 0 && from < to => {
            let times = (LONGEST.saturating_sub(input.len()) / (to - from)).min(1 << random.below(17));
            let piece = input[from..to].repeat(times);
            insert(input, to, &piece);
        }
        _ => {}
    }
}

/// Chooses some bytes of `input`: usually few, sometimes whole lines.
fn range(input: &[u8], random: &mut Random) -> (usize, usize) {
    let from = random.below(input.len() + 1);
    if random.below(4) == 0 {
        let is_end = |byte: &u8| *byte == b'\n';
        let begin = input[..from].iter().rposition(is_end).map_or(0, |last| last + 1);
        let end = input[from..].iter().position(is_end).map_or(input.len(), |length| from + length + 1);
        return (begin, end);
    }
    let most = 1 << random.below(7);
    (from, input.len().min(from + random.below(most + 1)))
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    if input.len() + piece.len() <= LONGEST {
        input.splice(at..at, piece.iter().copied());
    }
}

/// Sets a word to a length, or changes it by one.
fn word(input: &mut [u8], random: &mut Random) {
    let size = *random.one_of(&[2, 4]);
    let Some(places) = (input.len() / 2).checked_sub(size / 2) else { return };
    let at = 2 * random.below(places + 1);
    let place = &mut input[at..at + size];
    let mut bytes = [0; 4];
    bytes[..size].copy_from_slice(place);
    let before = u32::from_le_bytes(bytes);
    let after = match random.below(4) {
        0 => before.wrapping_add(1),
        1 => before.wrapping_sub(1),
        _ => *random.one_of(&WORDS),
    };
    place.copy_from_slice(&after.to_le_bytes()[..size]);
}
