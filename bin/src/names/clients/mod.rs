//! What the hosts of the local network are called, without a question to DNS: DHCP leases, `/etc/hosts`, and the neighbour
//! table at the last.
//!
//! `book` keeps the names. `file` reads what other programs wrote, and `text` takes it apart. The others know one format
//! each. All of it is hostile: a client chooses the name that it sends to a DHCP server, so names are bytes, and whoever
//! shows them has to clean them.

mod book;
mod dnsmasq;
mod file;
mod hosts;
mod isc;
mod kea;
mod neighbours;
#[cfg(test)]
mod tests;
mod text;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use self::book::{Address, Book};
use crate::proc::{self, OutOf};

/// The sources are read again after so long.
const INTERVAL: Duration = Duration::from_secs(10);

/// Takes the names that a text has.
type Reader = fn(&[u8], &mut Book);

/// The leases of dnsmasq, below the root: those of OpenWrt, and those of Debian and most others.
const DNSMASQ: [&str; 2] = ["tmp/dhcp.leases", "var/lib/misc/dnsmasq.leases"];

/// The leases of each other DHCP server, older files first.
const OTHERS: [(&[&str], Reader); 4] = [
    (&["var/lib/dhcp/dhcpd.leases"], isc::read),
    (&["var/dhcpd/var/db/dhcpd.leases"], isc::read),
    // Kea begins a new file each hour. A cleaner then gathers the older leases in that which ends with 2.
    (
        &["var/lib/kea/kea-leases4.csv.2", "var/lib/kea/kea-leases4.csv.1", "var/lib/kea/kea-leases4.csv"],
        kea::read,
    ),
    (
        &["var/lib/kea/kea-leases6.csv.2", "var/lib/kea/kea-leases6.csv.1", "var/lib/kea/kea-leases6.csv"],
        kea::read,
    ),
];

/// Where OpenWrt has hosts files for dnsmasq, and how their names begin: those of odhcpd's leases, and those of hosts and
/// domains in `/etc/config/dhcp`.
const FOLDER: &str = "tmp/hosts";
const PREFIXES: [&str; 2] = ["odhcpd", "dhcp"];

/// Names of hosts by address.
pub struct Clients {
    root: PathBuf,
    book: Book,
    /// When the sources were read last: time since the boot.
    read: Option<Duration>,
}

impl Clients {
    /// No names so far; `root` is `/`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.into(), book: Book::default(), read: None }
    }

    /// Reads the sources again if the last reading is old. `now`: time since the boot. The names stay as they are if there
    /// is no descriptor to read with.
    pub fn refresh(&mut self, now: Duration) {
        if self.read.is_some_and(|read| now.saturating_sub(read) < INTERVAL) {
            return;
        }
        self.read = Some(now);
        if let Ok(book) = read(&self.root) {
            self.book = book;
        }
    }

    /// The name of a host; empty if it is unknown. An IPv4 address is mapped. Its bytes may be anything.
    pub fn name(&self, address: &Address) -> &[u8] {
        self.book.name(address)
    }
}

/// Reads all sources, the best first.
fn read(root: &Path) -> Result<Book, OutOf> {
    let mut book = Book::default();
    for name in DNSMASQ {
        book.begin();
        dnsmasq::read(&file::read(root, name)?, &mut book);
    }
    for name in file::list(root, FOLDER, &PREFIXES)? {
        hosts::read(&file::read(root, &name)?, &mut book);
    }
    for (files, reader) in OTHERS {
        book.begin();
        for name in files {
            reader(&file::read(root, name)?, &mut book);
        }
    }
    hosts::read(&file::read(root, "etc/hosts")?, &mut book);
    neighbours::read(&file::read(root, "proc/net/arp")?, &mut book);
    // The kernel knows nothing of other trees.
    if root == Path::new("/") {
        proc::found(neighbours::ask(&mut book))?;
    }
    Ok(book)
}
