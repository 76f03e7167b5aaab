//! Names of the hosts of the local network, found without DNS: from DHCP leases, `/etc/hosts`, and finally the neighbour table.
//!
//! `book` keeps the names. `file` reads the files of other programs, and `text` splits them into lines and fields. Each of the
//! other files parses one format. All input is hostile: a client chooses the name that it sends to a DHCP server. So names
//! are bytes, and the output must escape them.

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

use self::book::{Book, HostAddress};
use crate::proc::{self, OutOf};

/// How often the sources are read again.
const INTERVAL: Duration = Duration::from_secs(10);

/// Reads the names from a text.
type Reader = fn(&[u8], &mut Book);

/// The leases of dnsmasq, below the root: those of OpenWrt, and those of Debian and most others.
const DNSMASQ: [&str; 2] = ["tmp/dhcp.leases", "var/lib/misc/dnsmasq.leases"];

/// The leases of the other DHCP servers, each with its older files first.
const OTHERS: [(&[&str], Reader); 4] = [
    (&["var/lib/dhcp/dhcpd.leases"], isc::read),
    (&["var/dhcpd/var/db/dhcpd.leases"], isc::read),
    // Kea begins a new file each hour. A cleaner then collects the older leases in the file that ends with 2.
    (
        &["var/lib/kea/kea-leases4.csv.2", "var/lib/kea/kea-leases4.csv.1", "var/lib/kea/kea-leases4.csv"],
        kea::read,
    ),
    (
        &["var/lib/kea/kea-leases6.csv.2", "var/lib/kea/kea-leases6.csv.1", "var/lib/kea/kea-leases6.csv"],
        kea::read,
    ),
];

/// The folder where OpenWrt keeps hosts files for dnsmasq, and the prefixes of their names: odhcpd's leases, and the hosts and
/// domains of `/etc/config/dhcp`.
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
    /// Starts without any names. `root` is `/`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.into(), book: Book::default(), read: None }
    }

    /// Reads the sources again if the last reading is old. Keeps the old names if there is no descriptor to read with. `now`:
    /// time since the boot.
    pub fn refresh(&mut self, now: Duration) {
        if self.read.is_some_and(|read| now.saturating_sub(read) < INTERVAL) {
            return;
        }
        self.read = Some(now);
        if let Ok(book) = read(&self.root) {
            self.book = book;
        }
    }

    /// The name of a host; empty if it is unknown. An IPv4 address is mapped. The name may contain any bytes.
    pub fn name(&self, address: &HostAddress) -> &[u8] {
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
    // In a test, the neighbours of this machine's kernel do not belong to the tree.
    if root == Path::new("/") {
        proc::found(neighbours::ask(&mut book))?;
    }
    Ok(book)
}
