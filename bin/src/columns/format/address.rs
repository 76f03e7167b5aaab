//! Formats addresses and endpoints. An IPv4-mapped IPv6 address is printed as IPv4, and IPv6 follows RFC 5952.

use std::{
    io::Write,
    net::{IpAddr, Ipv6Addr},
};

use super::{units::decimal, width::ellipsis};

/// Longest endpoint: brackets, eight groups of four, a colon and five digits.
pub const LONGEST: usize = 47;

/// Appends an address without a port.
pub fn address(bytes: &[u8; 16], out: &mut Vec<u8>) {
    match Ipv6Addr::from(*bytes).to_canonical() {
        IpAddr::V4(v4) => {
            for (at, byte) in v4.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                decimal(byte.into(), out);
            }
        }
        // A write to a vector does not fail.
        IpAddr::V6(v6) => {
            let _ = write!(out, "{v6}");
        }
    }
}

/// Appends address and port in at most `room` columns: `10.0.0.7:443`, `[2001:db8::1]:443`. Port 0 means no port and is
/// printed as `*`.
///
/// If the room is too small, an ellipsis replaces the end of an IPv4 address, or the middle of an IPv6 address between
/// two groups. The port is shortened last.
pub fn endpoint(bytes: &[u8; 16], port: u16, room: usize, out: &mut Vec<u8>) {
    let start = out.len();
    let v6 = matches!(Ipv6Addr::from(*bytes).to_canonical(), IpAddr::V6(_));
    let open: &[u8] = if v6 { b"[" } else { b"" };
    out.extend_from_slice(open);
    address(bytes, out);
    let host = out.len();
    out.extend_from_slice(if v6 { b"]:" } else { b":" });
    match port {
        0 => out.push(b'*'),
        port => decimal(port.into(), out),
    }
    if out.len() - start <= room {
        return;
    }

    let mut full = [0; LONGEST];
    let length = out.len() - start;
    full[..length].copy_from_slice(&out[start..]);
    out.truncate(start);
    let (host, tail) = full[..length].split_at(host - start);
    let host = &host[open.len()..];
    if let Some(keep) = room.checked_sub(open.len() + 1 + tail.len()).filter(|keep| *keep > 0) {
        let (head, end) = if v6 { groups(host, keep) } else { (&host[..keep], &[][..]) };
        out.extend_from_slice(open);
        out.extend_from_slice(head);
        out.extend_from_slice(ellipsis());
        out.extend_from_slice(end);
        out.extend_from_slice(tail);
    } else if room > 0 {
        // There is no room for the address, so only the port is shown, or its end.
        let tail = if v6 { &tail[1..] } else { tail };
        out.extend_from_slice(ellipsis());
        out.extend_from_slice(&tail[tail.len().saturating_sub(room - 1)..]);
    }
}

/// Returns the beginning and the end of an IPv6 address, at most `keep` characters, in whole groups if possible. The
/// beginning names the network, the end the host.
fn groups(host: &[u8], keep: usize) -> (&[u8], &[u8]) {
    let head = &host[..keep - keep / 3];
    let head = memchr::memrchr(b':', head).map_or(head, |colon| &head[..=colon]);
    let end = &host[host.len() - (keep - head.len())..];
    let end = memchr::memchr(b':', end).map_or(end, |colon| &end[colon..]);
    (head, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> [u8; 16] {
        match text.parse().expect("an address") {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        }
    }

    fn shown(address: &str, port: u16, room: usize) -> String {
        let mut out = b"before ".to_vec();
        endpoint(&bytes(address), port, room, &mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        text.strip_prefix("before ").expect("appended").to_owned()
    }

    #[test]
    fn addresses_alone() {
        let cases = [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("0.0.0.0", "0.0.0.0"),
            ("::", "::"),
            ("::1", "::1"),
            ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), // RFC 5952 4.2.3: the first of two equal runs
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), // 4.2.2: one group is not shortened
            ("2001:db8:0:0:0:0:2:1", "2001:db8::2:1"),
            ("fe80::a00:27ff:fe4e:66a1", "fe80::a00:27ff:fe4e:66a1"),
        ];
        for (given, expected) in cases {
            let mut out = Vec::new();
            address(&bytes(given), &mut out);
            assert_eq!(String::from_utf8(out).expect("ASCII"), expected);
        }
    }

    #[test]
    fn endpoints_with_room() {
        assert_eq!(shown("192.168.100.200", 65535, 21), "192.168.100.200:65535");
        assert_eq!(shown("::ffff:10.0.0.7", 443, 80), "10.0.0.7:443");
        assert_eq!(shown("2001:db8::1", 443, 17), "[2001:db8::1]:443");
        assert_eq!(shown("::", 0, 80), "[::]:*");
        assert_eq!(shown("0.0.0.0", 0, 80), "0.0.0.0:*");
        let longest = shown("2001:db8:1111:2222:3333:4444:5555:6666", 65535, LONGEST);
        assert_eq!(longest, "[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
        assert_eq!(shown("1111:2222:3333:4444:5555:6666:7777:8888", 65535, usize::MAX).len(), LONGEST);
    }

    #[test]
    fn shortened_endpoints_keep_the_port() {
        let long = "2001:db8:85a3:8d3:1319:8a2e:370:7348";
        let cases = [
            (long, 443, 41, "[2001:db8:85a3:8d3:1319:…:370:7348]:443"),
            (long, 443, 30, "[2001:db8:85a3:…:370:7348]:443"),
            (long, 443, 21, "[2001:db8:…:7348]:443"),
            (long, 443, 19, "[2001:…:7348]:443"),
            (long, 443, 10, "[20…8]:443"),
            (long, 443, 8, "[2…]:443"),
            (long, 443, 7, "…:443"),
            (long, 443, 5, "…:443"),
            (long, 443, 4, "…443"),
            (long, 443, 2, "…3"),
            (long, 443, 1, "…"),
            (long, 443, 0, ""),
            ("fe80::a00:27ff:fe4e:66a1", 5353, 21, "[fe80::…:66a1]:5353"),
            ("192.168.100.200", 65535, 20, "192.168.100.2…:65535"),
            ("192.168.100.200", 55555, 13, "192.16…:55555"),
            ("192.168.100.200", 55555, 8, "1…:55555"),
            ("192.168.100.200", 55555, 7, "…:55555"),
            ("192.168.100.200", 55555, 6, "…55555"),
            ("192.168.100.200", 55555, 3, "…55"),
        ];
        for (address, port, room, expected) in cases {
            assert_eq!(shown(address, port, room), expected, "{room}");
        }
    }

    #[test]
    fn no_room_is_ever_exceeded() {
        for address in
            ["::", "::1", "fe80::1:2:3", "1111:2222:3333:4444:5555:6666:7777:8888", "1.2.3.4", "::1.2.3.4"]
        {
            for port in [0, 1, 443, 65535] {
                for room in 0..60 {
                    let text = shown(address, port, room);
                    assert!(text.chars().count() <= room, "{text} in {room}");
                }
            }
        }
    }
}
