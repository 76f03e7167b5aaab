//! Everything that ends tcptop early: what is said, and with which exit code.

use std::{error, fmt, io};

use aya::{EbpfError, maps::MapError, programs::ProgramError};

use crate::exit;

/// Why tcptop cannot run or go on.
#[derive(Debug)]
pub enum Error {
    /// Neither root nor the capabilities that do.
    Privileges,
    /// No cgroup v2 tree, mounted or mountable.
    NoCgroup(io::Error),
    /// The object could not be loaded: parsed, or its maps created.
    Load(EbpfError),
    /// A program was refused, or could not be attached.
    Attach(&'static str, ProgramError),
    /// A map call failed.
    Map(MapError),
    /// The embedded object lacks a program.
    MissingProgram(&'static str),
    /// The embedded object lacks a map.
    MissingMap(&'static str),
    /// A system call that should not fail did.
    System(&'static str, io::Error),
}

impl Error {
    /// The exit code that belongs to it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Privileges => exit::PRIVILEGES,
            _ if self.is_refusal() => exit::PRIVILEGES,
            Self::System(..) => exit::OS,
            _ => exit::UNAVAILABLE,
        }
    }
}

impl Error {
    /// True when the kernel answered EPERM although the capabilities are there.
    fn is_refusal(&self) -> bool {
        let mut source: Option<&(dyn error::Error + 'static)> = match self {
            Self::Load(error) => Some(error),
            Self::Attach(_, error) => Some(error),
            Self::Map(error) => Some(error),
            Self::NoCgroup(error) | Self::System(_, error) => Some(error),
            Self::Privileges | Self::MissingProgram(_) | Self::MissingMap(_) => None,
        };
        while let Some(error) = source {
            let code = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
            if code == Some(libc::EPERM) {
                return true;
            }
            source = error.source();
        }
        false
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_refusal() {
            out.write_str(
                "the kernel refuses BPF in spite of the capabilities (in a container, run it on the host; \
                 before Linux 5.11, raise `ulimit -l`): ",
            )?;
        }
        match self {
            Self::Privileges => out.write_str("tcptop requires root privileges. Run with sudo."),
            Self::NoCgroup(error) => {
                write!(out, "this kernel offers no cgroup v2 tree (CONFIG_CGROUPS): {error}")
            }
            Self::Load(error) => {
                write!(out, "the kernel programs cannot be loaded (CONFIG_BPF_SYSCALL): {}", Chain(error))
            }
            Self::Attach(name, error) => {
                write!(out, "{name} cannot be attached (CONFIG_CGROUP_BPF, Linux 5.9): ")?;
                refusal(out, error)
            }
            Self::Map(error) => {
                write!(out, "a BPF map cannot be used (CONFIG_BPF_SYSCALL): {}", Chain(error))
            }
            Self::MissingProgram(name) => write!(out, "the embedded object lacks the program {name}"),
            Self::MissingMap(name) => write!(out, "the embedded object lacks the map {name}"),
            Self::System(call, error) => write!(out, "{call}: {error}"),
        }
    }
}

impl error::Error for Error {}

/// A refused program: the verifier's verdict is the last thing it wrote before its statistics, its log thousands of
/// lines.
fn refusal(out: &mut fmt::Formatter<'_>, error: &ProgramError) -> fmt::Result {
    let ProgramError::LoadError { io_error, verifier_log } = error else {
        return write!(out, "{}", Chain(error));
    };
    write!(out, "{io_error}")?;
    let log = verifier_log.to_string();
    let statistics = ["processed ", "verification time ", "stack depth "];
    let says_why = |line: &&str| !line.is_empty() && !statistics.iter().any(|word| line.starts_with(word));
    let verdict = log.lines().rev().find(says_why);
    verdict.map_or(Ok(()), |verdict| write!(out, " (verifier: {verdict})"))
}

/// An error with its sources, in one line.
struct Chain<'a>(&'a dyn error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(out, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
