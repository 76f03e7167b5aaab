//! Starts a tcptop whose calls fail, and chooses where it reports.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::traffic::APART;
use crate::harness::{Scratch, tcptop};

/// Calls what it is given, in a place of its own.
type Around = Box<dyn Fn(&mut (dyn FnMut() + Send))>;

/// How a test starts tcptop.
pub struct Launch {
    args: Vec<String>,
    pub log: Option<PathBuf>,
    /// In a separate network namespace.
    pub inside: Option<Around>,
}

impl Launch {
    pub fn new(args: &[&str]) -> Self {
        // Each report has a row at least.
        let args = [&["--csv", "--closed", "--total", "-d", "0.1"], args].concat();
        Self { args: args.into_iter().map(Into::into).collect(), log: None, inside: None }
    }

    /// With a log of the traffic at [`APART`], which is renamed after some reports, and opened again at each fault.
    pub fn with_log(args: &[&str], folder: &Scratch) -> Self {
        let file = folder.0.join("log.csv");
        let name = file.to_str().expect("UTF-8").to_owned();
        let args = [args, &["-o", &name, "--max-size", "1K", "--keep", "99", "--addr", APART]].concat();
        Self { log: Some(file), ..Self::new(&args) }
    }

    /// Each tcptop is started within the function that this calls.
    pub fn inside(self, inside: impl Fn(&mut (dyn FnMut() + Send)) + 'static) -> Self {
        Self { inside: Some(Box::new(inside)), ..self }
    }

    pub fn command(&self) -> Command {
        tcptop(&self.args.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// The log and its predecessors, the oldest first.
pub fn logs(log: &Path) -> Vec<PathBuf> {
    let old = |number| PathBuf::from(format!("{}.{number}", log.display()));
    let mut files: Vec<PathBuf> = (1..1_000).map(old).take_while(|file| file.exists()).collect();
    files.reverse();
    if log.exists() {
        files.push(log.to_owned());
    }
    files
}
