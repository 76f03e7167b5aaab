//! Network namespaces, as `ip` and `nft` make and fill them.

use std::{
    fs::File,
    io::Write,
    os::fd::AsRawFd,
    panic::resume_unwind,
    process::{Command, Stdio, id},
    thread,
};

use crate::harness::spawn;

/// A namespace with its loopback up, removed when dropped.
pub struct Space(String);

impl Space {
    pub fn new(name: &str) -> Self {
        let space = Self(format!("tcptop-e2e-{}-{name}", id()));
        run(Command::new("ip").args(["netns", "add", &space.0]), "");
        space.ip("link set lo up");
        space
    }

    /// Its name, for `ip`.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Runs `ip` for it.
    pub fn ip(&self, arguments: &str) -> String {
        run(Command::new("ip").args(["-n", &self.0]).args(arguments.split_whitespace()), "")
    }

    /// Runs `tc` for it.
    pub fn tc(&self, arguments: &str) {
        run(Command::new("tc").args(["-n", &self.0]).args(arguments.split_whitespace()), "");
    }

    /// Runs this in a thread inside it. Sockets stay in the namespace they were made in.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let entered = scope.spawn(|| {
                self.enter();
                act()
            });
            entered.join().unwrap_or_else(|fall| resume_unwind(fall))
        })
    }

    fn enter(&self) {
        let file = File::open(format!("/run/netns/{}", self.0)).expect("made by ip");
        // SAFETY: no pointer is passed; the namespace is the thread's own.
        let result = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(result, 0, "setns: {}", std::io::Error::last_os_error());
    }

    /// Adds chains and named counters to its table `inet test`.
    pub fn filter(&self, rules: &str) {
        self.inside(|| run(Command::new("nft").args(["-f", "-"]), &table(rules)));
    }

    /// Whether the kernel has what these rules need.
    pub fn accepts(&self, rules: &str) -> bool {
        let mut nft = Command::new("nft");
        nft.args(["--check", "--file", "-"]).stdin(Stdio::piped()).stderr(Stdio::null());
        self.inside(|| {
            let mut child = spawn(&mut nft);
            child.stdin.take().expect("piped").write_all(table(rules).as_bytes()).expect("it reads");
            child.wait().expect("a child of ours").success()
        })
    }

    /// Packets and bytes of a named counter.
    pub fn counted(&self, counter: &str) -> (u64, u64) {
        let list = ["list", "counter", "inet", "test", counter];
        let said = self.inside(|| run(Command::new("nft").args(list), ""));
        let number = |name: &str| {
            let words = said.split_whitespace().skip_while(|word| *word != name).nth(1);
            words.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no {name} in {said}"))
        };
        (number("packets"), number("bytes"))
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let removed = Command::new("ip").args(["netns", "del", &self.0]).status();
        if !thread::panicking() {
            assert!(removed.expect("ip").success(), "{} stays", self.0);
        }
    }
}

/// These rules in their table.
fn table(rules: &str) -> String {
    format!("table inet test {{\n{rules}\n}}\n")
}

/// Runs a program with this input, and returns what it said.
fn run(command: &mut Command, input: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(command);
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads its input");
    let output = child.wait_with_output().expect("a child of ours");
    let [said, complained] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into());
    assert!(output.status.success(), "{command:?} < {input:?}: {complained}");
    said
}
