//! The errors that end tcptop early, with their messages and exit codes.

mod host_problem;

use std::{error, fmt, io};

use aya::{EbpfError, maps::MapError, programs::ProgramError};

pub use self::host_problem::HostProblem;
use crate::{exit, sys::out_of::OutOf};

/// The oldest kernel that has all hooks: major and minor version.
pub const OLDEST: (u32, u32) = (5, 10);

/// Why tcptop cannot run or go on.
#[derive(Debug)]
pub enum Error {
    /// The process is neither root nor has the capabilities that suffice.
    Privileges,
    /// A problem of this host, and the error that revealed it.
    Host(HostProblem, Box<Self>),
    /// A memory cgroup allows less memory than the kernel's tables take.
    MemoryLimit {
        /// Bytes that it allows.
        allowed: u64,
        /// Bytes that are needed.
        needed: u64,
        /// Entries of the flow table.
        flows: u32,
        /// The tables cannot be smaller.
        is_least: bool,
    },
    /// There is no cgroup v2 tree, and none can be mounted.
    NoCgroup(io::Error),
    /// The object could not be parsed, or its maps could not be created.
    Load(EbpfError),
    /// A program was refused, or could not be attached.
    Attach(&'static str, ProgramError),
    /// Somebody detached a program, and the kernel does not attach it again.
    Detached(&'static str, Box<Self>),
    /// A map call failed.
    Map(MapError),
    /// What this program embeds cannot be unpacked.
    DamagedProgram,
    /// The embedded object lacks a program.
    MissingProgram(&'static str),
    /// The embedded object lacks a map.
    MissingMap(&'static str),
    /// A system call failed unexpectedly.
    System(&'static str, io::Error),
}

impl Error {
    /// Returns the exit code for this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Privileges => exit::PRIVILEGES,
            Self::Host(problem, _) => problem.exit_code(),
            Self::System(_, error) if error.kind() == io::ErrorKind::PermissionDenied => exit::PRIVILEGES,
            Self::System(..) | Self::MemoryLimit { .. } => exit::OS,
            _ if self.out_of().is_some() => exit::OS,
            _ => exit::UNAVAILABLE,
        }
    }

    /// Returns the resource that is used up, or `None` if the error has another cause.
    pub fn out_of(&self) -> Option<OutOf> {
        match self {
            Self::Host(HostProblem::Short(out_of), _) => Some(*out_of),
            Self::Host(..) => None,
            _ => self.errno().and_then(OutOf::of_errno),
        }
    }

    /// Returns true if this kernel lacks or refuses BPF, so that another collector may work. A shortage does not count,
    /// because it may be over soon.
    pub fn is_bpf_unavailable(&self) -> bool {
        let is_other = matches!(
            self,
            Self::Privileges
                | Self::System(..)
                | Self::MemoryLimit { .. }
                | Self::DamagedProgram
                | Self::MissingProgram(_)
                | Self::MissingMap(_)
        );
        !is_other && self.out_of().is_none()
    }

    /// Returns the kernel's error number.
    pub fn errno(&self) -> Option<i32> {
        let mut source: Option<&(dyn error::Error + 'static)> = match self {
            Self::Host(_, error) | Self::Detached(_, error) => Some(error),
            Self::Load(error) => Some(error),
            Self::Attach(_, error) => Some(error),
            Self::Map(error) => Some(error),
            Self::NoCgroup(error) | Self::System(_, error) => Some(error),
            Self::Privileges
            | Self::MemoryLimit { .. }
            | Self::DamagedProgram
            | Self::MissingProgram(_)
            | Self::MissingMap(_) => None,
        };
        while let Some(error) = source {
            let code = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
            if code.is_some() {
                return code;
            }
            source = error.source();
        }
        None
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Privileges => out.write_str("tcptop requires root privileges. Run with sudo."),
            Self::Host(problem, error) => match &**error {
                // The problem says what to do.
                Self::System(call, error) => write!(out, "{problem} ({call}: {error})"),
                error => write!(out, "{problem} ({error})"),
            },
            Self::NoCgroup(error) => write!(out, "the cgroup v2 tree cannot be reached: {error}"),
            Self::Load(error) => write!(out, "the kernel programs cannot be loaded: {}", Chain(error)),
            Self::Attach(name, error) => {
                write!(out, "{name} cannot be attached: ")?;
                refusal(out, error)
            }
            Self::Detached(name, error) => {
                write!(out, "somebody detached {name}, and it cannot be attached again: {error}")
            }
            Self::Map(error) => write!(out, "a BPF map cannot be used: {}", Chain(error)),
            Self::DamagedProgram => {
                out.write_str("the file of this program is damaged: copy it to this host again")
            }
            Self::MissingProgram(name) => write!(out, "the embedded object lacks the program {name}"),
            Self::MissingMap(name) => write!(out, "the embedded object lacks the map {name}"),
            Self::System(call, error) => {
                write!(out, "{call}: {error}")?;
                OutOf::of(error).map_or(Ok(()), |out_of| write!(out, ": {}", out_of.remedy()))
            }
            Self::MemoryLimit { allowed, needed, flows, is_least } => {
                let [allowed, needed] = [allowed, needed].map(|bytes| bytes.div_ceil(1 << 20));
                write!(
                    out,
                    "a memory cgroup allows this process {allowed} MiB, and to count {flows} connections takes {needed}: raise \
                     its limit (MemoryMax)"
                )?;
                let fewer = if *is_least { "" } else { ", or count fewer with --flows" };
                write!(out, "{fewer}, or count TCP alone with --collector diag")
            }
        }
    }
}

impl error::Error for Error {}

/// Formats the error of a refused program. The verifier's log has thousands of lines; its verdict is the last line
/// before the statistics.
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

/// Displays an error with its sources in one line.
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
