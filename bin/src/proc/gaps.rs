//! The parts of /proc that tcptop could not read.

/// What could not be read. If all fields are zero, nothing is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Malformed lines of the socket tables.
    pub malformed: usize,
    /// Processes whose descriptors we may not read, so owners may be missing. Without root, these are processes of other users.
    pub denied: usize,
    /// /proc does not show processes of other users at all.
    pub hidden: bool,
}

impl Gaps {
    /// A message about missing owners: which, why, and what would show them. `None`: we may inspect every process.
    pub const fn of_owners(&self) -> Option<&'static str> {
        if self.hidden {
            Some(
                "/proc is mounted with hidepid and hides the processes of other users: owners of their older \
                 connections, their command lines and units, and without CAP_PERFMON their names, are missing \
                 (CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, both, show all; without hidepid, older owners alone are \
                 missing)",
            )
        } else if self.denied > 0 {
            Some(
                "the open files of some processes may not be read: owners of their older connections are missing \
                 (CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, both, show them)",
            )
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_processes_are_told_first() {
        assert_eq!(Gaps::default().of_owners(), None);
        assert_eq!(Gaps { malformed: 3, ..Gaps::default() }.of_owners(), None);
        let denied = Gaps { denied: 2, ..Gaps::default() };
        assert!(denied.of_owners().is_some_and(|text| text.starts_with("the open files of some processes")));
        let hidden = Gaps { hidden: true, ..denied };
        assert!(hidden.of_owners().is_some_and(|text| text.contains("hidepid")));
    }
}
