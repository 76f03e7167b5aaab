//! Failures for lack of a resource: no descriptor or no memory was left. They say nothing about what was asked for, and the
//! same call may succeed later.

use std::io;

/// The resource that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOf {
    /// Descriptors that this process may have.
    Descriptors,
    /// Files that the system can have open.
    Files,
    /// Memory of the kernel.
    Memory,
    /// Memory that this process may lock. Kernels before 5.11 count BPF maps and programs as such.
    LockedMemory,
}

impl OutOf {
    /// Returns the resource that this error says is used up; `None`: the error has another cause.
    pub fn of(error: &io::Error) -> Option<Self> {
        Self::of_errno(error.raw_os_error()?)
    }

    /// Does the same for an error's number. Locked memory has no number of its own.
    pub const fn of_errno(errno: i32) -> Option<Self> {
        match errno {
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
            Self::LockedMemory => libc::EPERM,
        }
    }

    /// Says what has happened.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Descriptors => "too many open files",
            Self::Files => "too many open files in the system",
            Self::Memory => "the kernel is out of memory",
            Self::LockedMemory => "too little memory may be locked",
        }
    }

    /// Says what to do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Descriptors => "raise the limit to 80 or more (`ulimit -n`, LimitNOFILE)",
            Self::Files => "close some, or raise fs.file-max",
            Self::Memory => "free some, allow this process more, or count fewer connections with --flows",
            Self::LockedMemory => {
                "raise the limit (`ulimit -l`, LimitMEMLOCK), or count fewer connections with --flows"
            }
        }
    }

    /// Says what ends the lack while tcptop runs.
    pub const fn end(self) -> &'static str {
        match self {
            Self::Descriptors => "the limit is raised (`ulimit -n`, prlimit)",
            Self::Files => "there are fewer, or fs.file-max is raised",
            Self::Memory => "there is some",
            Self::LockedMemory => "the limit is raised (`ulimit -l`, prlimit)",
        }
    }
}

/// The error of which it was made.
impl From<OutOf> for io::Error {
    fn from(out_of: OutOf) -> Self {
        Self::from_raw_os_error(out_of.errno())
    }
}

/// Sorts the result of reading something. Returns `None` if it is gone or may not be read.
///
/// # Errors
/// A resource for the attempt was missing.
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
