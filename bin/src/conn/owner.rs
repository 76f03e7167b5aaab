//! Whose a connection is, and how that is known.

use super::{Forwarded, Process};
use crate::collector::ObservedOwner;

/// Whose a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionOwner {
    /// Nobody knows so far.
    #[default]
    Unknown,
    /// A process has it.
    Process(Process),
    /// No process has it, because this host passes it on.
    Forwarded(Forwarded),
}

impl ConnectionOwner {
    /// The process.
    pub const fn process(&self) -> Option<&Process> {
        match self {
            Self::Process(process) => Some(process),
            Self::Unknown | Self::Forwarded(_) => None,
        }
    }

    /// What is known of a connection that this host passes on; `None`: a socket of this host has it.
    pub const fn forwarded(&self) -> Option<&Forwarded> {
        match self {
            Self::Forwarded(forwarded) => Some(forwarded),
            Self::Unknown | Self::Process(_) => None,
        }
    }

    /// Whether this host passes it on.
    pub const fn is_forwarded(&self) -> bool {
        matches!(self, Self::Forwarded(_))
    }
}

/// How a connection's owner is known; later ones are better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnerSource {
    /// Not at all.
    #[default]
    Unknown,
    /// It is the owner of the listener that accepted it.
    Listener,
    /// It used the connection, and has exited. Another process may have it now.
    Exited,
    /// It accepted the connection. A server may have left it to a child since.
    Accepted,
    /// A process had it open when /proc was read.
    Proc,
    /// A collector saw the process connect, send, or close.
    Seen,
}

/// The process that a collector has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identified {
    /// Under its name.
    pub process: Process,
    /// It has exited.
    pub is_gone: bool,
}

/// Tells which process was seen. `None`: one that works for others.
pub type Identify<'a> = &'a mut dyn FnMut(&ObservedOwner) -> Option<Identified>;
