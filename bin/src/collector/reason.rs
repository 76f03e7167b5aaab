//! The reasons why TCP connections end.

/// Why a TCP connection ended, if its collector knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// In order: both sides have sent everything, or this side has and the peer has received it.
    Fin,
    /// The local side sent a reset.
    ResetLocal,
    /// The remote side sent a reset.
    ResetRemote,
    /// One of the two sides sent a reset.
    Reset,
    /// The connection never began: the remote side refused it by a reset.
    Refused,
    /// The connection never began: the network reported that the remote side cannot be reached, or may not be.
    Unreachable,
    /// The connection never began: the process gave it up before an answer came.
    Abandoned,
    /// The remote side has not answered for too long.
    Timeout,
}

impl Reason {
    /// Returns the word for reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::ResetLocal => "reset-local",
            Self::ResetRemote => "reset-remote",
            Self::Reset => "reset",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Abandoned => "abandoned",
            Self::Timeout => "timeout",
        }
    }
}
