//! Unpacks what bin/build/pack.rs has packed: the BPF object and the help. The build script uses this file too, to check that
//! nothing is lost.
//!
//! The format is LZMA with the header of `.lzma` files. The specification is `DOC/lzma-specification.txt` of the LZMA SDK
//! (<https://www.7-zip.org/sdk.html>). Comments here give its names in parentheses.

/// The probability that a bit is 0, in 2048ths.
type Probability = u16;

/// The probability of a bit about which nothing is known (`PROB_INIT_VAL`).
const EVEN: Probability = 1 << 10;

/// The smallest number of bytes in a match (`kMatchMinLen`).
const LEAST: usize = 2;

/// Unpacks `packed`. Returns `None` if it is cut or not LZMA. If it is damaged, the result is usually `None`, but the format has
/// no checksum.
pub fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let (&[lclppb, _, _, _, _, length @ ..], stream) = packed.split_first_chunk::<13>()?;
    let length = usize::try_from(u64::from_le_bytes(length)).ok()?;
    let (lc, lp, pb) = (lclppb % 9, lclppb / 9 % 5, lclppb / 45);
    // The first byte is always 0; the next four are the range coder's first code.
    let (&[0, code @ ..], input) = stream.split_first_chunk::<5>()? else { return None };
    if pb > 4 || lc + lp > 4 {
        return None;
    }
    let mut bits = Bits { input, range: u32::MAX, code: u32::from_be_bytes(code) };
    let mut literals = vec![EVEN; 0x300 << (lc + lp)];
    let mut states = [[EVEN; 6]; 12];
    let mut states_at = [[[EVEN; 2]; 16]; 12];
    let mut lengths = [Lengths::default(), Lengths::default()];
    let mut slots = [[EVEN; 64]; 4];
    let (mut distances, mut low) = ([[EVEN; 32]; 14], [EVEN; 16]);
    let (mut state, mut last) = (0, [0usize; 4]);
    // Grow the vector as bytes come, so that a damaged length allocates nothing.
    let mut bytes: Vec<u8> = Vec::new();

    while bytes.len() < length {
        let at = bytes.len() & ((1 << pb) - 1);
        if bits.next(&mut states_at[state][at][IS_MATCH])? == 0 {
            let before = bytes.last().map_or(0, |byte| usize::from(*byte));
            let context = ((bytes.len() & ((1 << lp) - 1)) << lc) + (before >> (8 - lc));
            let probabilities = &mut literals[0x300 * context..][..0x300];
            // After a match, the byte that would have continued it is a hint.
            let hint = if state < 7 { None } else { Some(usize::from(byte_at(&bytes, last[0])?)) };
            bytes.push(literal(&mut bits, probabilities, hint)?);
            state = match state {
                0..4 => 0,
                4..10 => state - 3,
                _ => state - 6,
            };
            continue;
        }
        let was_literal = state < 7;
        let [is_rep, is_rep0, is_rep1, is_rep2, ..] = &mut states[state];
        let count = if bits.next(is_rep)? == 0 {
            let count = lengths[0].next(&mut bits, at)?;
            let slot = bits.tree(&mut slots[count.min(3)])?;
            last = [distance(&mut bits, slot, &mut distances, &mut low)?, last[0], last[1], last[2]];
            state = if was_literal { 7 } else { 10 };
            count
        } else {
            if bits.next(is_rep0)? == 0 {
                if bits.next(&mut states_at[state][at][IS_REP0_LONG])? == 0 {
                    let byte = byte_at(&bytes, last[0])?;
                    bytes.push(byte);
                    state = if was_literal { 9 } else { 11 };
                    continue;
                }
            } else {
                let which =
                    if bits.next(is_rep1)? == 0 { 1 } else { 2 + usize::from(bits.next(is_rep2)? != 0) };
                last[..=which].rotate_right(1);
            }
            state = if was_literal { 8 } else { 11 };
            lengths[1].next(&mut bits, at)?
        };
        for _ in 0..(count + LEAST).min(length - bytes.len()) {
            // It may reach into what it appends.
            let byte = byte_at(&bytes, last[0])?;
            bytes.push(byte);
        }
    }
    Some(bytes)
}

/// Index of the probability that a match begins, by state and position (`IsMatch`).
const IS_MATCH: usize = 0;
/// Index of the probability that a repeated match has more than one byte, by state and position (`IsRep0Long`).
const IS_REP0_LONG: usize = 1;

/// Returns the byte before the last `distance` bytes.
fn byte_at(bytes: &[u8], distance: usize) -> Option<u8> {
    bytes.len().checked_sub(distance)?.checked_sub(1).map(|at| bytes[at])
}

/// Reads a literal byte (`DecodeLiteral`).
fn literal(bits: &mut Bits<'_>, probabilities: &mut [Probability], hint: Option<usize>) -> Option<u8> {
    let (mut symbol, mut hint) = (1, hint);
    while symbol < 0x100 {
        let expected = hint.map(|hint| hint >> 7 & 1);
        let offset = expected.map_or(0, |bit| (1 + bit) << 8);
        let bit = bits.next(&mut probabilities[offset + symbol])?;
        symbol = symbol << 1 | bit;
        hint = hint.filter(|_| expected == Some(bit)).map(|hint| hint << 1);
    }
    u8::try_from(symbol & 0xff).ok()
}

/// Reads the distance of a match (`DecodeDistance`).
fn distance(
    bits: &mut Bits<'_>,
    slot: usize,
    distances: &mut [[Probability; 32]; 14],
    low: &mut [Probability; 16],
) -> Option<usize> {
    if slot < 4 {
        return Some(slot);
    }
    let direct = slot / 2 - 1;
    let high = (2 | slot & 1) << direct;
    if slot < 14 {
        return Some(high + bits.reversed(&mut distances[slot], direct)?);
    }
    let middle = bits.direct(direct - 4)? << 4;
    high.checked_add(middle)?.checked_add(bits.reversed(low, 4)?)
}

/// The lengths of matches (`CLenDecoder`).
struct Lengths {
    choices: [Probability; 2],
    /// By position.
    short: [[[Probability; 8]; 16]; 2],
    long: [Probability; 256],
}

impl Default for Lengths {
    fn default() -> Self {
        Self { choices: [EVEN; 2], short: [[[EVEN; 8]; 16]; 2], long: [EVEN; 256] }
    }
}

impl Lengths {
    fn next(&mut self, bits: &mut Bits<'_>, at: usize) -> Option<usize> {
        for (which, (choice, short)) in self.choices.iter_mut().zip(&mut self.short).enumerate() {
            if bits.next(choice)? == 0 {
                return Some(8 * which + bits.tree(&mut short[at])?);
            }
        }
        Some(16 + bits.tree(&mut self.long)?)
    }
}

/// The range coder (`CRangeDecoder`).
struct Bits<'a> {
    input: &'a [u8],
    range: u32,
    code: u32,
}

impl Bits<'_> {
    fn normalize(&mut self) -> Option<()> {
        if self.range < 1 << 24 {
            let (first, rest) = self.input.split_first()?;
            self.input = rest;
            self.range <<= 8;
            self.code = self.code << 8 | u32::from(*first);
        }
        Some(())
    }

    /// Reads a bit, and adapts its probability.
    fn next(&mut self, probability: &mut Probability) -> Option<usize> {
        self.normalize()?;
        let bound = (self.range >> 11) * u32::from(*probability);
        if self.code < bound {
            self.range = bound;
            *probability += ((1 << 11) - *probability) >> 5;
            Some(0)
        } else {
            self.range -= bound;
            self.code -= bound;
            *probability -= *probability >> 5;
            Some(1)
        }
    }

    /// Reads `count` bits that are equally often 0 and 1, the highest first (`DecodeDirectBits`).
    fn direct(&mut self, count: usize) -> Option<usize> {
        let mut number = 0;
        for _ in 0..count {
            self.normalize()?;
            self.range >>= 1;
            let bit = self.code >= self.range;
            if bit {
                self.code -= self.range;
            }
            number = number << 1 | usize::from(bit);
        }
        Some(number)
    }

    /// Reads a number by a tree of probabilities, the highest bit first (`BitTreeDecode`).
    fn tree(&mut self, probabilities: &mut [Probability]) -> Option<usize> {
        let mut node = 1;
        while node < probabilities.len() {
            node = node << 1 | self.next(&mut probabilities[node])?;
        }
        Some(node - probabilities.len())
    }

    /// Reads a number of `count` bits, the lowest first (`BitTreeReverseDecode`).
    fn reversed(&mut self, probabilities: &mut [Probability], count: usize) -> Option<usize> {
        let (mut node, mut number) = (1, 0);
        for at in 0..count {
            let bit = self.next(&mut probabilities[node])?;
            node = node << 1 | bit;
            number |= bit << at;
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::unpack;

    /// The output of `xz --format=lzma` (xz 5.4) for `text`, with the length put into the header.
    const PACKED: [u8; 37] = [
        93, 0, 0, 1, 0, 164, 1, 0, 0, 0, 0, 0, 0, 0, 48, 152, 136, 167, 234, 76, 167, 40, 46, 237, 20, 48,
        128, 36, 182, 34, 235, 255, 255, 212, 181, 240, 0,
    ];

    #[test]
    fn literals_and_matches() {
        assert_eq!(unpack(&PACKED).as_deref(), Some(text().as_slice()));
    }

    fn text() -> Vec<u8> {
        [b"abcabcabcabc!".as_slice(), &[0; 400], b"abcabc?"].concat()
    }

    #[test]
    fn what_is_cut_or_damaged_is_no_crash() {
        // The last bytes only end the stream, so the text is whole without them.
        for length in 0..PACKED.len() - 8 {
            assert_ne!(unpack(&PACKED[..length]), Some(text()), "{length}");
        }
        for at in 0..PACKED.len() {
            for bit in 0..8 {
                let mut damaged = PACKED;
                damaged[at] ^= 1 << bit;
                unpack(&damaged);
            }
        }
    }

    #[test]
    fn a_length_of_gigabytes_takes_no_memory() {
        let mut damaged = PACKED;
        damaged[5..13].fill(0x7f);
        let (unpacked, held) = crate::sys::heap::most_held(|| unpack(&damaged));
        assert_eq!(unpacked, None, "the input ends before this length");
        assert!(held < 512 * 1024, "{held}");
    }
}
