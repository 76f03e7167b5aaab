//! Checks whether a time zone file, TZif (RFC 9636), is safe to give to the C library.
//!
//! musl trusts the lengths in the file, and reads wherever they lead (src/time/__tz.c `do_tzset`, 1.2.5). A file that a
//! failing disk has damaged would end tcptop by a signal.

use std::{fs, path::Path};

/// Bytes of a header: a magic number, a version, fifteen unused bytes, and six counts.
const HEADER: usize = 44;

/// The largest file size. No zone has enough changes to fill it.
const MOST: u64 = 1 << 20;

/// Returns true if the file at this path must not be used.
pub fn is_broken(path: &Path) -> bool {
    let Ok(metadata) = fs::metadata(path) else { return false };
    // The C library does not use what is no file.
    metadata.is_file()
        && (metadata.len() > MOST || fs::read(path).is_ok_and(|bytes| is_zone(&bytes) && !is_sound(&bytes)))
}

/// Returns true if the file claims to be a TZif file. The C library ignores other files.
fn is_zone(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER && bytes.starts_with(b"TZif")
}

/// Returns true if all parts are where the lengths say.
fn is_sound(bytes: &[u8]) -> bool {
    let Some(rest) = block(bytes, 4) else { return false };
    // The version that the RFC marks with NUL has one block, too. musl looks for a second one then, behind the file's end.
    if bytes.get(4) == Some(&b'1') {
        // Whatever is behind a line's end is taken for the rule that follows the last change.
        return !bytes.ends_with(b"\n");
    }
    let footer = block(rest, 8).unwrap_or_default();
    let rule = footer.strip_prefix(b"\n").and_then(|footer| footer.strip_suffix(b"\n"));
    rule.is_some_and(|rule| !rule.contains(&b'\n') && !rule.contains(&0))
}

/// Returns what follows a header and its data, given the number of bytes of a time. Returns `None` if the data are cut or
/// contradict each other.
fn block(bytes: &[u8], time: usize) -> Option<&[u8]> {
    let (header, data) = bytes.split_first_chunk::<HEADER>()?;
    let count =
        |at: usize| usize::try_from(u32::from_be_bytes(*header.get(20 + 4 * at..)?.first_chunk()?)).ok();
    let [in_ut, standard, leaps, times, types, letters] =
        [count(0)?, count(1)?, count(2)?, count(3)?, count(4)?, count(5)?];
    let (_, data) = data.split_at_checked(times.checked_mul(time)?)?;
    let (indices, data) = data.split_at_checked(times)?;
    let (kinds, data) = data.split_at_checked(types.checked_mul(6)?)?;
    let (names, data) = data.split_at_checked(letters)?;
    let (_, data) = data.split_at_checked(leaps.checked_mul(time + 4)?)?;
    let (_, data) = data.split_at_checked(standard.checked_add(in_ut)?)?;
    let is_whole = header.starts_with(b"TZif")
        && types > 0
        && indices.iter().all(|index| usize::from(*index) < types)
        && kinds.chunks_exact(6).all(|kind| usize::from(kind[5]) < letters)
        && names.ends_with(b"\0");
    is_whole.then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{corpus, hostile};

    /// Returns a zone file of this version with two kinds of time, one change, and a rule at its end.
    fn zone(version: u8, rule: &[u8]) -> Vec<u8> {
        let block = |time: usize| {
            let mut block = [&b"TZif"[..], &[version], &[0; 15]].concat();
            for count in [0u32, 0, 0, 1, 2, 8] {
                block.extend_from_slice(&count.to_be_bytes());
            }
            block.extend_from_slice(&vec![0; time]);
            block.push(1);
            block.extend_from_slice(&[0, 0, 14, 16, 0, 0, 0, 0, 28, 32, 1, 4]);
            block.extend_from_slice(b"CET\0EET\0");
            block
        };
        if version == b'1' { block(4) } else { [&block(4)[..], &block(8), b"\n", rule, b"\n"].concat() }
    }

    #[test]
    fn zones_of_either_version() {
        assert!(is_sound(&zone(b'1', b"")) && is_sound(&zone(b'2', b"CET-1")) && is_sound(&zone(b'4', b"")));
        for file in ["Europe/Berlin", "UTC", "Asia/Kathmandu", "America/New_York"] {
            let path = Path::new("/usr/share/zoneinfo").join(file);
            assert!(!is_broken(&path), "{file}");
        }
        assert!(!is_broken(Path::new("/etc/passwd")) && !is_broken(Path::new("/dev/zero")));
    }

    #[test]
    fn lengths_and_indices_lead_nowhere_else() {
        let first = [&b"TZif\0"[..], &zone(b'1', b"")[5..]].concat();
        assert!(!is_sound(&first), "musl would read behind the file");
        let whole = zone(b'2', b"CET-1");
        for length in 0..whole.len() {
            assert!(!is_sound(&whole[..length]), "{length}");
        }
        // Damage the counts of both headers.
        let second = whole.len() - 7 - HEADER - 8 - 1 - 12 - 8;
        assert_eq!(whole[second..second + 4], *b"TZif");
        for header in [0, second] {
            for count in 0..6 {
                for value in [u32::MAX, 0x7fff_ffff, 1000] {
                    let mut broken = whole.clone();
                    let at = header + 20 + 4 * count;
                    broken[at..at + 4].copy_from_slice(&value.to_be_bytes());
                    assert!(!is_sound(&broken), "{header} {count} {value}");
                }
            }
        }
        let index = second + HEADER + 8;
        for (at, value) in [(index, 2), (index + 6, 8), (whole.len() - 8, b'x')] {
            let mut broken = whole.clone();
            broken[at] = value;
            assert!(!is_sound(&broken), "{at}");
        }
    }

    #[test]
    fn hostile_input() {
        let corpus =
            [corpus("zone"), vec![zone(b'2', b"CET-1CEST,M3.5.0,M10.5.0/3"), zone(b'1', b"")]].concat();
        hostile::Input { corpus, tokens: &[b"TZif", b"TZif2", &[0, 0, 0, 1], &[0xff; 4]] }.run(|bytes| {
            if is_sound(bytes) {
                assert!(is_zone(bytes));
                let part = hostile::cut(bytes);
                // A file of version 1 has no footer, so its end may be cut where nobody reads it.
                assert!(bytes[4] == b'1' || part.len() == bytes.len() || !is_sound(part), "a part of a zone");
            }
        });
    }
}
