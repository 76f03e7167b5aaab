//! Parsers for the text of /proc: fields, numbers, and the names of links.

use memchr::memchr;

/// The fields of a line: runs of bytes between spaces or tabs.
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields of `line`.
    pub const fn new(line: &'a [u8]) -> Self {
        Self(line)
    }

    /// Returns the next field if a separator follows it. The last field of a truncated line may have lost digits.
    pub fn whole(&mut self) -> Option<&'a [u8]> {
        let field = self.next()?;
        (!self.0.is_empty()).then_some(field)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let separates = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = self.0.iter().position(|byte| !separates(byte))?;
        let line = &self.0[start..];
        let end = line.iter().position(separates).unwrap_or(line.len());
        self.0 = &line[end..];
        Some(&line[..end])
    }
}

/// Parses a hexadecimal number without prefix, in either case, with or without leading zeros. `None`: it is empty, has another
/// byte, or needs more than 32 bits.
pub fn hex(text: &[u8]) -> Option<u32> {
    let digit = |value: u32, byte: &u8| {
        let digit = char::from(*byte).to_digit(16)?;
        value.checked_mul(16)?.checked_add(digit)
    };
    if text.is_empty() { None } else { text.iter().try_fold(0, digit) }
}

/// Parses a decimal number without sign. `None`: it is empty, has another byte, or needs more than 64 bits.
pub fn decimal(text: &[u8]) -> Option<u64> {
    let digit = |value: u64, byte: &u8| {
        let digit = char::from(*byte).to_digit(10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    };
    if text.is_empty() { None } else { text.iter().try_fold(0, digit) }
}

/// The inode in the name that /proc gives a link to an object of `kind`: `socket:[12345]` (net/socket.c,
/// `sockfs_dname`, v6.1) or `net:[4026531840]` (fs/nsfs.c, `ns_get_name`, v6.1).
pub fn inode(link: &[u8], kind: &[u8]) -> Option<u64> {
    let bracketed = link.strip_prefix(kind)?.strip_prefix(b":[")?;
    let end = memchr(b']', bracketed)?;
    if end + 1 == bracketed.len() { decimal(&bracketed[..end]) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_between_any_blanks() {
        let fields: Vec<&[u8]> = Fields::new(b"  0: ab\t\tcd  ").collect();
        assert_eq!(fields, [&b"0:"[..], b"ab", b"cd"]);
        assert_eq!(Fields::new(b"").next(), None);
        assert_eq!(Fields::new(b" \t ").next(), None);
    }

    #[test]
    fn whole_fields_have_an_end() {
        let mut fields = Fields::new(b"12 34");
        assert_eq!(fields.whole(), Some(&b"12"[..]));
        assert_eq!(fields.whole(), None);
    }

    #[test]
    fn numbers_stop_at_their_width() {
        assert_eq!(hex(b"FFFFFFFF"), Some(u32::MAX));
        assert_eq!(hex(b"00000ffffFFFF"), Some(u32::MAX));
        assert_eq!(hex(b"100000000"), None);
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(decimal(b"18446744073709551616"), None);
        for wrong in [&b""[..], b"-1", b"+1", b" 1", b"1 ", b"G", b"0x1", b"\xff"] {
            assert_eq!((hex(wrong), decimal(wrong)), (None, None), "{wrong:?}");
        }
    }

    #[test]
    fn links_to_objects() {
        assert_eq!(inode(b"socket:[12345]", b"socket"), Some(12345));
        assert_eq!(inode(b"net:[4026531840]", b"net"), Some(4_026_531_840));
        for wrong in [
            &b"pipe:[1]"[..],
            b"socket:[]",
            b"socket:[1",
            b"socket:[1]x",
            b"socket:1]",
            b"socket",
            b"/dev/null",
        ] {
            assert_eq!(inode(wrong, b"socket"), None, "{wrong:?}");
        }
    }

    #[test]
    fn hostile_input() {
        let given: [&[u8]; 5] =
            [b"socket:[59262637]", b"net:[4026531840]", b"18446744073709551615", b"00ffFFffFF", b" a\tb "];
        let corpus = given.map(<[u8]>::to_vec).to_vec();
        crate::testing::hostile::Input { corpus, tokens: &[b"socket:[", b"]", b"\t"] }.run(|text| {
            let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
            let text_of = || std::str::from_utf8(text).ok();
            assert_eq!(decimal(text), text_of().filter(|_| digits).and_then(|text| text.parse().ok()));
            let digits = !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit);
            let number = text_of().filter(|_| digits).and_then(|text| u32::from_str_radix(text, 16).ok());
            assert_eq!(hex(text), number);
            if let Some(number) = inode(text, b"socket") {
                let inner = text.strip_prefix(b"socket:[").and_then(|text| text.strip_suffix(b"]"));
                assert_eq!(inner.and_then(decimal), Some(number));
            }
            let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
            let fields = text.split(is_blank).filter(|field| !field.is_empty());
            assert!(Fields::new(text).eq(fields));
        });
    }
}
