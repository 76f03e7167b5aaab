//! Names of processes, users, hosts and network interfaces.

mod cgroup_units;
mod clients;
mod interfaces;
mod known;
mod processes;
mod unit;
mod users;

use std::{path::Path, time::Duration};

use self::{
    cgroup_units::Units, clients::Clients, interfaces::Interfaces, processes::Processes, users::Users,
};
use crate::{
    collector::{ObservedOwner, Process},
    conn::{ConnectionRecord, Identified},
    proc::OutOf,
    sys::clock,
};

/// The file that lists users.
const PASSWD: &str = "/etc/passwd";

/// Returns the number of the user with this name.
pub fn uid_of(name: &[u8]) -> Option<u32> {
    users::number(Path::new(PASSWD), name)
}

/// Which names to look up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameOptions {
    /// Command lines.
    pub cmdline: bool,
    /// Services and containers.
    pub unit: bool,
    /// Users.
    pub user: bool,
    /// Hosts of the local network.
    pub client: bool,
    /// Network interfaces.
    pub interface: bool,
}

impl NameOptions {
    /// Returns whether names of processes are wanted that only /proc provides.
    pub const fn of_processes(self) -> bool {
        self.cmdline || self.unit
    }
}

/// The names known so far.
pub struct Names {
    wanted: NameOptions,
    users: Users,
    processes: Processes,
    units: Units,
    clients: Clients,
    interfaces: Interfaces,
    /// Processes whose names [`Self::forget_others`] keeps.
    kept: Vec<Process>,
}

impl Names {
    /// Starts without any names. `proc` is `/proc`.
    pub fn new(proc: &Path, wanted: NameOptions) -> Self {
        let users = Users::new(Path::new(PASSWD));
        let processes = Processes::new(proc.into(), wanted);
        let clients = Clients::new(Path::new("/"));
        let mut units = Units::default();
        if wanted.unit {
            units.open();
        }
        let interfaces = Interfaces::default();
        Self { wanted, users, processes, units, clients, interfaces, kept: Vec::new() }
    }

    /// Reads the wanted names of a process that begins to use sockets, while it still lives.
    pub fn read_now(&mut self, pid: u32) {
        self.processes.read_now(pid);
    }

    /// Returns the process that a collector has seen, with its name. `None`: it is a kernel worker, which works for others.
    pub fn identify(&mut self, owner: &ObservedOwner) -> Option<Identified> {
        self.processes.identify(owner, &mut self.units)
    }

    /// Returns whether a process is known to have exited. `now`: time since the boot.
    pub fn is_gone(&mut self, process: &Process, now: Duration) -> bool {
        self.processes.is_gone(process, now)
    }

    /// Takes the resource that reads of /proc have lacked since the last call.
    pub const fn take_out_of(&mut self) -> Option<OutOf> {
        self.processes.take_out_of()
    }

    /// Looks up the names that rows of `records` may show.
    pub fn look_up<'a>(&mut self, records: impl Iterator<Item = &'a ConnectionRecord> + Clone) {
        let processes = records.clone().filter_map(|record| record.process());
        if self.wanted.user {
            processes.clone().for_each(|process| self.users.look_up(process.uid));
        }
        self.processes.refresh(processes);
        if self.wanted.client {
            self.clients.refresh(clock::boot());
        }
        if self.wanted.interface {
            self.interfaces.look_up(records, clock::boot());
        }
    }

    /// Keeps the names of these processes, and no longer those of the last call.
    pub fn keep_only<'a>(&mut self, processes: impl Iterator<Item = &'a Process>) {
        self.kept.clear();
        self.kept.extend(processes);
    }

    /// If many processes are known, forgets those that neither `records` nor [`Self::keep_only`] needs.
    pub fn forget_others<'a, R: Iterator<Item = &'a ConnectionRecord>>(
        &mut self,
        records: impl FnOnce() -> R,
    ) {
        if self.processes.are_many() {
            let needed = records().filter_map(|record| record.process());
            self.processes.forget_others(needed.chain(&self.kept));
        }
    }

    /// The command line, with spaces between the arguments. If there is none (a kernel thread, or a process that exited before
    /// its command line could be read), the process's name.
    pub fn cmdline<'a>(&'a self, process: &'a Process) -> &'a [u8] {
        let known = self.processes.cmdline(process);
        if known.is_empty() { process.name() } else { known }
    }

    /// The process's service or container; empty if it has none.
    pub fn unit(&self, process: &Process) -> &[u8] {
        self.processes.unit(process)
    }

    /// The name of a host of the local network; empty if it has none.
    pub fn client(&self, address: &[u8; 16]) -> &[u8] {
        self.clients.name(address)
    }

    /// The name of a connection's network interface, or its index if it is in another namespace; empty if it is unknown.
    pub fn interface(&self, record: &ConnectionRecord) -> &[u8] {
        self.interfaces.name(record)
    }

    /// A user's name, or the number in digits.
    pub fn user(&self, uid: u32) -> &[u8] {
        self.users.name(uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        conn::Protocol,
        output::samples,
        proc::testing::{self, Tree},
    };

    #[test]
    fn the_last_words_of_a_process_stay() {
        let tree = Tree::new();
        tree.file("7/stat", &testing::stat(7, "nginx", 1));
        tree.file("7/cmdline", b"nginx: worker\0process\0");
        tree.file("7/cgroup", b"0::/system.slice/nginx.service\n");
        let wanted = NameOptions { cmdline: true, unit: true, user: true, client: false, interface: false };
        let mut names = Names::new(&tree.path(""), wanted);
        let record = ConnectionRecord {
            owner: samples::process(7, b"nginx"),
            ..samples::record(Protocol::Tcp, ("10.0.0.1", 80), ("10.0.0.2", 5000))
        };
        let process = *record.process().expect("given");
        assert_eq!(names.cmdline(&process), b"nginx", "the command line was not looked up yet");
        names.look_up([&record].into_iter());
        let known = |names: &Names| (names.cmdline(&process).to_vec(), names.unit(&process).to_vec());
        let words = (b"nginx: worker process".to_vec(), b"nginx.service".to_vec());
        assert_eq!(known(&names), words);
        assert_eq!(names.user(process.uid), b"root");
        std::fs::remove_dir_all(tree.path("7")).expect("ours");
        names.look_up([&record].into_iter());
        assert_eq!(known(&names), words);
        names.look_up(std::iter::empty());
        names.look_up([&record].into_iter());
        assert_eq!(known(&names), words, "a report without the process must not forget it");
    }
}
