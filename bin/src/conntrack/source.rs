//! Where entries are read from: netlink, or /proc where the kernel lacks nf_conntrack_netlink.
//!
//! Netlink is cheaper. It also has entries where the files of /proc are compiled out, and it tells when one ends.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use super::{entry::Entry, line, message};
use crate::sys::netlink::{Message, Netlink};

/// The table in /proc: its name today, and before Linux 3.9 without nf_conntrack's own file.
const FILES: [&str; 2] = ["net/nf_conntrack", "net/ip_conntrack"];

/// Bytes that are asked for at a time: one read(2) yields a page of them (fs/seq_file.c `seq_read_iter`, v6.1).
const BUFFER: usize = 16 * 1024;

/// More than a line of /proc has. A longer one is cut, and malformed.
const LINE: u64 = 4096;

/// A source of entries.
#[derive(Debug)]
pub enum Source {
    Netlink(Box<Netlink>),
    Proc(PathBuf),
}

/// What a reading was like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Entries that exist may not have been shown.
    pub may_miss: bool,
    /// So many could not be understood.
    pub malformed: u64,
}

impl Source {
    /// The better source that there is.
    ///
    /// # Errors
    /// The kernel's answer to a request by netlink, if the file in `proc` is not there either.
    pub fn open(proc: &Path) -> io::Result<Self> {
        let refusal = match ask() {
            Ok(netlink) => return Ok(Self::Netlink(Box::new(netlink))),
            Err(error) => error,
        };
        let mut files = FILES.iter().map(|file| proc.join(file));
        files.find(|file| File::open(file).is_ok()).map(Self::Proc).ok_or(refusal)
    }

    /// Whether the kernel tells by netlink which entries end.
    pub const fn tells_ends(&self) -> bool {
        matches!(self, Self::Netlink(_))
    }

    /// Passes every entry to `each`. An entry that comes or goes meanwhile may be passed or not, and one may be passed twice.
    ///
    /// # Errors
    /// The kernel's refusal, or no memory.
    pub fn read(&mut self, each: &mut dyn FnMut(&Entry)) -> io::Result<Reading> {
        let mut malformed = 0;
        let mut take = |entry: Option<Entry>| match entry {
            Some(entry) => each(&entry),
            None => malformed += 1,
        };
        let may_miss = match self {
            Self::Netlink(netlink) => netlink.dump(message::GET, &message::REQUEST, &mut |message| {
                if message.kind == message::NEW {
                    take(message::entry(message.payload));
                }
            })?,
            Self::Proc(file) => {
                lines(File::open(file)?, &mut |line| take(line::entry(line)))?;
                // If an entry goes while the file is read, a later one may be skipped: each read(2) counts entries from the
                // first (net/netfilter/nf_conntrack_standalone.c `ct_get_idx`, v6.1).
                true
            }
        };
        Ok(Reading { may_miss, malformed })
    }
}

/// A netlink socket that conntrack answers to.
fn ask() -> io::Result<Netlink> {
    let mut netlink = Netlink::open(libc::NETLINK_NETFILTER)?;
    netlink.dump(message::GET_STATS_CPU, &message::REQUEST, &mut |_: Message<'_>| {})?;
    Ok(netlink)
}

/// Calls `each` for every line, without its newline.
fn lines(input: impl Read, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut input = BufReader::with_capacity(BUFFER, input);
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.by_ref().take(LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        each(line.strip_suffix(b"\n").unwrap_or(&line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_length() {
        let text = [&b"one\n\nthree\n"[..], &[b'x'; 5000], b"\nlast"].concat();
        let mut lengths = Vec::new();
        lines(&text[..], &mut |line| lengths.push(line.len())).expect("no error in the input");
        assert_eq!(lengths, [3, 0, 5, 4096, 904, 4]);
    }

    #[test]
    fn a_file_of_proc() {
        let fixture = include_bytes!("fixtures/nf_conntrack");
        let folder = std::env::temp_dir().join(format!("tcptop-conntrack-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder of its own");
        let file = folder.join("nf_conntrack");
        std::fs::write(&file, [&fixture[..], b"ipv4 2 broken\n"].concat()).expect("written");
        let mut entries = Vec::new();
        let reading = Source::Proc(file).read(&mut |entry| entries.push(entry.clone()));
        std::fs::remove_dir_all(&folder).expect("removed");
        assert_eq!(reading.expect("read"), Reading { may_miss: true, malformed: 1 });
        assert_eq!(entries.len(), fixture.split(|byte| *byte == b'\n').count() - 1);
    }

    #[test]
    fn hostile_input() {
        let corpus = crate::testing::corpus("conntrack");
        crate::testing::hostile::Input { corpus, tokens: &[b"\n\n"] }.run(|text| {
            let (mut length, mut longest) = (0, 0);
            lines(text, &mut |line| {
                length += line.len();
                longest = longest.max(line.len());
            })
            .expect("no error in the input");
            let ends = text.iter().filter(|byte| **byte == b'\n').count();
            assert!(longest as u64 <= LINE && length + ends == text.len(), "nothing is lost");
        });
    }
}
