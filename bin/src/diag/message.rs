//! Parses the messages of sock_diag(7): `struct inet_diag_msg` and the `struct tcp_info` that follows it.
//!
//! Layouts: include/uapi/linux/inet_diag.h and include/uapi/linux/tcp.h, v6.18. The kernel has only ever added fields at the
//! end of `tcp_info`, so a field is there if the attribute is long enough.

use std::time::Duration;

use tcptop_abi::{Endpoints, mapped};

use crate::sys::{clock::Moment, netlink::Attributes};

/// Attribute `INET_DIAG_INFO`, whose value is a `struct tcp_info`.
pub const INFO: u16 = 2;

/// Bytes of `struct inet_diag_msg`, behind which the attributes begin.
const LENGTH: usize = 72;

/// The message about one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketMessage {
    /// Socket cookie: no other socket has had the same since the boot.
    pub cookie: u64,
    /// Both ends, IPv4 mapped into IPv6.
    pub ends: Endpoints,
    /// [`tcptop_abi::TcpStateCode`].
    pub state: u8,
    /// Milliseconds until the socket's timer fires.
    pub expires: u32,
    /// Sequence numbers received in order that the process has not read: unread bytes, and the peer's FIN until the process
    /// reads the end of the stream (net/ipv4/tcp_diag.c `tcp_diag_get_info`, v6.1).
    pub unread: u32,
    /// Sequence numbers written that the peer has not acknowledged, our FIN included.
    pub unacknowledged: u32,
    /// `None`: the socket is a pending handshake or what remains of a closed connection.
    pub info: Option<Info>,
}

/// The fields of `struct tcp_info` that tcptop uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Segments in flight. The kernel sets it to zero when it destroys the socket.
    pub unacked: u32,
    /// Milliseconds since the last acknowledgement was received. It counts from the boot if none was.
    pub last_ack: u32,
    /// Smoothed round-trip time in microseconds.
    pub rtt: u32,
    /// Segments sent again.
    pub retransmits: u32,
    /// Sequence numbers that the peer has acknowledged, the SYN of the side that connected and our FIN included (4.1).
    pub bytes_acked: u64,
    /// Sequence numbers received in order, the peer's FIN included (4.1).
    pub bytes_received: u64,
    /// Segments sent (4.2).
    pub segs_out: u32,
    /// Segments received (4.2).
    pub segs_in: u32,
    /// Sequence numbers written but not sent yet (4.6).
    pub not_sent: Option<u32>,
    /// Payload bytes sent, without retransmits (4.19).
    pub payload_sent: Option<u64>,
}

impl SocketMessage {
    /// Parses the payload of a netlink message. `None`: it is not a whole `inet_diag_msg`, or it has another address family.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (fixed, attributes) = payload.split_first_chunk::<LENGTH>()?;
        let word = |at| Some(u32::from_ne_bytes(chunk(fixed, at)?));
        let port = |at| Some(u16::from_be_bytes(chunk(fixed, at)?));
        let is_four = match libc::c_int::from(fixed[0]) {
            libc::AF_INET => true,
            libc::AF_INET6 => false,
            _ => return None,
        };
        let address = |at| {
            // An IPv4 address has the first four bytes of the field.
            if is_four { chunk(fixed, at).map(mapped) } else { chunk(fixed, at) }
        };
        Some(Self {
            state: fixed[1],
            ends: Endpoints { lport: port(4)?, rport: port(6)?, laddr: address(8)?, raddr: address(24)? },
            cookie: u64::from(word(48)?) << 32 | u64::from(word(44)?),
            expires: word(52)?,
            unread: word(56)?,
            unacknowledged: word(60)?,
            info: Attributes::new(attributes).value(INFO).and_then(Info::parse),
        })
    }
}

impl Info {
    /// Parses a `struct tcp_info`. `None`: it ends before `tcpi_segs_in`, as in kernels before 4.2.
    fn parse(info: &[u8]) -> Option<Self> {
        let word = |at| Some(u32::from_ne_bytes(chunk(info, at)?));
        let long = |at| Some(u64::from_ne_bytes(chunk(info, at)?));
        Some(Self {
            unacked: word(24)?,
            last_ack: word(56)?,
            rtt: word(68)?,
            retransmits: word(100)?,
            bytes_acked: long(120)?,
            bytes_received: long(128)?,
            segs_out: word(136)?,
            segs_in: word(140)?,
            not_sent: word(144),
            payload_sent: long(200).zip(long(208)).map(|(sent, again)| sent.saturating_sub(again)),
        })
    }
}

/// The bytes from a position on. `None`: there are not enough.
fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// The last message of a destroyed socket.
#[derive(Clone, Copy, Debug)]
pub struct Closing {
    pub message: SocketMessage,
    /// When it was read.
    pub read: Moment,
    /// The kernel sent it after this time on the monotonic clock.
    pub since: Duration,
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::{
        collector::ObservedOpening,
        diag::{payload, sockets::Socket},
        sys::netlink::messages,
        testing::{corpus, hostile},
    };

    /// Returns an `inet_diag_msg` with a `tcp_info` of `info` bytes.
    pub fn bytes(family: libc::c_int, info: usize) -> Vec<u8> {
        let mut bytes = vec![u8::try_from(family).expect("small"), 1, 0, 0, 0x30, 0x39, 0x01, 0xbb];
        bytes.extend_from_slice(&[192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        bytes.extend_from_slice(&[198, 51, 100, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        for word in [0u32, 5, 6, 59_000, 3, 4, 1000, 77] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        let mut value = vec![0; 248];
        let words = [(24, 2u32), (56, 13), (68, 900), (100, 8), (136, 21), (140, 22), (144, 1)];
        for (at, word) in words {
            value[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        for (at, long) in [(120, 1001u64), (128, 2002), (200, 1500), (208, 400)] {
            value[at..at + 8].copy_from_slice(&long.to_ne_bytes());
        }
        for (kind, value) in [(8u16, &[3, 0, 0, 0][..]), (INFO, &value[..info])] {
            let length = u16::try_from(4 + value.len()).expect("short");
            bytes.extend_from_slice(&length.to_ne_bytes());
            bytes.extend_from_slice(&kind.to_ne_bytes());
            bytes.extend_from_slice(value);
        }
        bytes
    }

    #[test]
    fn a_message_field_by_field() {
        let message = SocketMessage::parse(&bytes(libc::AF_INET, 248)).expect("whole");
        assert_eq!((message.cookie, message.state), (6 << 32 | 5, 1));
        assert_eq!((message.ends.lport, message.ends.rport), (12345, 443));
        assert_eq!(message.ends.laddr, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]);
        assert_eq!(message.ends.raddr[12..], [198, 51, 100, 7]);
        assert_eq!((message.expires, message.unread, message.unacknowledged), (59_000, 3, 4));
        let info = Info {
            unacked: 2,
            last_ack: 13,
            rtt: 900,
            retransmits: 8,
            bytes_acked: 1001,
            bytes_received: 2002,
            segs_out: 21,
            segs_in: 22,
            not_sent: Some(1),
            payload_sent: Some(1100),
        };
        assert_eq!(message.info, Some(info));
        let six = SocketMessage::parse(&bytes(libc::AF_INET6, 248)).expect("whole");
        assert_eq!(six.ends.laddr, [192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    }

    #[test]
    fn older_kernels_have_fewer_fields() {
        let info =
            |length| SocketMessage::parse(&bytes(libc::AF_INET, length)).and_then(|message| message.info);
        let has_fields =
            |length| info(length).map(|info| (info.not_sent.is_some(), info.payload_sent.is_some()));
        assert_eq!(has_fields(104), None, "3.x");
        assert_eq!(has_fields(136), None, "4.1");
        assert_eq!(has_fields(144), Some((false, false)), "4.2");
        assert_eq!(has_fields(192), Some((true, false)), "4.10");
        assert_eq!(has_fields(208), Some((true, false)), "the kernel has only one of the two fields");
        assert_eq!(has_fields(224), Some((true, true)), "4.19");
    }

    #[test]
    fn truncated_and_damaged_messages_never_panic() {
        let whole = bytes(libc::AF_INET, 248);
        for length in 0..whole.len() {
            let part = SocketMessage::parse(&whole[..length]);
            assert_eq!(part.is_some(), length >= LENGTH);
            assert!(part.is_none_or(|part| part.info.is_none()), "a cut attribute must not count");
        }
        for value in [0, 1, 0x7f, 0xff] {
            for at in 0..whole.len() {
                let mut damaged = whole.clone();
                damaged[at] = value;
                SocketMessage::parse(&damaged);
            }
            SocketMessage::parse(&vec![value; 400]);
        }
        assert_eq!(SocketMessage::parse(&bytes(libc::AF_UNIX, 248)), None);
    }

    #[test]
    fn hostile_input() {
        let mut corpus = corpus("sock_diag");
        for family in [libc::AF_INET, libc::AF_INET6] {
            let payload = bytes(family, 248);
            let length = u32::try_from(16 + payload.len()).expect("short").to_ne_bytes();
            corpus.push([&length[..], &[20, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0], &payload].concat());
        }
        hostile::Input { corpus, tokens: &[&[252, 0, 2, 0], &[0xff; 8], &[0; 8]] }.run(|datagram| {
            let mut known: Option<Socket> = None;
            for message in messages(datagram).filter_map(|message| SocketMessage::parse(message.payload)) {
                let opening = payload::opening(&message);
                assert!(payload::marks_sent(&message).is_none_or(|marks| marks <= 2));
                for opening in [ObservedOpening::Active, ObservedOpening::Passive, ObservedOpening::Unseen] {
                    let Some(info) = message.info else { continue };
                    // The socket may have sent nothing but SYN and FIN.
                    let most = info
                        .bytes_acked
                        .saturating_add(u64::from(u32::MAX))
                        .max(info.payload_sent.unwrap_or(0));
                    assert!(payload::sent(&message, &info, opening) <= most);
                }
                let socket = known.get_or_insert_with(|| {
                    Socket::new(&message, opening.unwrap_or(ObservedOpening::Unseen), None)
                });
                socket.is_same(&message);
                socket.see(&message);
            }
        });
    }
}
