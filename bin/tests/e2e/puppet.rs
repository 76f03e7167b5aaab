//! Another process with sockets, moved by strings.
//!
//! A puppet is this same binary: with `TCPTOP_E2E_PUPPET` set it obeys lines of its standard input, each answered by
//! one line, and never reaches the test runner's `main`. So it has one
//! thread until an order makes another (`threads`), and that thread's name is the process's.

use std::{
    io::{BufRead, BufReader, Write},
    os::fd::AsRawFd,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::{body::Body, harness::spawn, rows::Owner, traffic};

/// Names a puppet.
pub const MARK: &str = "TCPTOP_E2E_PUPPET";

/// A puppet, killed when dropped.
pub struct Puppet {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub owner: Owner,
}

impl Puppet {
    /// Starts a process of this name (15 bytes at most).
    pub fn new(name: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("/proc/self/exe"));
        command.env(MARK, name).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn(&mut command);
        let orders = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut puppet = Self { child, orders, answers, owner: Owner { pid: 0, comm: name.into() } };
        puppet.owner.pid = puppet.tell("pid").parse().expect("a number");
        assert_eq!(puppet.owner, Owner::of(puppet.owner.pid));
        puppet
    }

    /// Gives an order, waits for it to be obeyed, returns the answer.
    pub fn tell(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").unwrap_or_else(|error| panic!("{order}: {error}"));
        if self.answers.buffer().is_empty() {
            traffic::readable(self.answers.get_ref().as_raw_fd(), order);
        }
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("UTF-8");
        assert!(answer.ends_with('\n'), "the puppet fell at {order:?}: its message is above");
        answer.trim_end().into()
    }

    /// Lets it become another program of this name, which has its connection.
    pub fn exec(&mut self, name: &str) {
        assert_eq!(self.tell(&format!("exec {name}")), name);
        self.owner.comm = name.into();
    }

    /// Kills it with SIGKILL, and waits for its end.
    pub fn kill(mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }

    /// Lets it exit by itself with all its sockets open.
    pub fn leave(mut self) {
        writeln!(self.orders, "leave").expect("alive");
        self.child.wait().expect("a child of ours");
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Run by the C library before `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let Some(name) = std::env::var_os(MARK) else { return };
    let mut name = name.into_encoded_bytes();
    name.push(0);
    // SAFETY: a NUL-terminated string. Read by the kernel, for the calling thread.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    let obeyed = std::panic::catch_unwind(|| Body::default().obey());
    std::process::exit(if obeyed.is_ok() { 0 } else { 1 });
}
