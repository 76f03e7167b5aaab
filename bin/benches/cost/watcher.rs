//! A program that watches the network meanwhile: tcptop, or one of its peers.

use std::{
    cell::Cell,
    collections::BTreeSet,
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{process::Process, programs};

/// What to start.
pub struct Watcher {
    pub name: String,
    /// A shell's command.
    command: String,
    /// Links to programs that it had when it was started first. Zero: it was not yet started, or it needs none.
    links: Cell<usize>,
}

impl Watcher {
    pub fn new(name: &str, command: &str) -> Self {
        Self { name: name.into(), command: command.into(), links: Cell::new(0) }
    }

    /// From `NAME=COMMAND`.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, command) = text.split_once('=')?;
        Some(Self::new(name, command))
    }

    /// The same with more arguments.
    pub fn with(&self, arguments: &str) -> Self {
        Self::new(&self.name, &format!("{} {arguments}", self.command))
    }

    /// The command as a shell takes it.
    pub fn text(&self) -> &str {
        &self.command
    }

    /// The command, of a shell that the program replaces.
    pub fn command(&self) -> Command {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("exec {}", self.command)).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Starts it, and returns when it watches.
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
            // It watches when what it has put into the kernel no longer grows. What it does not hold itself shows in what
            // all hold, where others disturb.
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

    /// Asks in these intervals whether it watches, until it does.
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

/// BPF programs and packet sockets in the kernel.
fn hooks() -> usize {
    let sockets = fs::read_to_string("/proc/net/packet").unwrap_or_default();
    programs::ids().count() + sockets.lines().count()
}

/// A watcher at work; ended when dropped.
pub struct Running {
    child: Child,
    programs: BTreeSet<u32>,
}

impl Running {
    pub fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Waits until it has done what it does at its start: for 50 ms it used no CPU time.
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
        // SAFETY: signals a child of ours that was not waited for, so that its id is still its own.
        unsafe { libc::kill(pid, libc::SIGINT) };
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            // The kernel takes its programs away a little after its end.
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
