//! Fixtures for the tests of this room: captured tables, and a small /proc made of files.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use tcptop_abi::{Endpoints, TcpStateCode};

use crate::conn::Protocol;

use super::SocketEntry;

/// Returns the root of a captured /proc. Its tables come from a network namespace on a little-endian Linux 6.18, which
/// had the addresses 192.0.2.1 and 2001:db8::1. A Python script made these sockets: TCP servers on 0.0.0.0:8080,
/// [::]:8081 and [2001:db8::1]:8082, clients on ports 40001 and up (IPv4, IPv6, mapped; accepted or not yet;
/// half-closed, TIME_WAIT, SYN_SENT), UDP servers on 53, 5353 and 5354, and connected UDP sockets on 50001 and up. The
/// kernel addresses of the sockets were replaced by zeros.
pub fn captured() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/proc")
}

macro_rules! table {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/proc/self/net/", $name))
    };
}

/// The captured tables.
pub const CAPTURED: [(&[u8], Protocol); 4] = [
    (table!("tcp"), Protocol::Tcp),
    (table!("tcp6"), Protocol::Tcp),
    (table!("udp"), Protocol::Udp),
    (table!("udp6"), Protocol::Udp),
];

/// A directory that looks like /proc. Dropping it removes the directory.
pub struct Tree(PathBuf);

impl Tree {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tcptop-proc-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(name);
        fs::create_dir(&root).expect("a fresh directory");
        Self(root)
    }

    /// Creates a tree with the captured tables as those of our own namespace.
    pub fn captured() -> Self {
        let tree = Self::new();
        tree.link("self/net", captured().join("self/net").to_str().expect("a path in UTF-8"));
        tree.link("self/ns/net", "net:[1]");
        tree
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn parent(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("directories");
        path
    }

    pub fn file(&self, name: &str, content: &[u8]) {
        fs::write(self.parent(name), content).expect("a file");
    }

    pub fn link(&self, name: &str, target: &str) {
        symlink(target, self.parent(name)).expect("a link");
    }

    /// Adds a process with these descriptors.
    pub fn process(&self, pid: u32, comm: &str, descriptors: &[&str]) {
        self.file(&format!("{pid}/stat"), &stat(pid, comm, 100));
        self.file(&format!("{pid}/status"), format!("Name:\t{comm}\nUid:\t{pid}\t0\t0\t0\n").as_bytes());
        self.descriptors(&format!("{pid}/fd"), descriptors);
    }

    /// Adds a thread of a process, with these descriptors.
    pub fn thread(&self, pid: u32, tid: u32, descriptors: &[&str]) {
        self.descriptors(&format!("{pid}/task/{tid}/fd"), descriptors);
    }

    fn descriptors(&self, directory: &str, targets: &[&str]) {
        fs::create_dir_all(self.path(directory)).expect("a directory");
        for (number, target) in targets.iter().enumerate() {
            self.link(&format!("{directory}/{number}"), target);
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // Ignore an error: a panic here would hide the panic of the test.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the body of the test with this name in a separate process, because the body affects its whole process.
pub fn alone(test: &str, body: impl FnOnce()) {
    const MARK: &str = "TCPTOP_TEST_ALONE";
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    let mut command = process::Command::new(std::env::current_exe().expect("/proc/self/exe"));
    let output = command.args([test, "--exact", "--nocapture"]).env(MARK, "").output().expect("this program");
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && text.contains("1 passed");
    assert!(passed, "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// Parses an address into 16 bytes, with IPv4 mapped.
pub fn address(text: &str) -> [u8; 16] {
    match text.parse().expect("an address") {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Returns the ends of a TCP connection or UDP flow.
pub fn ends(local: &str, lport: u16, remote: &str, rport: u16) -> Endpoints {
    Endpoints { laddr: address(local), raddr: address(remote), lport, rport }
}

/// Returns a listening TCP socket or an unconnected UDP socket, in namespace 0.
pub fn socket(protocol: Protocol, local: &str, port: u16, inode: u64) -> SocketEntry {
    let state = if protocol == Protocol::Tcp { TcpStateCode::LISTEN } else { TcpStateCode::CLOSE };
    let laddr = address(local);
    let raddr = Ipv6Addr::UNSPECIFIED.octets();
    let ends = Endpoints { laddr, raddr, lport: port, rport: 0 };
    SocketEntry { protocol, ends, state, inode, namespace: 0 }
}

/// Returns the text of `/proc/<pid>/stat` of a process that began `start` clock ticks after the boot.
pub fn stat(pid: u32, comm: &str, start: u64) -> Vec<u8> {
    format!("{pid} ({comm}) S 1 {pid} {pid} 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 {start} 0 0 0\n")
        .into_bytes()
}
