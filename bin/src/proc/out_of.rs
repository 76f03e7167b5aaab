//! Failures that say nothing of what was to be read: there was no descriptor or no memory to read it with.

use std::{fmt, io};

/// What there is no more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOf {
    /// Descriptors that this process may have.
    Descriptors,
    /// Files that the system can have open.
    Files,
    /// Memory of the kernel.
    Memory,
}

impl OutOf {
    /// What an error says there is no more of. `None`: it says something else.
    pub fn of(error: &io::Error) -> Option<Self> {
        match error.raw_os_error()? {
            libc::EMFILE => Some(Self::Descriptors),
            libc::ENFILE => Some(Self::Files),
            libc::ENOMEM => Some(Self::Memory),
            _ => None,
        }
    }

    const fn errno(self) -> i32 {
        match self {
            Self::Descriptors => libc::EMFILE,
            Self::Files => libc::ENFILE,
            Self::Memory => libc::ENOMEM,
        }
    }
}

/// The error of which it was made.
impl From<OutOf> for io::Error {
    fn from(out_of: OutOf) -> Self {
        Self::from_raw_os_error(out_of.errno())
    }
}

/// What it means for reports, and what ends it.
impl fmt::Display for OutOf {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, remedy) = match self {
            Self::Descriptors => ("too many open files", "the limit is raised (`ulimit -n`, prlimit)"),
            Self::Files => ("too many open files in the system", "there are fewer, or fs.file-max is raised"),
            Self::Memory => ("the kernel is out of memory", "there is some"),
        };
        write!(out, "{what}: owners and names are missing until {remedy}")
    }
}

/// What was read. `None`: it is gone, or may not be read.
///
/// # Errors
/// It could not be tried.
pub fn found<T>(result: io::Result<T>) -> Result<Option<T>, OutOf> {
    result.map(Some).or_else(|error| OutOf::of(&error).map_or(Ok(None), Err))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_errors_are_answers() {
        for out_of in [OutOf::Descriptors, OutOf::Files, OutOf::Memory] {
            assert_eq!(found::<()>(Err(out_of.into())), Err(out_of));
        }
        for errno in [libc::ENOENT, libc::ESRCH, libc::EACCES, libc::EPERM] {
            assert_eq!(found::<()>(Err(io::Error::from_raw_os_error(errno))), Ok(None));
        }
        assert_eq!(found(Ok(7)), Ok(Some(7)));
    }
}
