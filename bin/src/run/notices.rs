//! Notices on stderr, besides the reports.

use std::{
    fmt,
    io::{self, Write},
    mem,
};

use crate::{
    collector::{Detached, Missing},
    confinement::Confinement,
    conn::Report,
    monitor::StartGaps,
    sys::out_of::OutOf,
};

/// Prints what this host lacks.
pub fn missing(missing: &[Missing]) {
    if missing.is_empty() {
        return;
    }
    let names: Vec<&str> = missing.iter().map(|missing| missing.what).collect();
    let mut losses: Vec<&str> = missing.iter().map(|missing| missing.lost).collect();
    // Hooks with the same loss are neighbours in the table of hooks.
    losses.dedup();
    let (names, losses) = (names.join(", "), losses.join("; "));
    // A closed stderr must not end the reports.
    let _ = writeln!(io::stderr(), "tcptop: without {names}: {losses} (`tcptop --check` tells more)");
}

/// Warns if tcptop could not drop the privileges that it does not need.
pub fn unconfined(confinement: &Confinement) {
    if let Some((what, error)) = confinement.failure() {
        // A closed stderr must not end the reports.
        let _ = writeln!(
            io::stderr(),
            "tcptop: the privileges that it does not need cannot be dropped ({what}: {error}); it goes on with them"
        );
    }
}

/// Warns that somebody detached programs, and says whether they are attached again.
pub fn detached(detached: &[Detached]) {
    let (lost, again): (Vec<&Detached>, Vec<_>) =
        detached.iter().partition(|detached| detached.lost.is_some());
    // A closed stderr must not end the reports.
    let mut stderr = io::stderr();
    if !again.is_empty() {
        let (names, are) = names(&again);
        let _ = writeln!(
            stderr,
            "tcptop: somebody detached {names}; {are} attached again, but what happened in between may be missing"
        );
    }
    if !lost.is_empty() {
        let (names, are) = names(&lost);
        let mut losses: Vec<&str> = lost.iter().filter_map(|detached| detached.lost).collect();
        losses.dedup();
        let losses = losses.join("; ");
        let _ = writeln!(stderr, "tcptop: somebody detached {names}, and {are} refused now: {losses}");
    }
}

/// Returns the names of the detached programs, and the words that continue the sentence.
fn names(detached: &[&Detached]) -> (String, &'static str) {
    let names: Vec<&str> = detached.iter().map(|detached| detached.what).collect();
    (names.join(", "), if names.len() == 1 { "it is" } else { "they are" })
}

/// Prints what /proc does not show.
pub fn gaps(gaps: &StartGaps) {
    let mut stderr = io::stderr();
    // A closed stderr must not end the reports.
    let mut say = |text: fmt::Arguments<'_>| _ = writeln!(stderr, "tcptop: {text}");
    match gaps {
        StartGaps::All(error) => {
            say(format_args!(
                "/proc/net cannot be read ({error}): older connections appear with their next packet"
            ));
        }
        StartGaps::Some(gaps) => {
            if let Some(text) = gaps.of_owners() {
                say(format_args!("{text}"));
            }
            if gaps.malformed > 0 {
                say(format_args!("{} lines of /proc/net make no sense and were left out", gaps.malformed));
            }
        }
    }
}

/// Warns if the kernel's tables or the ring are too small, if records are missing, or if /proc cannot be read. Each
/// warning is printed once, except the one about /proc. The header line of text reports shows lost records and full
/// tables, so these two are printed only for other reports.
pub struct Shortage {
    in_header: bool,
    lost: bool,
    full: bool,
    refused: bool,
    unreported: bool,
    encapsulated: bool,
    malformed: bool,
    missed_forwarded: bool,
    /// What the source of forwarded connections lacks. It is printed once there is a forwarded connection.
    missing_for_forwarded: Vec<Missing>,
    proc: bool,
}

impl Shortage {
    /// `in_header` says that the header line shows lost records and full tables. `missing_for_forwarded` is what the source of
    /// forwarded connections lacks.
    pub const fn new(in_header: bool, missing_for_forwarded: Vec<Missing>) -> Self {
        Self {
            in_header,
            lost: false,
            full: false,
            refused: false,
            unreported: false,
            encapsulated: false,
            malformed: false,
            missed_forwarded: false,
            missing_for_forwarded,
            proc: false,
        }
    }

    /// Warns about each shortage, the first time it occurs.
    pub fn warn(&mut self, report: &Report<'_>) {
        // A closed stderr must not end the reports.
        let mut stderr = io::stderr();
        if report.refused > 0 && !mem::replace(&mut self.refused, true) {
            let _ = writeln!(
                stderr,
                "tcptop: sockets have used up their option memory, or net.core.optmem_max is small: their owners may be \
                 unknown, and if they are many, their bytes are `untracked` (said once)"
            );
        }
        if report.unreported > 0 && !mem::replace(&mut self.unreported, true) {
            let _ = writeln!(
                stderr,
                "tcptop: another program of type sock_ops turns TCP state callbacks off: ends of connections come from \
                 /proc, some seconds later (said once; `bpftool cgroup tree` lists the programs)"
            );
        }
        if report.encapsulated > 0 && !mem::replace(&mut self.encapsulated, true) {
            let _ = writeln!(
                stderr,
                "tcptop: datagrams leave inside other packets, as IPsec sends them: what UDP sent there is not counted \
                 in its rows, and the packets are `other` (said once)"
            );
        }
        if report.forwarding.is_some_and(|forwarding| forwarding.count > 0) {
            missing(&mem::take(&mut self.missing_for_forwarded));
        }
        if report.missed_forwarded > 0 && !mem::replace(&mut self.missed_forwarded, true) {
            let _ = writeln!(
                stderr,
                "tcptop: the buffer for ended or the table of forwarded connections was full: some are missing, or their last \
                 bytes (said once)"
            );
        }
        if report.malformed > 0 && !mem::replace(&mut self.malformed, true) {
            let _ = writeln!(
                stderr,
                "tcptop: {} entries of connection tracking make no sense and were left out (said once)",
                report.malformed
            );
        }
        if !self.in_header && report.full > 0 && !mem::replace(&mut self.full, true) {
            let _ = writeln!(
                stderr,
                "tcptop: the kernel's tables are full: bytes of flows that found no room are `untracked`, in the total \
                 only (said once; --flows makes the tables larger)"
            );
        }
        if !self.in_header && report.lost > 0 && !mem::replace(&mut self.lost, true) {
            let _ = writeln!(
                stderr,
                "tcptop: {} event records did not fit the ring; tcptop read their contents from the tables (said once)",
                report.lost
            );
        }
    }

    /// Warns that /proc cannot be read now, each time that this begins.
    pub fn warn_of_proc(&mut self, out_of: Option<OutOf>) {
        let before = mem::replace(&mut self.proc, out_of.is_some());
        if let Some(out_of) = out_of.filter(|_| !before) {
            // A closed stderr must not end the reports.
            let (what, end) = (out_of.what(), out_of.end());
            let _ = writeln!(io::stderr(), "tcptop: {what}: owners and names are missing until {end}");
        }
    }
}
