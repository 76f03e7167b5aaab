//! The owner of a connection, and how it is known.

use super::{Forwarded, Process};
use crate::collector::ObservedOwner;

/// The owner of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionOwner {
    /// Not known so far.
    #[default]
    Unknown,
    /// A process of this host.
    Process(Process),
    /// No process, because this host only forwards the connection.
    Forwarded(Forwarded),
}

impl ConnectionOwner {
    /// Returns the process, if a process is the owner.
    pub const fn process(&self) -> Option<&Process> {
        match self {
            Self::Process(process) => Some(process),
            Self::Unknown | Self::Forwarded(_) => None,
        }
    }

    /// Returns what is known about a forwarded connection; `None`: the connection belongs to a socket of this host.
    pub const fn forwarded(&self) -> Option<&Forwarded> {
        match self {
            Self::Forwarded(forwarded) => Some(forwarded),
            Self::Unknown | Self::Process(_) => None,
        }
    }

    /// Returns true if this host forwards the connection.
    pub const fn is_forwarded(&self) -> bool {
        matches!(self, Self::Forwarded(_))
    }
}

/// How a connection's owner is known. Later variants are more certain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnerSource {
    /// The owner is not known.
    #[default]
    Unknown,
    /// The process owns the listener that accepted the connection.
    Listener,
    /// The process used the connection, and has exited. Another process may have it now.
    Exited,
    /// The process accepted the connection. It may have left it to a child since.
    Accepted,
    /// The process had the connection open when /proc was read.
    Proc,
    /// A collector saw the process connect, send, or close.
    Seen,
}

/// A process that a collector has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identified {
    /// The process with its name.
    pub process: Process,
    /// The process has exited.
    pub is_gone: bool,
}

/// Finds the process that a collector saw. Returns `None` for a process that works for others.
pub type Identify<'a> = &'a mut dyn FnMut(&ObservedOwner) -> Option<Identified>;
