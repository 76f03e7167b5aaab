//! Unpacks what bin/build/pack.rs has packed. The build script uses this file too, to see that nothing is lost.

/// The bytes that were packed: a length, then a block of LZ4
/// (<https://github.com/lz4/lz4/blob/v1.10.0/doc/lz4_Block_format.md>). `None`: it is none.
pub fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let (length, mut rest) = packed.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    // A byte of LZ4 stands for 255 at most.
    if length / 255 > rest.len() {
        return None;
    }
    let mut bytes = Vec::with_capacity(length);
    while let [token, after @ ..] = rest {
        rest = after;
        let literals = count(token >> 4, &mut rest)?;
        let (literals, after) = rest.split_at_checked(literals)?;
        if literals.len() > length - bytes.len() {
            return None;
        }
        bytes.extend_from_slice(literals);
        // The last sequence has literals alone.
        let Some((distance, after)) = after.split_first_chunk() else { break };
        rest = after;
        let matched = count(token & 15, &mut rest)? + 4;
        if matched > length - bytes.len() {
            return None;
        }
        let from = bytes.len().checked_sub(usize::from(u16::from_le_bytes(*distance)))?;
        // It may reach into what it appends.
        for at in from..from + matched {
            bytes.push(*bytes.get(at)?);
        }
    }
    (bytes.len() == length).then_some(bytes)
}

/// A count of four bits, or a longer one.
fn count(nibble: u8, rest: &mut &[u8]) -> Option<usize> {
    let mut count = usize::from(nibble);
    let mut goes_on = nibble == 15;
    while goes_on {
        let (more, after) = rest.split_first()?;
        count += usize::from(*more);
        goes_on = *more == 255;
        *rest = after;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::unpack;

    #[test]
    fn literals_and_matches() {
        let packed = [9, 0, 0, 0, 0x31, b'a', b'b', b'c', 3, 0, 0x10, b'!'];
        assert_eq!(unpack(&packed).as_deref(), Some(&b"abcabcab!"[..]), "a match that reaches into itself");
        let zeros = [24, 0, 0, 0, 0x1f, 0, 1, 0, 4, 0x00];
        assert_eq!(unpack(&zeros), Some(vec![0; 24]), "a count of more than four bits");
    }

    #[test]
    fn what_is_cut_or_leads_astray_is_refused() {
        let packed = [9, 0, 0, 0, 0x31, b'a', b'b', b'c', 3, 0, 0x10, b'!'];
        for length in 0..packed.len() {
            assert_eq!(unpack(&packed[..length]), None, "{length}");
        }
        assert_eq!(
            unpack(&[9, 0, 0, 0, 0x31, b'a', b'b', b'c', 4, 0, 0x10, b'!']),
            None,
            "before the first byte"
        );
    }

    #[test]
    fn a_length_of_gigabytes_takes_no_memory() {
        let (unpacked, held) = crate::sys::heap::most_held(|| unpack(&[0xff, 0xff, 0xff, 0xff, 0x10, b'a']));
        assert_eq!(unpacked, None);
        assert!(held < 4096, "{held}");
        // Far more than the length says.
        let (unpacked, held) = crate::sys::heap::most_held(|| {
            unpack(&[&[1, 0, 0, 0, 0x1f, b'a', 1, 0][..], &[255; 60_000], &[0, 0]].concat())
        });
        assert_eq!(unpacked, None);
        assert!(held < 200_000, "{held}");
    }

    #[test]
    fn hostile_input() {
        let given: [&[u8]; 2] =
            [&[9, 0, 0, 0, 0x31, b'a', b'b', b'c', 3, 0, 0x10, b'!'], &[24, 0, 0, 0, 0x1f, 0, 1, 0, 4, 0x00]];
        let corpus = given.map(<[u8]>::to_vec).to_vec();
        crate::testing::hostile::Input { corpus, tokens: &[&[0xff; 16], &[0xf0], &[1, 0]] }.run(|packed| {
            if let Some(bytes) = unpack(packed) {
                assert_eq!(bytes.len().to_le_bytes()[..4], packed[..4]);
            }
        });
    }
}
