//! What processes and users are called beyond a process's short name: command lines, services and containers, users.
//!
//! All is looked up when a report wants it, once per report; what a process was called stays known for as long as a
//! connection of it is reported, after its end too.

mod unit;
mod users;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use self::users::Users;
use crate::{
    conn::{ConnectionRecord, Process},
    proc,
};

/// Where users are listed.
const PASSWD: &str = "/etc/passwd";

/// Which names are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Command lines.
    pub cmdline: bool,
    /// Services and containers.
    pub unit: bool,
    /// Users.
    pub user: bool,
}

/// Names known so far.
pub struct Names {
    proc: PathBuf,
    wanted: Wanted,
    users: Users,
    processes: HashMap<u32, Named>,
    /// Number of the report under way.
    report: u64,
}

/// What one process is called.
#[derive(Default)]
struct Named {
    /// Its short name at that time: another one, and it is another process or another program.
    comm: [u8; tcptop_abi::COMM_LEN],
    cmdline: Vec<u8>,
    unit: Vec<u8>,
    /// The last report that wanted it.
    report: u64,
}

impl Names {
    /// None so far; `proc` is `/proc`.
    pub fn new(proc: &Path, wanted: Wanted) -> Self {
        let users = Users::new(Path::new(PASSWD));
        Self { proc: proc.into(), wanted, users, processes: HashMap::new(), report: 0 }
    }

    /// Looks up what the report with `records` may show.
    pub fn look_up<'a>(&mut self, records: impl Iterator<Item = &'a ConnectionRecord>) {
        let Wanted { cmdline, unit, user } = self.wanted;
        if !(cmdline || unit || user) {
            return;
        }
        self.report += 1;
        for process in records.filter_map(|record| record.process) {
            if user {
                self.users.look_up(process.uid);
            }
            if !(cmdline || unit) {
                continue;
            }
            let named = self.processes.entry(process.pid).or_default();
            if named.report == self.report {
                continue;
            }
            named.report = self.report;
            if named.comm != process.comm {
                *named = Named { comm: process.comm, report: self.report, ..Named::default() };
            }
            // Of a process that has ended, the last words stay.
            if cmdline && let Some(text) = proc::cmdline(&self.proc, process.pid) {
                named.cmdline = text;
            }
            if unit && let Some(text) = proc::cgroup(&self.proc, process.pid) {
                named.unit = unit::of(&text);
            }
        }
        let report = self.report;
        self.processes.retain(|_, named| named.report == report);
    }

    /// Its command line, arguments apart by spaces; that of a kernel thread, or of a process that was gone before its
    /// first report, is its name.
    pub fn cmdline<'a>(&'a self, process: &'a Process) -> &'a [u8] {
        let known = self.processes.get(&process.pid).map_or(b"".as_slice(), |named| &named.cmdline);
        if known.is_empty() { process.name() } else { known }
    }

    /// Its service or container; empty when it has none.
    pub fn unit(&self, process: &Process) -> &[u8] {
        self.processes.get(&process.pid).map_or(b"", |named| &named.unit)
    }

    /// A user's name, or the number in digits.
    pub fn user(&self, uid: u32) -> &[u8] {
        self.users.name(uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{conn::Protocol, output::samples, proc::testing::Tree};

    #[test]
    fn the_last_words_of_a_process_stay_while_it_is_reported() {
        let tree = Tree::new();
        tree.file("7/cmdline", b"nginx: worker\0process\0");
        tree.file("7/cgroup", b"0::/system.slice/nginx.service\n");
        let wanted = Wanted { cmdline: true, unit: true, user: true };
        let mut names = Names::new(&tree.path(""), wanted);
        let record = ConnectionRecord {
            process: samples::process(7, b"nginx"),
            ..samples::record(Protocol::Tcp, ("10.0.0.1", 80), ("10.0.0.2", 5000))
        };
        let process = record.process.expect("given");
        assert_eq!(names.cmdline(&process), b"nginx", "not looked up yet");
        names.look_up([&record].into_iter());
        let known = |names: &Names| (names.cmdline(&process).to_vec(), names.unit(&process).to_vec());
        let words = (b"nginx: worker process".to_vec(), b"nginx.service".to_vec());
        assert_eq!(known(&names), words);
        assert_eq!(names.user(process.uid), b"root");
        std::fs::remove_dir_all(tree.path("7")).expect("ours");
        names.look_up([&record].into_iter());
        assert_eq!(known(&names), words);
        names.look_up(std::iter::empty());
        assert_eq!(known(&names), (b"nginx".to_vec(), b"".to_vec()), "forgotten");
    }
}
