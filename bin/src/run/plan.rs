//! Chooses and starts the collectors, by what the user asked for and what this host has.

use std::{
    io::{self, Write},
    path::Path,
};

use super::PROC;
use crate::{
    args::{CollectorName, Settings, TrafficKind},
    bpf::{self, BpfCollector, CollectorSettings},
    collector::{Missing, NetworkCollector, Several},
    confinement::Needs,
    conn::WatchedBeside,
    conntrack::{self, ConntrackCollector, ConntrackSettings},
    diag::DiagCollector,
    error::Error,
};

/// What is to be collected, and how.
pub struct CollectorPlan {
    traffic: TrafficKind,
    /// The user asked for forwarded connections, so it is an error if they cannot be seen.
    requires_forwarded: bool,
    collector: CollectorName,
    bpf: CollectorSettings,
    enable_accounting: bool,
}

/// The collectors that run.
pub struct Started {
    pub collectors: Several,
    /// The privileges and system calls that the collectors need later.
    pub needs: Needs,
    /// If forwarded connections are watched: what is watched besides them.
    pub forwarded: Option<WatchedBeside>,
    /// What the source of forwarded connections lacks. It is printed once there is such a connection, because the user
    /// did not ask for them.
    pub missing_for_forwarded: Vec<Missing>,
}

impl CollectorPlan {
    /// Plans as the arguments say, or as this host suggests.
    pub fn new(settings: &Settings) -> Self {
        let forwards = || conntrack::forwards(Path::new(PROC)) && conntrack::is_available(Path::new(PROC));
        let traffic = settings.traffic.unwrap_or_else(|| {
            if settings.enable_accounting || forwards() { TrafficKind::All } else { TrafficKind::Local }
        });
        let bpf = CollectorSettings {
            entries: settings.flows,
            udp_timeout: settings.udp_timeout,
            announces_processes: settings.names.of_processes(),
        };
        Self {
            traffic,
            requires_forwarded: settings.traffic.is_some() || settings.enable_accounting,
            collector: settings.collector,
            bpf,
            enable_accounting: settings.enable_accounting,
        }
    }

    /// Checks whether this process may open as many files as the collectors need. Call it before anything is opened.
    ///
    /// # Errors
    ///
    /// Fails if it may not.
    pub fn has_descriptors(&self) -> Result<(), Error> {
        if self.traffic.has_local() && self.collector.tries_bpf() { bpf::has_descriptors() } else { Ok(()) }
    }

    /// Starts the collectors of the plan.
    ///
    /// # Errors
    ///
    /// Fails if the host lacks what was asked for.
    pub fn start(self) -> Result<Started, Error> {
        let mut collectors: Vec<Box<dyn NetworkCollector>> = Vec::new();
        let (mut missing, mut missing_for_forwarded) = (Vec::new(), Vec::new());
        let mut sees_udp = true;
        let mut needs = Needs::default();
        if self.traffic.has_local() {
            let (collector, is_bpf) = self.local()?;
            (sees_udp, needs.bpf) = (is_bpf, is_bpf);
            missing.extend_from_slice(collector.missing());
            collectors.push(collector);
        }
        let local_udp = !sees_udp && self.conntrack_counts();
        let forwarded = self.traffic.has_forwarded();
        if forwarded || local_udp {
            let mut conntrack = ConntrackCollector::new(ConntrackSettings {
                proc: PROC.into(),
                forwarded,
                local_udp,
                enable_accounting: self.enable_accounting,
            });
            match conntrack.start() {
                Ok(()) => {
                    let lacks =
                        if self.requires_forwarded { &mut missing } else { &mut missing_for_forwarded };
                    lacks.extend_from_slice(conntrack.missing());
                    collectors.push(Box::new(conntrack));
                    needs.conntrack = true;
                }
                Err(error) if forwarded && self.requires_forwarded => return Err(error),
                Err(error) => {
                    let what = if forwarded { "forwarded connections are" } else { "UDP is" };
                    // A closed stderr must not end the reports.
                    let _ = writeln!(io::stderr(), "tcptop: {what} not shown: {error}");
                }
            }
        }
        let forwarded = forwarded.then_some(match (self.traffic.has_local(), sees_udp) {
            (false, _) => WatchedBeside::Nothing,
            (true, true) => WatchedBeside::EveryNamespace,
            (true, false) => WatchedBeside::ThisNamespace,
        });
        Ok(Started { collectors: Several::new(collectors, missing), needs, forwarded, missing_for_forwarded })
    }

    /// Returns true if connection tracking counts bytes here.
    fn conntrack_counts(&self) -> bool {
        self.enable_accounting || conntrack::counts(Path::new(PROC))
    }

    /// Returns the collector of local connections, and whether it sees UDP.
    fn local(&self) -> Result<(Box<dyn NetworkCollector>, bool), Error> {
        match self.collector {
            CollectorName::Auto | CollectorName::Bpf => {
                let mut bpf = BpfCollector::new(self.bpf);
                let Err(error) = bpf.start() else { return Ok((Box::new(bpf), true)) };
                if self.collector == CollectorName::Bpf || !error.is_bpf_unavailable() {
                    return Err(error);
                }
                let mut diag = DiagCollector::new();
                // If both fail, report why BPF failed, because that is what the user can fix.
                let Ok(()) = diag.start() else { return Err(error) };
                let udp = if self.conntrack_counts() {
                    "and UDP as far as connection tracking has it"
                } else {
                    "no UDP"
                };
                let _ = writeln!(
                    io::stderr(),
                    "tcptop: {error}; sock_diag counts instead: TCP of this network namespace, {udp}"
                );
                Ok((Box::new(diag), false))
            }
            CollectorName::Diag => {
                let mut diag = DiagCollector::new();
                diag.start()?;
                Ok((Box::new(diag), false))
            }
        }
    }
}
