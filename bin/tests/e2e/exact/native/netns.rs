//! Creates network namespaces, and configures them by `ip`, `tc` and `nft`.

use std::{
    fs::File,
    io::Write,
    os::fd::AsRawFd,
    panic::resume_unwind,
    process::{Command, Stdio, id},
    thread,
};

use crate::harness::spawn;

/// A network namespace whose loopback is up. It is removed when dropped.
pub struct Netns(String);

impl Netns {
    pub fn new(name: &str) -> Self {
        let netns = Self(format!("tcptop-e2e-{}-{name}", id()));
        run(Command::new("ip").args(["netns", "add", &netns.0]), "");
        netns.ip("link set lo up");
        netns
    }

    /// Returns the name that `ip` uses.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Runs `ip` in the namespace, and returns its output.
    pub fn ip(&self, arguments: &str) -> String {
        run(Command::new("ip").args(["-n", &self.0]).args(arguments.split_whitespace()), "")
    }

    /// Runs `tc` in the namespace.
    pub fn tc(&self, arguments: &str) {
        run(Command::new("tc").args(["-n", &self.0]).args(arguments.split_whitespace()), "");
    }

    /// Runs `act` in a thread inside the namespace. A socket stays in the namespace in which it was opened.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let entered = scope.spawn(|| {
                self.enter();
                act()
            });
            entered.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    fn enter(&self) {
        let file = File::open(format!("/run/netns/{}", self.0)).expect("ip created it");
        // SAFETY: no pointer is passed. Only the namespace of this thread changes.
        let result = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(result, 0, "setns: {}", std::io::Error::last_os_error());
    }

    /// Adds chains and named counters to the namespace's table `inet test`.
    pub fn nft(&self, rules: &str) {
        self.inside(|| run(Command::new("nft").args(["-f", "-"]), &table(rules)));
    }

    /// Returns whether the kernel supports these nft rules.
    pub fn supports(&self, rules: &str) -> bool {
        let mut nft = Command::new("nft");
        nft.args(["--check", "--file", "-"]).stdin(Stdio::piped()).stderr(Stdio::null());
        self.inside(|| {
            let mut child = spawn(&mut nft);
            child
                .stdin
                .take()
                .expect("piped")
                .write_all(table(rules).as_bytes())
                .expect("nft reads its input");
            child.wait().expect("wait").success()
        })
    }

    /// Returns the packets and bytes of a named counter.
    pub fn counter(&self, name: &str) -> (u64, u64) {
        let list = ["list", "counter", "inet", "test", name];
        let listing = self.inside(|| run(Command::new("nft").args(list), ""));
        let number = |unit: &str| {
            let words = listing.split_whitespace().skip_while(|word| *word != unit).nth(1);
            words.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no {unit} in {listing}"))
        };
        (number("packets"), number("bytes"))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let removed = Command::new("ip").args(["netns", "del", &self.0]).status();
        if !thread::panicking() {
            assert!(removed.expect("ip").success(), "ip cannot remove {}", self.0);
        }
    }
}

/// Puts rules into the table.
fn table(rules: &str) -> String {
    format!("table inet test {{\n{rules}\n}}\n")
}

/// Runs a program with this input, and returns its output.
fn run(command: &mut Command, input: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(command);
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("the program reads its input");
    let finished = child.wait_with_output().expect("wait");
    let [output, errors] =
        [finished.stdout, finished.stderr].map(|text| String::from_utf8_lossy(&text).into());
    assert!(finished.status.success(), "{command:?} < {input:?}: {errors}");
    output
}
