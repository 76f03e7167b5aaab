//! What waits at TCP sockets: queues and congestion windows, of /proc/net/tcp and tcp6.

use std::{collections::HashMap, io, path::Path};

use tcptop_abi::{Endpoints, TcpStateCode};

use super::{
    line::{Fields, decimal, hex},
    namespaces, pids,
    sockets::SocketEntry,
    stream,
};
use crate::conn::{Protocol, Queues};

/// Queues of connections.
#[derive(Default)]
pub struct Waiting(HashMap<Endpoints, Found>);

/// The network namespace of a connection, and its queues; `None`: another namespace has a connection with the same ends.
type Found = (u64, Option<Queues>);

impl Waiting {
    /// The queues of the connection with these ends; `None`: they are not known.
    pub fn of(&self, ends: &Endpoints) -> Option<Queues> {
        self.0.get(ends)?.1
    }

    fn add(&mut self, line: &[u8], namespace: u64) {
        let Some(entry) = SocketEntry::parse(line, Protocol::Tcp, namespace) else { return };
        let Some(queues) = parse(line).filter(|_| entry.state != TcpStateCode::LISTEN) else { return };
        // A table that changes while it is read may show a socket twice.
        let (of, found) = self.0.entry(entry.ends).or_insert((namespace, Some(queues)));
        if *of != namespace {
            *found = None;
        }
    }
}

/// Reads the queues of every TCP connection in every network namespace.
///
/// # Errors
/// The tables of our own network namespace cannot be read, or there was no descriptor or memory to look with.
pub fn queues(root: &Path) -> io::Result<Waiting> {
    let mut waiting = Waiting::default();
    let mut buffer = vec![0; stream::BUFFER];
    namespaces::tables(root, &pids::pids(root)?, &mut |namespace, tables| {
        tables.lines(&mut buffer, &mut |line, protocol| {
            if protocol == Protocol::Tcp {
                waiting.add(line, namespace);
            }
        })?;
        Ok(())
    })?;
    Ok(waiting)
}

/// The fields of a line that are about queues. `None`: it has none, because it is of a handshake or of what remains of a
/// closed connection.
///
/// `tx_queue:rx_queue` is the fifth field; the congestion window is the sixteenth (net/ipv4/tcp_ipv4.c `get_tcp4_sock`, the
/// same in v5.10 to v6.18).
fn parse(line: &[u8]) -> Option<Queues> {
    let mut fields = Fields::new(line);
    let (unacknowledged, unread) = fields.nth(4)?.split_at_checked(8)?;
    let window = decimal(fields.nth(10)?)?;
    // The field behind it shows that it is whole.
    fields.next()?;
    Some(Queues {
        unacknowledged: hex(unacknowledged)?,
        unread: hex(unread.strip_prefix(b":")?)?,
        window: u32::try_from(window).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        proc::testing::{Tree, captured, ends},
        testing::{corpus, hostile},
    };

    const HEADER: &str = "  sl  local_address rem_address   st tx_queue rx_queue\n";

    fn line(state: &str, queues: &str, rest: &str) -> String {
        format!(
            "   0: 0100007F:1F90 0100007F:9C40 {state} {queues} 00:00000000 00000000     0        0 7 {rest}\n"
        )
    }

    #[test]
    fn the_fields_of_a_socket() {
        let text = line("01", "0000001F:00000003", "1 0000000000000000 20 4 30 10 -1");
        let queues = Queues { unacknowledged: 31, unread: 3, window: 10 };
        assert_eq!(parse(text.trim_end().as_bytes()), Some(queues));
        let time_wait = line("06", "00000000:00000000", "3 0000000000000000");
        assert_eq!(parse(time_wait.trim_end().as_bytes()), None);
    }

    #[test]
    fn the_same_ends_in_two_namespaces() {
        let tree = Tree::new();
        let table = |window| {
            HEADER.to_owned() + &line("01", "00000001:00000000", &format!("1 0 20 4 30 {window} -1"))
        };
        tree.file("self/net/tcp", table(10).as_bytes());
        tree.link("self/ns/net", "net:[30]");
        let wanted = ends("127.0.0.1", 8080, "127.0.0.1", 40000);
        let found = |tree: &Tree| queues(&tree.path("")).expect("readable").of(&wanted);
        assert_eq!(found(&tree).map(|queues| queues.window), cfg!(target_endian = "little").then_some(10));
        tree.file("2/net/tcp", table(20).as_bytes());
        tree.link("2/ns/net", "net:[20]");
        assert_eq!(found(&tree), None);
    }

    #[test]
    fn captured_tables() {
        let waiting = queues(&captured()).expect("readable");
        assert!(!waiting.0.is_empty() && waiting.0.values().all(|(_, found)| found.is_some()));
    }

    #[test]
    fn hostile_input() {
        let tokens: [&[u8]; 4] = [b"0000001F:00000003", b":", b"FFFFFFFFFFFFFFFFF", b" 10 -1"];
        hostile::Input { corpus: corpus("sockets"), tokens: &tokens }.run(|table| {
            for line in table.split(|byte| *byte == b'\n') {
                // What is cut off ends a number too early, unless another field follows.
                let (part, whole) = (parse(hostile::cut(line)), parse(line));
                assert!(part.is_none() || part == whole, "{}", line.escape_ascii());
            }
        });
    }
}
