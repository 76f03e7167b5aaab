//! Whose a connection is, and how that is known.

use super::Process;
use crate::collector::ObservedOwner;

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
