//! Process names. A process chooses its name freely: it may hold commas, line breaks, terminal escape sequences, or
//! bytes that are no text at all.

use std::io::Write;

/// For a screen: printable ASCII as it is, every other character, and every run of bytes that is not UTF-8, as `?`.
/// So a name is as wide as it has characters, and cannot steer a terminal.
pub fn plain(name: &[u8], out: &mut Vec<u8>) {
    for chunk in name.utf8_chunks() {
        for letter in chunk.valid().chars() {
            out.push(match letter {
                ' '..='~' => letter as u8,
                _ => b'?',
            });
        }
        if !chunk.invalid().is_empty() {
            out.push(b'?');
        }
    }
}

/// For CSV: valid UTF-8 on one line, and the bytes can be had back. A backslash is `\\`; each byte of a control
/// character, and each byte that is not UTF-8, is `\xNN`. Then quoted as RFC 4180 asks, if it must be.
pub fn csv(name: &[u8], out: &mut Vec<u8>) {
    // Almost every name.
    if name.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'\\' | b',' | b'"')) {
        return out.extend_from_slice(name);
    }
    let start = out.len();
    for chunk in name.utf8_chunks() {
        for letter in chunk.valid().chars() {
            let mut bytes = [0; 4];
            let bytes = letter.encode_utf8(&mut bytes).as_bytes();
            match letter {
                '\\' => out.extend_from_slice(b"\\\\"),
                _ if letter.is_control() => hexadecimal(bytes, out),
                _ => out.extend_from_slice(bytes),
            }
        }
        hexadecimal(chunk.invalid(), out);
    }
    quote(start, out);
}

fn hexadecimal(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        // A write to a vector does not fail.
        let _ = write!(out, "\\x{byte:02x}");
    }
}

/// Puts the field that begins at `start` in quotes if it holds a comma or a quote; quotes in it are doubled.
fn quote(start: usize, out: &mut Vec<u8>) {
    if memchr::memchr2(b',', b'"', &out[start..]).is_none() {
        return;
    }
    let field = out.split_off(start);
    out.push(b'"');
    for byte in field {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(name: &[u8]) -> (String, String) {
        let (mut screen, mut field) = (Vec::new(), b"1,".to_vec());
        plain(name, &mut screen);
        csv(name, &mut field);
        assert!(field.starts_with(b"1,"));
        let text = |bytes| String::from_utf8(bytes).expect("always UTF-8");
        (text(screen), text(field.split_off(2)))
    }

    #[test]
    fn hostile_names() {
        let cases: [(&[u8], &str, &str); 12] = [
            (b"sshd", "sshd", "sshd"),
            (b"tmux: server", "tmux: server", "tmux: server"),
            (b"(sd-pam)", "(sd-pam)", "(sd-pam)"),
            (b"a,b", "a,b", "\"a,b\""),
            (b"say \"hi\"", "say \"hi\"", "\"say \"\"hi\"\"\""),
            (b"two\r\nlines", "two??lines", "two\\x0d\\x0alines"),
            (b"\x1b[2J\x07", "?[2J?", "\\x1b[2J\\x07"),
            (b"back\\slash", "back\\slash", "back\\\\slash"),
            ("zürich".as_bytes(), "z?rich", "zürich"),
            ("日本語".as_bytes(), "???", "日本語"),
            (b"cut \xe6\x97", "cut ?", "cut \\xe6\\x97"), // the kernel cuts at 15 bytes, not between characters
            ("\u{9b}2J\u{7f}".as_bytes(), "?2J?", "\\xc2\\x9b2J\\x7f"),
        ];
        for (name, screen, field) in cases {
            assert_eq!(both(name), (screen.to_owned(), field.to_owned()));
        }
        assert_eq!(both(b""), (String::new(), String::new()));
        assert_eq!(both(b"\xff,\xfe").1, "\"\\xff,\\xfe\"");
    }

    /// The name of a field: quotes and escapes undone.
    fn decoded(field: &[u8]) -> Vec<u8> {
        let mut field = field.to_vec();
        if let Some(inner) = field.strip_prefix(b"\"").and_then(|field| field.strip_suffix(b"\"")) {
            field = String::from_utf8(inner.to_vec()).expect("UTF-8").replace("\"\"", "\"").into_bytes();
        }
        let mut name = Vec::new();
        let mut rest = &field[..];
        loop {
            rest = match rest {
                [b'\\', b'\\', after @ ..] => {
                    name.push(b'\\');
                    after
                }
                [b'\\', b'x', high, low, after @ ..] => {
                    let digit = |byte: &u8| char::from(*byte).to_digit(16).expect("a digit");
                    name.push(u8::try_from(digit(high) << 4 | digit(low)).expect("a byte"));
                    after
                }
                [byte, after @ ..] => {
                    name.push(*byte);
                    after
                }
                [] => return name,
            };
        }
    }

    #[test]
    fn hostile_input() {
        let given: [&[u8]; 5] = [
            b"a\"b,\x1b[2J\xff",
            b"back\\slash\\x41",
            "zürich日本".as_bytes(),
            b"cut \xe6\x97",
            b"two\r\nlines",
        ];
        let corpus = given.map(<[u8]>::to_vec).to_vec();
        let tokens: [&[u8]; 6] = [b"\\x", b"\"\"", b",", b"\xc2\x85", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80"];
        crate::testing::hostile::Input { corpus, tokens: &tokens }.run(|name| {
            let (screen, field) = both(name);
            assert!(screen.bytes().all(|byte| matches!(byte, b' '..=b'~')) && screen.len() <= name.len());
            assert!(!field.chars().any(char::is_control));
            let is_quoted = field.starts_with('"');
            assert_eq!(is_quoted, name.iter().any(|byte| matches!(byte, b',' | b'"')));
            assert_eq!(decoded(field.as_bytes()), name);
        });
    }
}
