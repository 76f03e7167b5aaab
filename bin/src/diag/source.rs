//! The two sockets of sock_diag(7): one for dumps, one that the kernel tells of destroyed sockets.

use std::io;

use super::{
    message::Message,
    request::{BY_FAMILY, States, request},
};
use crate::sys::netlink::Netlink;

/// `SKNLGRP_INET_TCP_DESTROY` and `SKNLGRP_INET6_TCP_DESTROY` (include/uapi/linux/sock_diag.h, from 4.3).
const DESTROY_GROUPS: [u32; 2] = [1, 3];

/// Bytes of messages that the kernel keeps for us. It accounts about 1 KiB for each, so that these are the ends of some
/// thousand connections.
const KEPT: u32 = 8 << 20;

/// Dumps of the TCP sockets in this network namespace.
pub struct Tables(Netlink);

impl Tables {
    /// Opens the socket.
    ///
    /// # Errors
    /// socket(2)'s: `EPROTONOSUPPORT` if the kernel has no sock_diag.
    pub fn open() -> io::Result<Self> {
        Netlink::open(libc::NETLINK_SOCK_DIAG).map(Self)
    }

    /// Hands up each TCP socket in one of these states. True: the kernel's tables changed meanwhile in a way that it
    /// noticed, so that sockets may be missing.
    ///
    /// Sockets of IPv6 that speak IPv4 are among those of IPv6, and in no other dump.
    ///
    /// # Errors
    /// The kernel's refusal: `ENOENT` if it has no inet_diag or tcp_diag.
    pub fn dump(&mut self, states: States, each: &mut dyn FnMut(&Message)) -> io::Result<bool> {
        let mut changed = false;
        for family in [libc::AF_INET, libc::AF_INET6] {
            changed |= self.0.dump(BY_FAMILY, &request(family, states), &mut |message| {
                if message.kind == BY_FAMILY
                    && let Some(message) = Message::parse(message.payload)
                {
                    each(&message);
                }
            })?;
        }
        Ok(changed)
    }
}

/// The last words of destroyed TCP sockets.
pub struct Destroyed(Netlink);

impl Destroyed {
    /// Asks the kernel for them, from now on.
    ///
    /// # Errors
    /// setsockopt(2)'s: the kernel is older than 4.3.
    pub fn listen() -> io::Result<Self> {
        let socket = Netlink::open(libc::NETLINK_SOCK_DIAG)?;
        socket.keep(KEPT);
        DESTROY_GROUPS.iter().try_for_each(|group| socket.join(*group))?;
        Ok(Self(socket))
    }

    /// Hands up those that have come. True: the kernel had to drop some.
    pub fn drain(&mut self, each: &mut dyn FnMut(&Message)) -> bool {
        self.0.drain(&mut |message| {
            if message.kind == BY_FAMILY
                && let Some(message) = Message::parse(message.payload)
            {
                each(&message);
            }
        })
    }
}
