//! Another process with sockets, moved by strings.
//!
//! A puppet is this same binary: with `TCPTOP_E2E_PUPPET` set it obeys lines of its standard input, each answered by
//! one line, and never reaches the test runner's `main`. It has one thread, whose name is the process's, until an order
//! makes another (`threads`), or unless it is asked to obey in another one.

use std::{
    io::{BufRead, BufReader, Write},
    os::fd::AsRawFd,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::{body::Body, harness::spawn, rows::Owner, traffic};

/// Names a puppet.
pub const MARK: &str = "TCPTOP_E2E_PUPPET";
/// Names the thread in which a puppet obeys, if that is not its first one.
const THREAD: &str = "TCPTOP_E2E_THREAD";

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
        Self::by(&mut command(name), name)
    }

    /// Starts the process of a command for a puppet of this name.
    pub fn by(command: &mut Command, name: &str) -> Self {
        let mut child = spawn(command);
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

    /// Makes the puppet execute another program of this name, which inherits its connection.
    pub fn exec(&mut self, name: &str) {
        assert_eq!(self.tell(&format!("exec {name}")), name);
        self.owner.comm = name.into();
    }

    /// Kills it with SIGKILL, and waits for its end.
    pub fn kill(mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }

    /// Makes the puppet create a child that inherits its connection, and kills the parent. The child obeys from now on, under
    /// this name.
    pub fn bequeath(&mut self, name: &str) -> Owner {
        let heir = self.tell("fork").parse().expect("a number");
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
        self.exec(name);
        self.owner.pid = heir;
        self.owner.clone()
    }

    /// Makes it exit with all its sockets open.
    pub fn leave(mut self) {
        writeln!(self.orders, "leave").expect("alive");
        self.child.wait().expect("a child of ours");
    }
}

/// A command for a puppet of this name.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("/proc/self/exe"));
    command.env(MARK, name).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// A command for a puppet of this name that obeys in a thread of another name.
pub fn threaded(name: &str, thread: &str) -> Command {
    let mut command = command(name);
    command.env(THREAD, thread);
    command
}

/// Runs a puppet that gets all its orders at its start, so that it lives for milliseconds. Waits for its end, and returns its
/// pid.
pub fn play(command: &mut Command, orders: &str) -> u32 {
    let mut child = spawn(command);
    let pid = child.id();
    write!(child.stdin.take().expect("piped"), "{orders}\nleave\n").expect("alive");
    let status = child.wait().expect("a child of ours");
    assert!(status.success(), "{orders}: {status}");
    pid
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
    let obey = || Body::default().obey();
    let obeyed = match std::env::var(THREAD) {
        Ok(thread) => std::thread::Builder::new().name(thread).spawn(obey).expect("a thread").join(),
        Err(_) => std::panic::catch_unwind(obey),
    };
    std::process::exit(if obeyed.is_ok() { 0 } else { 1 });
}
