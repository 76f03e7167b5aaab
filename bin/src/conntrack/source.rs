//! Reads entries by netlink, or from /proc where the kernel lacks nf_conntrack_netlink.
//!
//! Netlink is cheaper. It also works where the files in /proc are compiled out, and it reports when an entry ends.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use super::{entry::Entry, line, message};
use crate::sys::netlink::{Message, Netlink};

/// The table in /proc: its name today, and the older one of Linux before 3.9.
const FILES: [&str; 2] = ["net/nf_conntrack", "net/ip_conntrack"];

/// The buffer in bytes. One read(2) returns at most a page (fs/seq_file.c `seq_read_iter`, v6.1).
const BUFFER: usize = 16 * 1024;

/// The longest line in bytes, more than /proc prints. A longer line is cut and counts as malformed.
const LINE: u64 = 4096;

/// A source of entries.
#[derive(Debug)]
pub enum EntrySource {
    Netlink(Box<Netlink>),
    Proc(PathBuf),
}

/// The result of one reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableReading {
    /// The reading may have skipped entries that exist.
    pub may_miss: bool,
    /// The number of entries that could not be parsed.
    pub malformed: u64,
}

impl EntrySource {
    /// Opens netlink, or else the file in /proc.
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

    /// Returns whether the kernel reports ended entries by netlink.
    pub const fn tells_ends(&self) -> bool {
        matches!(self, Self::Netlink(_))
    }

    /// Calls `each` for every entry. It may or may not see entries that begin or end meanwhile, and may see an entry twice.
    ///
    /// # Errors
    /// The kernel's refusal, or no memory.
    pub fn read(&mut self, each: &mut dyn FnMut(&Entry)) -> io::Result<TableReading> {
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
                // If an entry ends during the reading, the kernel may skip a later one, because each read(2) counts entries
                // from the first (net/netfilter/nf_conntrack_standalone.c `ct_get_idx`, v6.1).
                true
            }
        };
        Ok(TableReading { may_miss, malformed })
    }
}

/// Opens a netlink socket, and checks that conntrack answers.
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
        let reading = EntrySource::Proc(file).read(&mut |entry| entries.push(entry.clone()));
        std::fs::remove_dir_all(&folder).expect("removed");
        assert_eq!(reading.expect("read"), TableReading { may_miss: true, malformed: 1 });
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
