//! Runs a program that watches the network: tcptop, or one of its peers.

use std::{
    cell::Cell,
    collections::BTreeSet,
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{process::Process, programs};

/// A program that watches the network, and how to start it.
pub struct Watcher {
    pub name: String,
    /// The command for a shell.
    command: String,
    /// The number of links to programs that the process had at its first start. Zero if it has not been started yet, or
    /// has none.
    links: Cell<usize>,
}

impl Watcher {
    pub fn new(name: &str, command: &str) -> Self {
        Self { name: name.into(), command: command.into(), links: Cell::new(0) }
    }

    /// Parses `NAME=COMMAND`.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, command) = text.split_once('=')?;
        Some(Self::new(name, command))
    }

    /// Returns the same program with more arguments.
    pub fn with(&self, arguments: &str) -> Self {
        Self::new(&self.name, &format!("{} {arguments}", self.command))
    }

    /// Returns the command for a shell.
    pub fn text(&self) -> &str {
        &self.command
    }

    /// Makes a command that starts a shell, which the program replaces.
    pub fn command(&self) -> Command {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("exec {}", self.command)).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Starts the program, and returns when it watches.
    pub fn start(&self) -> Running {
        let before = hooks();
        let child = self.command().stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{}: {error}", self.command));
        let mut running = Running { child, programs: BTreeSet::new() };
        let pid = running.process().0;
        if self.links.get() > 0 {
            self.wait(&mut running, Duration::from_millis(2), || {
                programs::held_by(pid).1 >= self.links.get()
            });
            running.settle();
        } else {
            // The program watches when it adds nothing more to the kernel. If it holds no programs itself, look at
            // those of all processes, which others may change too.
            let mut seen = (0, 0);
            self.wait(&mut running, Duration::from_secs(1), || {
                let (programs, links) = programs::held_by(pid);
                let own = programs.len() + links;
                let now = (own, if own > 0 { 0 } else { hooks() });
                (own > 0 || now.1 > before) && now == std::mem::replace(&mut seen, now)
            });
        }
        let (programs, links) = programs::held_by(pid);
        running.programs = programs;
        self.links.set(links);
        running
    }

    /// Calls `watches` at this interval until it returns true.
    fn wait(&self, running: &mut Running, interval: Duration, mut watches: impl FnMut() -> bool) {
        let start = Instant::now();
        loop {
            thread::sleep(interval);
            let ended = running.child.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "{}: {ended:?}", self.command);
            if watches() {
                return;
            }
            // bcc compiles its programs first, which takes minutes in an emulated machine.
            assert!(start.elapsed() < Duration::from_secs(600), "{} does not watch", self.command);
        }
    }
}

/// Returns the number of BPF programs and packet sockets in the kernel.
fn hooks() -> usize {
    let sockets = fs::read_to_string("/proc/net/packet").unwrap_or_default();
    programs::ids().count() + sockets.lines().count()
}

/// A running watcher. Dropping it ends the process.
pub struct Running {
    child: Child,
    programs: BTreeSet<u32>,
}

impl Running {
    pub fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Waits until the process has used no CPU time for 50 ms, so its work at the start is over.
    fn settle(&self) {
        let mut before = self.process().cpu();
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(50));
            let now = self.process().cpu();
            if now == std::mem::replace(&mut before, now) {
                return;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        // SAFETY: nobody has waited for this child, so the kernel has not given its id to another process.
        unsafe { libc::kill(pid, libc::SIGINT) };
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            // The kernel frees the programs a little after the process has ended.
            if !matches!(self.child.try_wait(), Ok(None))
                && self.programs.iter().all(|id| programs::name(*id).is_none())
            {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
