//! The values of `--traffic` and `--collector`.

/// Which connections are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficKind {
    /// Connections of this host's sockets.
    Local,
    /// Connections that this host forwards.
    Forwarded,
    /// Both.
    All,
}

impl TrafficKind {
    /// Returns true if local connections are shown.
    pub fn has_local(self) -> bool {
        self != Self::Forwarded
    }

    /// Returns true if forwarded connections are shown.
    pub fn has_forwarded(self) -> bool {
        self != Self::Local
    }
}

/// Which collector counts local connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CollectorName {
    /// BPF, or sock_diag if BPF is refused.
    #[default]
    Auto,
    /// BPF.
    Bpf,
    /// sock_diag.
    Diag,
}

impl CollectorName {
    /// Returns true if tcptop loads the kernel programs, or tries to.
    pub fn tries_bpf(self) -> bool {
        match self {
            Self::Auto | Self::Bpf => true,
            Self::Diag => false,
        }
    }
}
