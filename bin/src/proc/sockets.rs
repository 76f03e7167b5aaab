//! One line of /proc/net/{tcp,tcp6,udp,udp6}: one socket.

use memchr::memchr;
use tcptop_abi::{Endpoints, TcpStateCode, mapped};

use crate::conn::{Protocol, Queues};

use super::line::{Fields, decimal, hex};

/// One socket as /proc/net shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketEntry {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Both ends, IPv4 mapped into IPv6. A wildcard is `::ffff:0.0.0.0` for an IPv4 socket and `::` for an IPv6 one.
    pub ends: Endpoints,
    /// [`TcpStateCode`]. UDP: `ESTABLISHED` when connected, else `CLOSE`.
    pub state: u8,
    /// Inode of the socket, unique on the machine. 0: no process has it open: not accepted yet, or closed already.
    pub inode: u64,
    /// The socket's network namespace: the inode of `/proc/<pid>/ns/net`, 0 on a kernel without namespaces.
    pub namespace: u64,
}

impl SocketEntry {
    /// Returns true for a listening TCP socket and for a UDP socket that is not connected.
    pub const fn is_bound(&self) -> bool {
        match self.protocol {
            Protocol::Tcp => self.state == TcpStateCode::LISTEN,
            Protocol::Udp | Protocol::Other(_) => self.ends.rport == 0,
        }
    }

    /// Parses a line. `None`: it is malformed, or the first line of the file ([`is_header`]).
    ///
    /// Fields, by blanks: `sl:`, local `address:port`, remote `address:port`, `st`, `tx_queue:rx_queue`,
    /// `tr:tm->when`, `retrnsmt`, `uid`, `timeout`, `inode`, and others that vary with state and kernel. Numbers are
    /// hexadecimal up to `retrnsmt` and decimal after it; ports are in host byte order; addresses as [`address`]
    /// tells. net/ipv4/tcp_ipv4.c `get_tcp4_sock`, `get_openreq4`, `get_timewait4_sock`; net/ipv6/tcp_ipv6.c
    /// `get_tcp6_sock` and so on; net/ipv4/udp.c `udp4_format_sock`; net/ipv6/datagram.c `__ip6_dgram_sock_seq_show`;
    /// the same in v5.10 to v6.18.
    pub fn parse(line: &[u8], protocol: Protocol, namespace: u64) -> Option<Self> {
        let mut fields = Fields::new(line);
        decimal(fields.next()?.strip_suffix(b":")?)?;
        let (laddr, lport) = endpoint(fields.next()?)?;
        let (raddr, rport) = endpoint(fields.next()?)?;
        let state = u8::try_from(hex(fields.next()?)?).ok()?;
        // The fields from `tx_queue` to `timeout` are not needed.
        fields.nth(4)?;
        // Every kernel prints more fields after the inode, so a line that ends there is truncated.
        let inode = decimal(fields.whole()?)?;
        Some(Self { protocol, ends: Endpoints { laddr, raddr, lport, rport }, state, inode, namespace })
    }
}

/// Parses the queues of a TCP socket. `None`: the line shows a handshake, or the remains of a closed connection.
///
/// `tx_queue:rx_queue` is the fifth field. The sixteenth is the congestion window, and another one follows
/// (net/ipv4/tcp_ipv4.c `get_tcp4_sock`, the same in v5.10 to v6.18).
pub fn queues(line: &[u8]) -> Option<Queues> {
    let mut fields = Fields::new(line);
    let (unacknowledged, unread) = fields.nth(4)?.split_at_checked(8)?;
    let window = decimal(fields.nth(9).and(fields.whole())?)?;
    Some(Queues {
        unacknowledged: hex(unacknowledged)?,
        unread: hex(unread.strip_prefix(b":")?)?,
        window: u32::try_from(window).ok()?,
    })
}

/// Returns true for the line that names the columns.
pub fn is_header(line: &[u8]) -> bool {
    Fields::new(line).next() == Some(b"sl")
}

/// `address:port`, both hexadecimal.
fn endpoint(text: &[u8]) -> Option<([u8; 16], u16)> {
    let colon = memchr(b':', text)?;
    let port = u16::try_from(hex(&text[colon + 1..])?).ok()?;
    Some((address(&text[..colon], u32::to_ne_bytes)?, port))
}

/// Parses an address of 8 (IPv4) or 32 (IPv6) digits, and maps IPv4 into IPv6.
///
/// The kernel prints the address, which lies in memory in network order, as one or four `%08X` of host words; so
/// `bytes_of`, the inverse, is the host's [`u32::to_ne_bytes`].
fn address(text: &[u8], bytes_of: fn(u32) -> [u8; 4]) -> Option<[u8; 16]> {
    let mut address = mapped([0; 4]);
    let words = match text.len() {
        8 => &mut address[12..],
        32 => &mut address[..],
        _ => return None,
    };
    for (word, digits) in words.chunks_exact_mut(4).zip(text.chunks_exact(8)) {
        word.copy_from_slice(&bytes_of(hex(digits)?));
    }
    Some(address)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::{
        proc::testing::{CAPTURED, ends},
        testing::{corpus, hostile},
    };

    #[test]
    fn addresses_on_either_byte_order() {
        let mapped = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().octets();
        assert_eq!(address(b"010200C0", u32::to_le_bytes), Some(mapped));
        assert_eq!(address(b"C0000201", u32::to_be_bytes), Some(mapped));
        assert_eq!(address(b"0000000000000000FFFF0000010200C0", u32::to_le_bytes), Some(mapped));
        assert_eq!(address(b"00000000000000000000FFFFC0000201", u32::to_be_bytes), Some(mapped));
        let six = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets();
        assert_eq!(address(b"B80D0120000000000000000001000000", u32::to_le_bytes), Some(six));
        assert_eq!(address(b"20010DB8000000000000000000000001", u32::to_be_bytes), Some(six));
        assert_eq!(address(b"0102C0", u32::to_le_bytes), None);
    }

    #[test]
    fn a_line_field_by_field() {
        let line =
            b"  10: 010200C0:9C4B 076433C6:01BB 02 00000001:00000000 01:00000059 00000000  1000        0 \
            18185 2 0";
        let entry = SocketEntry::parse(line, Protocol::Tcp, 7).expect("as captured");
        if cfg!(target_endian = "little") {
            assert_eq!(entry.ends, ends("192.0.2.1", 40011, "198.51.100.7", 443));
        }
        assert_eq!((entry.ends.lport, entry.ends.rport), (40011, 443));
        assert_eq!((entry.state, entry.inode), (TcpStateCode::SYN_SENT, 18185));
        assert_eq!((entry.protocol, entry.namespace), (Protocol::Tcp, 7));
    }

    #[test]
    fn truncated_lines_are_refused_or_complete() {
        for (text, protocol) in CAPTURED {
            for line in text.split(|byte| *byte == b'\n').filter(|line| !is_header(line) && !line.is_empty())
            {
                let whole = SocketEntry::parse(line, protocol, 1);
                assert!(whole.is_some(), "{}", line.escape_ascii());
                for length in 0..line.len() {
                    let part = SocketEntry::parse(&line[..length], protocol, 1);
                    assert!(part.is_none() || part == whole, "cut at {length}: {}", line.escape_ascii());
                }
            }
        }
    }

    /// Returns the line that the kernel prints for a socket, up to the last field that is read.
    fn printed(entry: &SocketEntry) -> String {
        let end = |address: &[u8; 16], port: u16| {
            let words = address.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().expect("four")));
            format!("{}:{port:04X}", words.map(|word| format!("{word:08X}")).collect::<String>())
        };
        let Endpoints { laddr, raddr, lport, rport } = &entry.ends;
        let (local, remote, state, inode) =
            (end(laddr, *lport), end(raddr, *rport), entry.state, entry.inode);
        format!("   0: {local} {remote} {state:02X} 0:0 0:0 0 0 0 {inode} 2 0")
    }

    #[test]
    fn what_waits_at_a_socket() {
        let found = |waiting: &str, rest: &str| {
            let begin = "   0: 0100007F:1F90 0100007F:9C40 01";
            queues(format!("{begin} {waiting} 00:00000000 00000000     0        0 7 {rest}").as_bytes())
        };
        let expected = Queues { unacknowledged: 31, unread: 3, window: 10 };
        assert_eq!(found("0000001F:00000003", "1 0000000000000000 20 4 30 10 -1"), Some(expected));
        assert_eq!(found("0000001F:00000003", "1 0000000000000000 20 4 30 10"), None, "cut");
        assert_eq!(found("00000000:00000000", "3 0000000000000000"), None, "TIME_WAIT");
        assert_eq!(found("00000000", "1 0000000000000000 20 4 30 10 -1"), None);
    }

    fn parse(table: &[u8]) -> Vec<SocketEntry> {
        let lines = table.split(|byte| *byte == b'\n').filter(|line| !is_header(line));
        lines.filter_map(|line| SocketEntry::parse(line, Protocol::Tcp, 7)).collect()
    }

    #[test]
    fn hostile_input() {
        let tokens: [&[u8]; 6] = [b"0100007F:1F90", b":", b"sl", b"0A", b"FFFFFFFFFFFFFFFFF", b"00000000:"];
        hostile::Input { corpus: corpus("sockets"), tokens: &tokens }.run(|table| {
            let entries = parse(table);
            assert!(entries.starts_with(&parse(hostile::cut(table))), "a part of a table");
            for line in table.split(|byte| *byte == b'\n') {
                // A cut may shorten the last number, unless another field follows it.
                let (part, whole) = (queues(hostile::cut(line)), queues(line));
                assert!(part.is_none() || part == whole, "{}", line.escape_ascii());
            }
            for entry in entries {
                assert_eq!(parse(printed(&entry).as_bytes()), [entry]);
            }
        });
    }
}
