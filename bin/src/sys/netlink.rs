//! Netlink sockets: requests for whole tables, and messages that the kernel sends on its own (include/uapi/linux/netlink.h).
//!
//! Numbers are in the machine's byte order. Messages and attributes begin at multiples of four bytes. Their lengths include
//! their headers, but not the padding after them.

#![expect(
    clippy::cast_possible_truncation,
    reason = "flags, families and sizes of the kernel's interface fit its fields"
)]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Bytes of `struct nlattr`.
const ATTRIBUTE: usize = 4;
/// Masks NLA_F_NESTED and NLA_F_NET_BYTEORDER out of an attribute's type.
const TYPE_MASK: u16 = 0x3fff;
/// The kernel puts at most this many bytes of a dump into one datagram (net/netlink/af_netlink.c `netlink_dump`, v6.1).
const DATAGRAM: usize = 32 * 1024;

/// A netlink socket.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// A message: its type, and what follows its header.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// The bytes after the header.
    pub payload: &'a [u8],
}

impl Netlink {
    /// Opens a socket of this protocol, such as `NETLINK_NETFILTER`. Only [`Netlink::dump`] blocks.
    ///
    /// # Errors
    /// socket(2)'s, if the kernel lacks the protocol, and bind(2)'s.
    pub fn open(protocol: libc::c_int) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: no memory is passed.
        let socket = super::owned(unsafe { libc::socket(libc::AF_NETLINK, kind, protocol) })?;
        let netlink = Self { socket, sequence: 0, buffer: vec![0; DATAGRAM] };
        // If a reply never comes, fail instead of hanging.
        let patience = libc::timeval { tv_sec: 2, tv_usec: 0 };
        netlink.set(libc::SOL_SOCKET, libc::SO_RCVTIMEO, &patience)?;
        netlink.bind()?;
        Ok(netlink)
    }

    /// Lets the kernel choose the socket's port. Without that, the socket has the kernel's own port, 0. It then gets no
    /// message of a group, because the kernel takes it for the sender (net/netlink/af_netlink.c `do_one_broadcast`, v6.1).
    fn bind(&self) -> io::Result<()> {
        let address = kernel();
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: the address outlives the call and has the length that is given.
        let result = unsafe { libc::bind(self.socket.as_raw_fd(), (&raw const address).cast(), length) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Joins a multicast group, whose messages the kernel then sends to this socket.
    ///
    /// # Errors
    /// setsockopt(2)'s, if the kernel does not know the group.
    pub fn join(&self, group: u32) -> io::Result<()> {
        self.set(libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, &group)
    }

    /// Sets how many bytes of unread messages the kernel keeps. The kernel may keep fewer.
    pub fn set_receive_buffer(&self, bytes: u32) {
        if self.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &bytes).is_err() {
            // Without CAP_NET_ADMIN, the kernel reduces the number to a limit.
            let _ = self.set(libc::SOL_SOCKET, libc::SO_RCVBUF, &bytes);
        }
    }

    fn set<T: Copy>(&self, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
        let length = size_of::<T>() as libc::socklen_t;
        let value: *const T = value;
        // SAFETY: `value` outlives the call and has the length that is given.
        let result = unsafe { libc::setsockopt(self.socket.as_raw_fd(), level, name, value.cast(), length) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Asks for a whole table by a request of this type, and calls `each` for every message of the answer. Returns true if the
    /// table changed meanwhile, so that entries may be missing or doubled.
    ///
    /// # Errors
    /// The kernel's refusal, or the answer does not come.
    pub fn dump(&mut self, kind: u16, request: &[u8], each: &mut dyn FnMut(Message<'_>)) -> io::Result<bool> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEADER + request.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
        let mut message = Vec::with_capacity(HEADER + request.len());
        message.extend_from_slice(&length.to_ne_bytes());
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&flags.to_ne_bytes());
        message.extend_from_slice(&self.sequence.to_ne_bytes());
        message.extend_from_slice(&0u32.to_ne_bytes());
        message.extend_from_slice(request);
        self.send(&message)?;
        let sequence = self.sequence;
        let mut changed = false;
        loop {
            let received = self.receive(0)?;
            let mut datagram = &self.buffer[..received];
            while let Some((header, payload, rest)) = message_of(datagram) {
                datagram = rest;
                if header.sequence != sequence {
                    continue;
                }
                changed |= header.flags & libc::NLM_F_DUMP_INTR as u16 != 0;
                match libc::c_int::from(header.kind) {
                    libc::NLMSG_DONE | libc::NLMSG_ERROR => {
                        let code = payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                        return if code < 0 {
                            Err(io::Error::from_raw_os_error(code.wrapping_neg()))
                        } else {
                            Ok(changed)
                        };
                    }
                    _ => each(Message { kind: header.kind, payload }),
                }
            }
        }
    }

    /// Calls `each` for every message that has arrived from the joined groups, and waits for none. Returns true if the kernel
    /// had to drop messages before.
    pub fn drain(&mut self, each: &mut dyn FnMut(Message<'_>)) -> bool {
        let mut dropped = false;
        loop {
            let received = match self.receive(libc::MSG_DONTWAIT) {
                Ok(received) => received,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    dropped = true;
                    continue;
                }
                // No message is left, or reading fails. Then the next dump shows what is missing.
                Err(_) => return dropped,
            };
            let mut datagram = &self.buffer[..received];
            while let Some((header, payload, rest)) = message_of(datagram) {
                datagram = rest;
                each(Message { kind: header.kind, payload });
            }
        }
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        let kernel = kernel();
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        super::retry(|| {
            // SAFETY: the message and the address outlive the call and have the lengths that are given.
            let sent = unsafe {
                libc::sendto(
                    self.socket.as_raw_fd(),
                    message.as_ptr().cast(),
                    message.len(),
                    0,
                    (&raw const kernel).cast(),
                    length,
                )
            };
            if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
        })
    }

    /// Receives one datagram into the buffer. A datagram that is not from the kernel counts as empty.
    fn receive(&mut self, flags: libc::c_int) -> io::Result<usize> {
        let (fd, buffer) = (self.socket.as_raw_fd(), &mut self.buffer);
        super::retry(|| {
            let mut sender = kernel();
            let mut length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
            // SAFETY: the kernel writes at most so many bytes into the buffer, and an address of at most this length.
            let received = unsafe {
                libc::recvfrom(
                    fd,
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    flags,
                    (&raw mut sender).cast(),
                    &raw mut length,
                )
            };
            let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
            Ok(if sender.nl_pid == 0 { received } else { 0 })
        })
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The netlink address of the kernel.
fn kernel() -> libc::sockaddr_nl {
    // SAFETY: plain integers, for which zero is valid.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address
}

/// The fields of `struct nlmsghdr` that are used.
struct Header {
    kind: u16,
    flags: u16,
    sequence: u32,
}

/// Splits the first message from a datagram: its header, its payload, and the rest of the datagram. Returns `None` if there is
/// no whole message.
fn message_of(datagram: &[u8]) -> Option<(Header, &[u8], &[u8])> {
    let header: &[u8; HEADER] = datagram.first_chunk()?;
    let [a, b, c, d, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *header;
    let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).ok()?;
    let payload = datagram.get(HEADER..length)?;
    let header = Header {
        kind: u16::from_ne_bytes([k0, k1]),
        flags: u16::from_ne_bytes([f0, f1]),
        sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
    };
    Some((header, payload, datagram.get(padded(length)..).unwrap_or_default()))
}

/// Rounds a length up to a multiple of four.
const fn padded(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// The attributes of a message or of another attribute. Iteration ends at the first that is not whole.
#[derive(Clone, Debug)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Reads the attributes in these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the value of the first attribute of this type.
    pub fn value(&self, kind: u16) -> Option<&'a [u8]> {
        self.clone().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let [l0, l1, k0, k1] = *self.0.first_chunk::<ATTRIBUTE>()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = self.0.get(ATTRIBUTE..length)?;
        self.0 = self.0.get(padded(length)..).unwrap_or_default();
        Some((u16::from_ne_bytes([k0, k1]) & TYPE_MASK, value))
    }
}

/// Iterates over the messages of a datagram.
#[cfg(test)]
pub fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let (header, payload, rest) = message_of(datagram)?;
        datagram = rest;
        Some(Message { kind: header.kind, payload })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{corpus, hostile};

    fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + payload.len()).expect("short");
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[7, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(payload);
        bytes.resize(padded(bytes.len()), 0);
        bytes
    }

    #[test]
    fn messages_of_a_datagram() {
        let datagram = [message(20, 2, b"abcde"), message(3, 0, &[])].concat();
        let (first, payload, rest) = message_of(&datagram).expect("whole");
        assert_eq!((first.kind, first.flags, payload), (20, 2, &b"abcde"[..]));
        let (second, payload, rest) = message_of(rest).expect("whole");
        assert_eq!((second.kind, payload, rest), (3, &b""[..], &b""[..]));
        for cut in 0..datagram.len() {
            let (mut part, mut count) = (&datagram[..cut], 0);
            while let Some((_, _, rest)) = message_of(part) {
                (part, count) = (rest, count + 1);
            }
            assert!(count <= 1, "{cut}");
        }
        assert!(message_of(&[0; 16]).is_none(), "the length is shorter than the header");
    }

    #[test]
    fn attributes_end_at_the_first_broken_one() {
        let bytes = [8, 0, 1, 0, 1, 2, 3, 4, 5, 0, 2, 0x80, 9, 0, 0, 0, 3, 0, 3, 0, 200, 0, 4, 0];
        let bytes = if cfg!(target_endian = "little") { bytes } else { return };
        let found: Vec<_> = Attributes::new(&bytes).collect();
        assert_eq!(found, [(1, &[1, 2, 3, 4][..]), (2, &[9][..])]);
        assert_eq!(Attributes::new(&bytes).value(2), Some(&[9][..]));
        assert_eq!(Attributes::new(&bytes).value(3), None);
        assert_eq!(Attributes::new(&bytes[..7]).next(), None);
    }

    /// Returns every message and its attributes, with nested ones. Before the attributes, messages may have 12, 4 or 72 bytes.
    fn parts(datagram: &[u8]) -> Vec<(u16, &[u8])> {
        fn attributes<'a>(bytes: &'a [u8], depth: u8, parts: &mut Vec<(u16, &'a [u8])>) {
            for (kind, value) in Attributes::new(bytes) {
                parts.push((kind, value));
                if depth < 4 {
                    attributes(value, depth + 1, parts);
                }
            }
        }
        let mut parts = Vec::new();
        for Message { kind, payload } in messages(datagram) {
            parts.push((kind, payload));
            for fixed in [4, 12, 72] {
                attributes(payload.get(fixed..).unwrap_or_default(), 0, &mut parts);
            }
        }
        parts
    }

    #[test]
    fn hostile_input() {
        let corpus = ["sock_diag", "neighbour-messages", "conntrack-messages"].map(corpus).concat();
        let tokens: [&[u8]; 4] = [&[4, 0, 0, 0], &[0, 0, 1, 0], &[3, 0, 1, 0], &[16, 0, 0, 0]];
        hostile::Input { corpus, tokens: &tokens }.run(|datagram| {
            let whole = parts(datagram);
            let within = |part: &[u8]| datagram.as_ptr_range().contains(&part.as_ptr()) || part.is_empty();
            assert!(whole.iter().all(|(_, part)| within(part)));
            assert!(whole.starts_with(&parts(hostile::cut(datagram))), "a part of a datagram");
        });
    }
}
