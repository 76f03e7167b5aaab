//! Why output failed.

use std::{fmt, io, path::PathBuf};

use super::refusal::LogRefusal;
use crate::foreign::Shown;

/// A failure to open or write the output.
#[derive(Debug)]
pub enum OutputError {
    /// The reader closed its end of the pipe. This is no mistake: nobody wants more output.
    ClosedPipe,
    /// The reader reads nothing, and a signal asked to stop, so the report was given up.
    Stuck {
        /// The file; `None`: standard output.
        path: Option<PathBuf>,
    },
    /// The file of `--output` may belong to somebody else, or cannot serve as a log.
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        why: LogRefusal,
    },
    /// The file of `--output` cannot be opened.
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file of `--output` is full or has other columns, and cannot be renamed.
    Rotate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A write failed: a full disk, a removed device.
    Write {
        /// The file; `None`: standard output.
        path: Option<PathBuf>,
        /// Why.
        source: io::Error,
    },
}

impl OutputError {
    /// Makes the error for a failed write to the file, or to standard output.
    pub(super) fn write(path: Option<&PathBuf>, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::Write { path: path.cloned(), source },
        }
    }
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClosedPipe => f.write_str("the reader of the output went away"),
            Self::Stuck { path } => {
                match path {
                    Some(path) => write!(f, "'{}'", Shown::new(path))?,
                    None => f.write_str("standard output")?,
                }
                f.write_str(": the reader takes nothing; the report was given up")
            }
            Self::Refused { path, why } => write!(f, "cannot append to '{}': {why}", Shown::new(path)),
            Self::Open { path, source } => write!(f, "cannot open '{}': {source}", Shown::new(path)),
            Self::Rotate { path, source } => {
                write!(
                    f,
                    "'{}' must make room for a new file and cannot be renamed: {source}",
                    Shown::new(path)
                )
            }
            Self::Write { path: Some(path), source } => {
                write!(f, "cannot write to '{}': {source}", Shown::new(path))
            }
            Self::Write { path: None, source } => write!(f, "cannot write to standard output: {source}"),
        }
    }
}

impl std::error::Error for OutputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::ClosedPipe | Self::Stuck { .. } | Self::Refused { .. } => None,
            Self::Open { source, .. } | Self::Rotate { source, .. } | Self::Write { source, .. } => {
                Some(source)
            }
        }
    }
}
