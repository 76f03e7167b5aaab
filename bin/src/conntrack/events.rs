//! Receives the entries that leave the kernel's table, by netlink.

use std::{fs, io, path::Path};

use super::{entry::Entry, message};
use crate::sys::netlink::Netlink;

/// The receive buffer in bytes. The kernel doubles it (net/core/sock.c `__sock_set_rcvbuf`, v6.1), and accounts about 1 KiB for
/// each message.
const RECEIVE_BUFFER: u32 = 4 * 1024 * 1024;

/// The setting that switches events on, below /proc.
const SETTING: &str = "sys/net/netfilter/nf_conntrack_events";

/// A socket that the kernel sends a message to when an entry ends.
///
/// If the setting has its default, 2, the kernel prepares messages only for entries that began while somebody listened
/// (net/netfilter/nf_conntrack_ecache.c `nf_ct_ecache_ext_add`, v6.1). The next reading finds the end of older entries.
#[derive(Debug)]
pub struct Events(Netlink);

/// The result of one drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// The number of messages about ended entries.
    pub count: usize,
    /// The kernel had to drop messages.
    pub dropped: bool,
    /// The number of messages that could not be parsed.
    pub malformed: u64,
}

impl Events {
    /// Subscribes to the messages. `None`: the kernel sends none, or they are switched off.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn listen(proc: &Path) -> io::Result<Option<Self>> {
        let setting = fs::read(proc.join(SETTING)).unwrap_or_default();
        if !setting.first().is_some_and(|digit| (b'1'..=b'9').contains(digit)) {
            return Ok(None);
        }
        let netlink = Netlink::open(libc::NETLINK_NETFILTER)?;
        netlink.set_receive_buffer(RECEIVE_BUFFER);
        netlink.join(message::DESTROY_GROUP)?;
        Ok(Some(Self(netlink)))
    }

    /// Calls `each` for every entry that ended, with its final counts.
    pub fn drain(&mut self, each: &mut dyn FnMut(&Entry)) -> News {
        let mut news = News::default();
        news.dropped = self.0.drain(&mut |message| {
            if message.kind == message::DELETE {
                news.count += 1;
                match message::entry(message.payload) {
                    Some(entry) => each(&entry),
                    None => news.malformed += 1,
                }
            }
        });
        news
    }
}
