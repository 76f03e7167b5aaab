//! Parsers that the formats share: lines, fields between blanks, addresses, hexadecimal bytes.

use std::net::IpAddr;

use super::book::HostAddress;

/// The lines of a text, without their ends.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// The fields of a line: runs of bytes between blanks.
pub fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty())
}

/// Parses an address.
pub fn address(field: &[u8]) -> Option<HostAddress> {
    let address = std::str::from_utf8(field).ok()?.parse().ok()?;
    Some(match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    })
}

/// Parses a byte of two hexadecimal digits.
pub fn byte(digits: [u8; 2]) -> Option<u8> {
    let [high, low] =
        digits.map(|digit| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
    Some(high? << 4 | low?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_fields() {
        assert_eq!(lines(b"a\r\n\nb").collect::<Vec<_>>(), [&b"a"[..], b"", b"b"]);
        assert_eq!(fields(b" a\t b\x0c").collect::<Vec<_>>(), [&b"a"[..], b"b"]);
        assert_eq!(fields(b" ").next(), None);
    }

    #[test]
    fn bytes() {
        assert_eq!([byte(*b"00"), byte(*b"aF"), byte(*b"7e")], [Some(0), Some(0xaf), Some(0x7e)]);
        assert_eq!([byte(*b"+1"), byte(*b"1 "), byte(*b"\xff0")], [None; 3]);
    }

    #[test]
    fn addresses() {
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7];
        assert_eq!(address(b"192.0.2.7"), Some(mapped));
        assert_eq!(address(b"::ffff:192.0.2.7"), Some(mapped));
        assert_eq!(address(b"::1").map(|address| address[15]), Some(1));
        for wrong in [&b""[..], b"192.0.2", b"192.0.2.256", b"fe80::1%eth0", b"2001:db8::/64", b"\xff", b"a"]
        {
            assert_eq!(address(wrong), None, "{wrong:?}");
        }
    }
}
