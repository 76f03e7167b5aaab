//! Other processes with sockets, which a test controls by orders.
//!
//! A helper runs this same binary. If `TCPTOP_E2E_HELPER` is set, the process reads one order from each line of its
//! standard input, obeys it and writes one line as the answer. It never reaches the test runner's `main`. A helper has
//! one thread, which has the name of the process. It has more if an order makes another (see `threads`), or if
//! [`threaded`] starts it.

use std::{
    io::{BufRead, BufReader, Write},
    os::fd::AsRawFd,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::{executor::Executor, harness::spawn, rows::Owner, traffic};

/// The variable that makes a process a helper, and names it.
pub const MARK: &str = "TCPTOP_E2E_HELPER";
/// The variable that names the thread in which a helper obeys, if that is not its main thread.
const THREAD: &str = "TCPTOP_E2E_THREAD";

/// A running helper. Dropping it kills the process.
pub struct Helper {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub owner: Owner,
}

impl Helper {
    /// Starts a helper with this name, which has at most 15 bytes.
    pub fn new(name: &str) -> Self {
        Self::by(&mut command(name), name)
    }

    /// Starts a helper with the caller's command, which must be for this name.
    pub fn by(command: &mut Command, name: &str) -> Self {
        let mut child = spawn(command);
        let orders = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut helper = Self { child, orders, answers, owner: Owner { pid: 0, comm: name.into() } };
        helper.owner.pid = helper.tell("pid").parse().expect("a number");
        assert_eq!(helper.owner, Owner::of(helper.owner.pid));
        helper
    }

    /// Gives an order, waits until the helper has obeyed it, and returns the answer.
    pub fn tell(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").unwrap_or_else(|error| panic!("{order}: {error}"));
        if self.answers.buffer().is_empty() {
            traffic::readable(self.answers.get_ref().as_raw_fd(), order);
        }
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("UTF-8");
        assert!(answer.ends_with('\n'), "the helper ended at {order:?}; its message is above");
        answer.trim_end().into()
    }

    /// Makes the helper execute this binary again. The new program has this name, and inherits the connection.
    pub fn exec(&mut self, name: &str) {
        assert_eq!(self.tell(&format!("exec {name}")), name);
        self.owner.comm = name.into();
    }

    /// Kills the helper with SIGKILL, and waits for its end.
    pub fn kill(mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }

    /// Makes the helper create a child that inherits its connection, and kills the parent. From then on the child
    /// obeys. It has this name.
    pub fn replace_by_child(&mut self, name: &str) -> Owner {
        let heir = self.tell("fork").parse().expect("a number");
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
        self.exec(name);
        self.owner.pid = heir;
        self.owner.clone()
    }

    /// Makes the helper exit while all its sockets are open.
    pub fn leave(mut self) {
        writeln!(self.orders, "leave").expect("the helper runs");
        self.child.wait().expect("a child of ours");
    }
}

/// Makes a command that starts a helper with this name.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("/proc/self/exe"));
    command.env(MARK, name).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Makes a command that starts a helper with this name, which obeys in a second thread. That thread has another name.
pub fn threaded(name: &str, thread: &str) -> Command {
    let mut command = command(name);
    command.env(THREAD, thread);
    command
}

/// Runs a helper that gets all its orders when it starts, so it lives for some milliseconds. Waits for its end, and
/// returns its pid.
pub fn play(command: &mut Command, orders: &str) -> u32 {
    let mut child = spawn(command);
    let pid = child.id();
    write!(child.stdin.take().expect("piped"), "{orders}\nleave\n").expect("the helper runs");
    let status = child.wait().expect("a child of ours");
    assert!(status.success(), "{orders}: {status}");
    pid
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The C library calls this before `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let Some(name) = std::env::var_os(MARK) else { return };
    let mut name = name.into_encoded_bytes();
    name.push(0);
    // SAFETY: the kernel reads a string that ends with NUL and outlives the call.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    let obey = || Executor::default().obey();
    let obeyed = match std::env::var(THREAD) {
        Ok(thread) => std::thread::Builder::new().name(thread).spawn(obey).expect("a thread").join(),
        Err(_) => std::panic::catch_unwind(obey),
    };
    std::process::exit(if obeyed.is_ok() { 0 } else { 1 });
}
