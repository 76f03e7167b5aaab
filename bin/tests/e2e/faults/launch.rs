//! Chooses how a test starts tcptop, and where tcptop writes its reports.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::traffic::OWN_ADDRESS;
use crate::harness::{Scratch, tcptop};

/// A function that calls its argument, in a network namespace for example.
type Wrapper = Box<dyn Fn(&mut (dyn FnMut() + Send))>;

/// How tcptop is started.
pub struct Launch {
    args: Vec<String>,
    pub log: Option<PathBuf>,
    /// Starts tcptop in a network namespace.
    pub inside: Option<Wrapper>,
}

impl Launch {
    pub fn new(args: &[&str]) -> Self {
        // Because of --total, each report has at least one row.
        let args = [&["--csv", "--closed", "--total", "-d", "0.1"], args].concat();
        Self { args: args.into_iter().map(Into::into).collect(), log: None, inside: None }
    }

    /// Has tcptop write a log of the traffic at [`OWN_ADDRESS`]. tcptop rotates the log after some reports, and a SIGHUP at each
    /// fault opens it again.
    pub fn with_log(args: &[&str], folder: &Scratch) -> Self {
        let file = folder.0.join("log.csv");
        let name = file.to_str().expect("UTF-8").to_owned();
        let args = [args, &["-o", &name, "--max-size", "1K", "--keep", "99", "--addr", OWN_ADDRESS]].concat();
        Self { log: Some(file), ..Self::new(&args) }
    }

    /// Starts each tcptop in a call of this function.
    pub fn inside(self, inside: impl Fn(&mut (dyn FnMut() + Send)) + 'static) -> Self {
        Self { inside: Some(Box::new(inside)), ..self }
    }

    pub fn command(&self) -> Command {
        tcptop(&self.args.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// Returns the log and its rotated predecessors, the oldest first.
pub fn logs(log: &Path) -> Vec<PathBuf> {
    let old = |number| PathBuf::from(format!("{}.{number}", log.display()));
    let mut files: Vec<PathBuf> = (1..1_000).map(old).take_while(|file| file.exists()).collect();
    files.reverse();
    if log.exists() {
        files.push(log.to_owned());
    }
    files
}
