//! Reads from /proc what another process has used so far.

use std::{fs, time::Duration};

/// A process with this id.
#[derive(Clone, Copy)]
pub struct Process(pub u32);

impl Process {
    fn read(self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.0);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Returns a number of `status`, such as `VmRSS` and `VmHWM` in KiB, or `voluntary_ctxt_switches`.
    pub fn status(self, field: &str) -> u64 {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.unwrap_or_else(|| panic!("no {field} in {status}"))
    }

    /// Returns the CPU time of all its threads, to the nanosecond.
    pub fn cpu(self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0)).expect("the process is alive");
        let nanos = tasks.map(|task| {
            let task = task.expect("readable").file_name();
            // A thread may have ended by now.
            let path = format!("/proc/{}/task/{}/schedstat", self.0, task.display());
            let text = fs::read_to_string(path).unwrap_or_default();
            text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Returns the kernel memory in bytes of the maps or programs whose descriptors it holds, by `memlock` in their
    /// fdinfo. `kind` is the name of a field that only these descriptors have.
    pub fn bpf_memory(self, kind: &str) -> u64 {
        let entries = fs::read_dir(format!("/proc/{}/fdinfo", self.0)).expect("the process is alive");
        let texts = entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
        let field = |text: &str, name: &str| -> Option<u64> {
            text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
        };
        let maps = texts.filter(|text| text.contains(kind));
        // A process may have two descriptors of one map, which counts once.
        let sizes = maps.filter_map(|text| Some((field(&text, "map_id:")?, field(&text, "memlock:")?)));
        sizes.collect::<std::collections::HashMap<u64, u64>>().values().sum()
    }
}
