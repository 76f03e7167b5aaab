//! A program that watches the network meanwhile: tcptop, or one of its peers.

use std::{
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
    pub command: String,
}

impl Watcher {
    /// From `NAME=COMMAND`.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, command) = text.split_once('=')?;
        Some(Self { name: name.into(), command: command.into() })
    }

    /// Starts it, and returns when it watches.
    pub fn start(&self) -> Running {
        let before = hooks();
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("exec {}", self.command));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.command));
        let mut running = Running { child, before };
        let start = Instant::now();
        let mut seen = before;
        // It watches when what it has put into the kernel no longer grows.
        loop {
            thread::sleep(Duration::from_secs(1));
            let ended = running.child.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "{}: {ended:?}", self.command);
            let now = hooks();
            if now > before && now == seen {
                return running;
            }
            // bcc compiles its programs first, which takes minutes in an emulated machine.
            assert!(start.elapsed() < Duration::from_secs(600), "{} does not watch", self.command);
            seen = now;
        }
    }
}

/// BPF programs and packet sockets in the kernel.
fn hooks() -> usize {
    let sockets = fs::read_to_string("/proc/net/packet").unwrap_or_default();
    programs::ids().count() + sockets.lines().count()
}

/// A watcher at work; killed when dropped.
pub struct Running {
    child: Child,
    before: usize,
}

impl Running {
    pub fn process(&self) -> Process {
        Process(self.child.id())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        // SAFETY: signals a child of ours that was not waited for, so that its id is still its own.
        unsafe { libc::kill(pid, libc::SIGINT) };
        for _ in 0..100 {
            // The kernel takes away what it left a little later.
            if !matches!(self.child.try_wait(), Ok(None)) && hooks() <= self.before {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
