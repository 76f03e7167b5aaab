//! Checks the collectors that need no kernel programs.

use std::path::Path;

use super::finding::{cannot_tell, line, unknown};
use crate::{
    collector::NetworkCollector,
    conntrack::{self, ConntrackCollector, ConntrackSettings},
    diag::DiagCollector,
    privilege,
};

/// Checks sock_diag. Returns true if TCP can be counted without BPF.
pub fn sock_diag(text: &mut String) -> bool {
    let mut collector = DiagCollector::new();
    match collector.start() {
        Ok(()) => {
            let lacks = lacks(&collector);
            line(text, true, "sock_diag", &format!("without BPF, TCP of this network namespace{lacks}"));
            true
        }
        Err(error) => {
            line(
                text,
                false,
                "sock_diag",
                &format!(
                    "{error} (needed where BPF is refused, and to tell which side opened older connections)"
                ),
            );
            false
        }
    }
}

/// Checks connection tracking. Returns true if a run would show forwarded connections.
pub fn connection_tracking(text: &mut String, proc: &Path) -> bool {
    if !conntrack::is_available(proc) {
        line(text, false, "conntrack", "not loaded: no forwarded connections");
        return false;
    }
    let settings =
        ConntrackSettings { proc: proc.into(), forwarded: true, local_udp: false, enable_accounting: false };
    let mut collector = ConntrackCollector::new(settings);
    match collector.start() {
        Ok(()) => {
            let forwards = conntrack::forwards(proc);
            let now = if forwards { "" } else { " (this host forwards nothing now)" };
            let lacks = lacks(&collector);
            line(text, true, "conntrack", &format!("forwarded connections{now}{lacks}"));
            forwards
        }
        Err(_) if !privilege::net_admin() => {
            unknown(text, "conntrack", &cannot_tell());
            false
        }
        Err(error) => {
            line(text, false, "conntrack", &format!("{error}: no forwarded connections"));
            false
        }
    }
}

/// Lists what a collector lacks, and what is lost without it.
fn lacks(collector: &dyn NetworkCollector) -> String {
    let lacks =
        collector.missing().iter().map(|missing| format!("; without {}: {}", missing.what, missing.lost));
    lacks.collect()
}
