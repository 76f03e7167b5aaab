//! What is said on stderr beside the reports.

use std::io::{self, Write};

use crate::{collector::Missing, conn::Report, monitor::Gaps};

/// Says once, on stderr, what this host lacks.
pub fn missing(missing: &[Missing]) {
    if missing.is_empty() {
        return;
    }
    let names: Vec<&str> = missing.iter().map(|missing| missing.what).collect();
    let mut losses: Vec<&str> = missing.iter().map(|missing| missing.lost).collect();
    // In the table of hooks, those with the same loss are neighbours.
    losses.dedup();
    let (names, losses) = (names.join(", "), losses.join("; "));
    // A closed stderr must not end the reports.
    let _ = writeln!(io::stderr(), "tcptop: without {names}: {losses} (`tcptop --check` tells more)");
}

/// Says once, on stderr, what connections older than tcptop will lack.
pub fn gaps(gaps: &Gaps) {
    let mut stderr = io::stderr();
    // A closed stderr must not end the reports.
    let _ = match gaps {
        Gaps::All(error) => {
            writeln!(
                stderr,
                "tcptop: /proc/net cannot be read ({error}): older connections appear with their next packet"
            )
        }
        Gaps::Some(gaps) if gaps.denied > 0 => writeln!(
            stderr,
            "tcptop: {} processes may not be looked into: older connections of theirs have no owner",
            gaps.denied
        ),
        Gaps::Some(gaps) if gaps.malformed > 0 => {
            writeln!(stderr, "tcptop: {} lines of /proc/net make no sense and were left out", gaps.malformed)
        }
        Gaps::Some(_) => Ok(()),
    };
}

/// The kernel's tables or the ring were too small. A text report says so in its header line; others have no place for it.
pub struct Shortage {
    said: bool,
}

impl Shortage {
    /// `told`: the header line of the reports tells.
    pub const fn new(told: bool) -> Self {
        Self { said: told }
    }

    /// Says so on stderr, the first time.
    pub fn warn(&mut self, report: &Report<'_>) {
        if self.said || (report.lost, report.full) == (0, 0) {
            return;
        }
        self.said = true;
        // A closed stderr must not end the reports.
        let _ = writeln!(
            io::stderr(),
            "tcptop: {} event records did not fit the ring, the tables were read in whole instead; {} times a flow or \
             an owner found no room, bytes of such flows are `untracked`, in the total only (said once)",
            report.lost,
            report.full
        );
    }
}
