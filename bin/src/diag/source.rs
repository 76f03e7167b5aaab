//! The two sockets of sock_diag(7): one for dumps, and one that receives messages about destroyed sockets.

use std::io;

use super::{
    message::SocketMessage,
    request::{BY_FAMILY, StateSet, request},
};
use crate::sys::netlink::Netlink;

/// `SKNLGRP_INET_TCP_DESTROY` and `SKNLGRP_INET6_TCP_DESTROY` (include/uapi/linux/sock_diag.h, from 4.3).
const DESTROY_GROUPS: [u32; 2] = [1, 3];

/// The receive buffer in bytes. The kernel accounts about 1 KiB for each message, so it holds the ends of some thousand
/// connections.
const RECEIVE_BUFFER: u32 = 8 << 20;

/// Dumps of the TCP sockets in this network namespace.
pub struct SocketDumps(Netlink);

impl SocketDumps {
    /// Opens the socket.
    ///
    /// # Errors
    /// socket(2)'s: `EPROTONOSUPPORT` if the kernel has no sock_diag.
    pub fn open() -> io::Result<Self> {
        Netlink::open(libc::NETLINK_SOCK_DIAG).map(Self)
    }

    /// Calls `each` for every TCP socket in one of these states. Returns true if sockets may be missing, because the kernel
    /// noticed that its tables changed meanwhile.
    ///
    /// IPv6 sockets that speak IPv4 appear only in the dump of IPv6.
    ///
    /// # Errors
    /// The kernel's refusal: `ENOENT` if it has no inet_diag or tcp_diag.
    pub fn dump(&mut self, states: StateSet, each: &mut dyn FnMut(&SocketMessage)) -> io::Result<bool> {
        let mut changed = false;
        for family in [libc::AF_INET, libc::AF_INET6] {
            changed |= self.0.dump(BY_FAMILY, &request(family, states), &mut |message| {
                if message.kind == BY_FAMILY
                    && let Some(message) = SocketMessage::parse(message.payload)
                {
                    each(&message);
                }
            })?;
        }
        Ok(changed)
    }
}

/// The last messages of destroyed TCP sockets.
pub struct Destroyed(Netlink);

impl Destroyed {
    /// Subscribes to the messages.
    ///
    /// # Errors
    /// setsockopt(2)'s: the kernel is older than 4.3.
    pub fn listen() -> io::Result<Self> {
        let socket = Netlink::open(libc::NETLINK_SOCK_DIAG)?;
        socket.set_receive_buffer(RECEIVE_BUFFER);
        DESTROY_GROUPS.iter().try_for_each(|group| socket.join(*group))?;
        Ok(Self(socket))
    }

    /// Calls `each` for every message that has come. Returns true if the kernel had to drop some.
    pub fn drain(&mut self, each: &mut dyn FnMut(&SocketMessage)) -> bool {
        self.0.drain(&mut |message| {
            if message.kind == BY_FAMILY
                && let Some(message) = SocketMessage::parse(message.payload)
            {
                each(&message);
            }
        })
    }
}
