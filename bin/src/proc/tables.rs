//! The four socket tables of one network namespace.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::conn::Protocol;
use crate::foreign::Shown;

use super::OutOf;
use super::sockets::{SocketEntry, is_header};
use super::stream;

/// The files of `/proc/<pid>/net` that list sockets.
const FILES: [(&str, Protocol); 4] =
    [("tcp", Protocol::Tcp), ("tcp6", Protocol::Tcp), ("udp", Protocol::Udp), ("udp6", Protocol::Udp)];

/// Receives a socket and its line.
pub type SocketSink<'a> = &'a mut dyn FnMut(SocketEntry, &[u8]);

/// The open tables of one namespace. They stay readable even if the process through which they were opened exits
/// (fs/proc/proc_net.c, `seq_open_net` holds the namespace, v6.1).
pub struct SocketTables(Vec<(File, Protocol)>);

impl SocketTables {
    /// Opens the tables that exist in `directory`. A kernel without IPv6 has two.
    ///
    /// # Errors
    /// There is no table at all, or an existing one cannot be opened.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let mut tables = Vec::with_capacity(FILES.len());
        for (name, protocol) in FILES {
            let path = directory.join(name);
            match File::open(&path) {
                Ok(file) => tables.push((file, protocol)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if OutOf::of(&error).is_some() => return Err(error),
                Err(error) => {
                    return Err(io::Error::new(error.kind(), format!("{}: {error}", Shown::new(&path))));
                }
            }
        }
        if tables.is_empty() {
            let error = format!("{}: no socket tables there", Shown::new(directory));
            return Err(io::Error::new(ErrorKind::NotFound, error));
        }
        Ok(Self(tables))
    }

    /// Passes every socket to `sink`, with `namespace` and its line. Returns how many lines were malformed. If the table
    /// changes meanwhile, a socket may appear twice or not at all, because the kernel walks the table in pieces.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(self, namespace: u64, buffer: &mut [u8], sink: SocketSink<'_>) -> io::Result<usize> {
        let mut malformed = 0;
        for (mut file, protocol) in self.0 {
            let mut wrong = 0;
            let overlong = stream::lines(&mut file, buffer, &mut |line| match SocketEntry::parse(
                line, protocol, namespace,
            ) {
                Some(entry) => sink(entry, line),
                None if is_header(line) => {}
                None => wrong += 1,
            })?;
            malformed += wrong + overlong;
        }
        Ok(malformed)
    }
}

#[cfg(test)]
mod tests {
    use tcptop_abi::TcpStateCode;

    use super::*;
    use crate::proc::testing::{Tree, captured};

    fn read(directory: &Path) -> (Vec<SocketEntry>, usize) {
        let mut entries = Vec::new();
        let tables = SocketTables::open(directory).expect("tables");
        let malformed = tables.read(5, &mut [0; 512], &mut |entry, _| entries.push(entry)).expect("readable");
        (entries, malformed)
    }

    #[test]
    fn captured_tables() {
        let (entries, malformed) = read(&captured().join("self/net"));
        assert_eq!((entries.len(), malformed), (14 + 8 + 3 + 4, 0));
        assert!(entries.iter().all(|entry| entry.namespace == 5));
        let tcp = |state| {
            entries.iter().filter(|entry| entry.protocol == Protocol::Tcp && entry.state == state).count()
        };
        assert_eq!(tcp(TcpStateCode::LISTEN), 3);
        assert_eq!(tcp(TcpStateCode::TIME_WAIT), 2);
        assert_eq!((tcp(TcpStateCode::FIN_WAIT2), tcp(TcpStateCode::CLOSE_WAIT)), (1, 1));
        assert_eq!(entries.iter().filter(|entry| entry.is_bound()).count(), 3 + 4);
        assert_eq!(
            entries.iter().filter(|entry| entry.inode == 0).count(),
            4,
            "these are not accepted, or in TIME_WAIT"
        );
    }

    #[test]
    fn a_kernel_without_ipv6_has_two_tables() {
        let tree = Tree::new();
        tree.file("net/tcp", b"  sl  local_address\n   0: nonsense\n");
        tree.file("net/udp", b"   sl  local_address\n");
        assert_eq!(read(&tree.path("net")), (vec![], 1));
    }

    #[test]
    fn no_table_at_all_is_an_error() {
        let tree = Tree::new();
        let error = SocketTables::open(&tree.path("net")).err().expect("there are no tables");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
