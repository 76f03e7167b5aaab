//! Reads the lines of a file of any size through one fixed buffer.

use std::io::{self, ErrorKind, Read};

use memchr::memchr;

/// The size of the read buffer in bytes. It holds at least the page that one read(2) of a /proc file returns on most kernels
/// (fs/seq_file.c, `seq_read_iter`, v6.1), and many times its longest line (about 200 bytes).
pub const BUFFER: usize = 16 * 1024;

/// Calls `each` for every line of `input`, without its newline. The last line needs no newline. Returns how many lines were
/// skipped because they do not fit into `buffer`.
///
/// # Errors
/// Those of reading.
pub fn lines(input: &mut impl Read, buffer: &mut [u8], each: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
    let (mut filled, mut overlong, mut skipping) = (0, 0, false);
    loop {
        let end = match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled + count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let (mut start, mut unseen) = (0, filled);
        while let Some(length) = memchr(b'\n', &buffer[unseen..end]) {
            let newline = unseen + length;
            if !skipping {
                each(&buffer[start..newline]);
            }
            skipping = false;
            start = newline + 1;
            unseen = start;
        }
        if start == 0 && end == buffer.len() && !skipping {
            overlong += 1;
            skipping = true;
        }
        filled = if skipping { 0 } else { end - start };
        buffer.copy_within(start..start + filled, 0);
    }
    if filled > 0 {
        each(&buffer[..filled]);
    }
    Ok(overlong)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that returns a few bytes at a time, with interruptions. It may fail at the end.
    struct Drip<'a>(&'a [u8], usize, bool, bool);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.2 = !self.2;
            if self.2 {
                return Err(ErrorKind::Interrupted.into());
            }
            let count = self.1.min(buffer.len()).min(self.0.len());
            if count == 0 && self.3 {
                return Err(ErrorKind::PermissionDenied.into());
            }
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn read(text: &[u8], step: usize, buffer: usize) -> (Vec<Vec<u8>>, usize) {
        let mut seen = Vec::new();
        let mut input = Drip(text, step, false, false);
        let overlong = lines(&mut input, &mut vec![0; buffer], &mut |line| seen.push(line.to_vec()));
        (seen, overlong.expect("no error in the input"))
    }

    #[test]
    fn lines_straddle_reads_of_any_size() {
        let text = b"one\n\nthree\nfour";
        let expected = [&b"one"[..], b"", b"three", b"four"];
        for step in 1..20 {
            for buffer in 6..24 {
                assert_eq!(
                    read(text, step, buffer),
                    (expected.map(<[u8]>::to_vec).to_vec(), 0),
                    "{step} {buffer}"
                );
            }
        }
    }

    #[test]
    fn a_line_longer_than_the_buffer_is_counted_once_and_skipped() {
        for step in 1..20 {
            let (seen, overlong) = read(b"a\n0123456789012345678901234567890123456789\nb\n", step, 8);
            assert_eq!((seen, overlong), (vec![b"a".to_vec(), b"b".to_vec()], 1), "{step}");
        }
        assert_eq!(read(b"0123456789", 3, 8), (vec![], 1), "the rest of a long line must not become a line");
    }

    #[test]
    fn errors_are_passed_on() {
        let result = lines(&mut Drip(b"x\n", 1, false, true), &mut [0; 8], &mut |_| ());
        assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::PermissionDenied));
    }

    #[test]
    fn hostile_input() {
        let given: [&[u8]; 2] = [b"one\n\nthree\nfour", b"a\n0123456789012345678901234567890123456789\nb\n"];
        let corpus = given.map(<[u8]>::to_vec).to_vec();
        crate::testing::hostile::Input { corpus, tokens: &[b"\n\n"] }.run(|text| {
            let text = &text[..text.len().min(1024)];
            let (step, buffer) =
                (1 + text.len() % 7, 1 + text.iter().map(|byte| usize::from(*byte)).sum::<usize>() % 40);
            let (seen, overlong) = read(text, step, buffer);
            let mut expected: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
            // The text behind the last newline is a line only if it is not empty.
            expected.pop_if(|line| line.is_empty());
            let count = expected.len();
            expected.retain(|line| line.len() < buffer);
            assert_eq!(
                (seen, overlong),
                (expected.iter().map(|line| line.to_vec()).collect(), count - expected.len())
            );
        });
    }
}
