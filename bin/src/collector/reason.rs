//! Why a TCP connection ended.

/// As far as its collector can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// In order: both sides have sent all that they had to send, or this side has, and the peer has received it.
    Fin,
    /// By a reset of the local side.
    ResetLocal,
    /// By a reset of the remote side.
    ResetRemote,
    /// By a reset of either.
    Reset,
    /// It never began: the remote side refused it by a reset.
    Refused,
    /// It never began: the network reported that there is no way to the remote side, or that it may not be reached.
    Unreachable,
    /// It never began: the process gave it up before there was an answer.
    Abandoned,
    /// The remote side has not answered for too long.
    Timeout,
}

impl Reason {
    /// As a word.
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
