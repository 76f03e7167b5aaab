//! Which traffic is shown, and what counts it.

/// Which connections are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficKind {
    /// Those of this host's sockets.
    Local,
    /// Those that it passes on.
    Forwarded,
    /// Both.
    All,
}

impl TrafficKind {
    /// Whether local ones are.
    pub fn has_local(self) -> bool {
        self != Self::Forwarded
    }

    /// Whether forwarded ones are.
    pub fn has_forwarded(self) -> bool {
        self != Self::Local
    }
}

/// What counts local connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CollectorName {
    /// BPF, or sock_diag where that is refused.
    #[default]
    Auto,
    /// BPF.
    Bpf,
    /// sock_diag.
    Diag,
}
