//! Tests how hostile text is shown in each form, and whether it can be restored.

use super::*;

/// Returns how a text is shown on a screen, in CSV, and in a message.
fn forms(text: &[u8]) -> [String; 3] {
    let (mut screen, mut field) = (Vec::new(), b"1,".to_vec());
    plain(text, &mut screen);
    csv(text, &mut field);
    assert!(field.starts_with(b"1,"));
    let message = Shown::new(OsStr::from_bytes(text)).to_string();
    let text = |bytes| String::from_utf8(bytes).expect("always UTF-8");
    [text(screen), text(field.split_off(2)), message]
}

/// Undoes the escapes, as a reader of CSV does after it has removed the quotes.
fn decode(cell: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), cell.as_bytes());
    loop {
        rest = match rest {
            [b'\\', b'\\', rest @ ..] => {
                out.push(b'\\');
                rest
            }
            [b'\\', b'x', digits @ ..] => {
                let byte = std::str::from_utf8(&digits[..2]).expect("two digits");
                out.push(u8::from_str_radix(byte, 16).expect("hexadecimal"));
                &digits[2..]
            }
            [b'\\', ..] => panic!("a backslash escapes nothing in {cell:?}"),
            [byte, rest @ ..] => {
                out.push(*byte);
                rest
            }
            [] => return out,
        }
    }
}

/// Removes the quotes of RFC 4180.
fn unquote(field: &str) -> String {
    match field.strip_prefix('"') {
        Some(inner) => inner.strip_suffix('"').expect("the other quote").replace("\"\"", "\""),
        None => field.to_owned(),
    }
}

/// Panics unless a text is harmless in each form and can be restored from two of them.
fn round_trip(text: &[u8]) {
    let [screen, field, message] = forms(text);
    assert!(screen.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{screen:?}");
    let cell = unquote(&field);
    assert_eq!(field.starts_with('"'), cell.contains([',', '"']), "{field:?}");
    assert_eq!(decode(&cell), text, "{field:?}");
    assert_eq!(decode(&message), text, "{message:?}");
    for shown in [&field, &message] {
        assert!(!shown.chars().any(is_unseen), "{shown:?}");
    }
    // Split the cell at every character that may separate cells.
    for cell in cell.split([';', '\t', '\n']) {
        assert!(!cell.trim_start().starts_with(is_formula), "{field:?}");
    }
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
        assert_eq!(forms(name)[..2], [screen, field]);
    }
    assert_eq!(forms(b""), [""; 3]);
    assert_eq!(forms(b"\xff,\xfe")[1], "\"\\xff,\\xfe\"");
}

#[test]
fn no_cell_is_a_formula() {
    let cases = [
        ("=HYPERLINK(\"http://192.0.2.1\")", "\"\\x3dHYPERLINK(\"\"http://192.0.2.1\"\")\""),
        ("+1", "\\x2b1"),
        ("-bash", "\\x2dbash"),
        ("@SUM(A1)", "\\x40SUM(A1)"),
        ("\t=1", "\\x09=1"),
        ("\r=1", "\\x0d=1"),
        ("  =1", "  \\x3d1"),
        ("a;=1", "a;\\x3d1"),
        ("a; -1;;+2", "a; \\x2d1;;\\x2b2"),
        ("\u{ff1d}1", "\\xef\\xbc\\x9d1"),
        ("a-b=c", "a-b=c"),
        ("a b; c -d", "a b; c -d"),
    ];
    for (text, field) in cases {
        assert_eq!(forms(text.as_bytes())[1], field);
        round_trip(text.as_bytes());
    }
    assert_eq!(forms(b"-v=1")[2], "-v=1", "a spreadsheet does not read messages");
}

#[test]
fn what_is_not_seen_is_told() {
    let cases = [
        ("abc\u{202e}fdp.exe", "abc\\xe2\\x80\\xaefdp.exe"),
        ("a\u{200b}b", "a\\xe2\\x80\\x8bb"),
        ("a\u{2028}b", "a\\xe2\\x80\\xa8b"),
        ("\u{feff}a", "\\xef\\xbb\\xbfa"),
        ("a\u{85}b", "a\\xc2\\x85b"),
    ];
    for (text, shown) in cases {
        let [_, field, message] = forms(text.as_bytes());
        assert_eq!((field.as_str(), message.as_str()), (shown, shown));
        round_trip(text.as_bytes());
    }
}

#[test]
fn every_text_comes_back() {
    for letter in (0..=0x10_ffff).filter_map(char::from_u32) {
        // Try a part of the characters, because neighbours are alike.
        if u32::from(letter) < 0x300 || is_unseen(letter) || u32::from(letter) % 61 == 0 {
            round_trip(format!("{letter}x{letter};{letter}").as_bytes());
        }
    }
    // Try random texts (xorshift).
    let pieces: [&[u8]; 16] = [
        b"=",
        b"+",
        b";",
        b" ",
        b",",
        b"\"",
        b"\\",
        b"\\x41",
        b"x",
        b"\xff",
        b"\xe2\x80",
        b"\xae",
        b"\n",
        b"\t",
        b"a",
        "\u{202e}".as_bytes(),
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut number = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 40).expect("24 bits")
    };
    for _ in 0..20_000 {
        let text: Vec<&[u8]> = (0..number() % 9).map(|_| pieces[number() % pieces.len()]).collect();
        round_trip(&text.concat());
    }
}

#[test]
fn hostile_input() {
    let given: [&[u8]; 6] = [
        b"a\"b,\x1b[2J\xff",
        b"back\\slash\\x41",
        "zürich日本".as_bytes(),
        b"cut \xe6\x97",
        b"two\r\nlines",
        b" =1+1;@x",
    ];
    let corpus = given.map(<[u8]>::to_vec).to_vec();
    let tokens: [&[u8]; 8] = [
        b"\\x",
        b"\"\"",
        b",",
        b"\xc2\x85",
        b"\xf0\x9f\x98\x80",
        b"\xed\xa0\x80",
        b"=",
        "\u{202e}".as_bytes(),
    ];
    crate::testing::hostile::Input { corpus, tokens: &tokens }.run(round_trip);
}
