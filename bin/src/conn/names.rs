//! Process names. A hook sees the name of a thread; reports show the process's.

use std::collections::HashMap;

use tcptop_abi::COMM_LEN;

use super::Process;
use crate::collector::ObservedOwner;

/// Names looked up in this interval.
#[derive(Debug, Default)]
pub struct Names(HashMap<u32, Option<[u8; COMM_LEN]>>);

impl Names {
    /// The process that a collector saw. For a thread other than the first, or one whose name the collector might not read,
    /// `look_up` gives the process's name; when the process is gone, the thread's has to do.
    pub fn process(
        &mut self,
        owner: &ObservedOwner,
        look_up: impl FnOnce(u32) -> Option<[u8; COMM_LEN]>,
    ) -> Process {
        let mut process = owner.process;
        if owner.named_by_thread || process.comm == [0; COMM_LEN] {
            let name = self.0.entry(process.pid).or_insert_with(|| look_up(process.pid));
            process.comm = name.unwrap_or(process.comm);
        }
        process
    }

    /// Process ids are reused and processes change their names: nothing is kept for long.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comm(text: &str) -> [u8; COMM_LEN] {
        let mut comm = [0; COMM_LEN];
        comm[..text.len()].copy_from_slice(text.as_bytes());
        comm
    }

    #[test]
    fn threads_are_shown_under_their_process() {
        let mut names = Names::default();
        let seen = |pid, named_by_thread, name| {
            let process = Process { pid, uid: 0, comm: comm(name) };
            ObservedOwner { process, named_by_thread, certain: true }
        };
        let worker = seen(10, true, "worker");
        let process = names.process(&worker, |_| Some(comm("server")));
        assert_eq!((process.pid, process.name()), (10, &b"server"[..]));
        assert_eq!(names.process(&worker, |_| panic!("looked up once")).name(), b"server");
        assert_eq!(names.process(&seen(20, true, "worker"), |_| None).name(), b"worker", "it is gone");
        assert_eq!(names.process(&seen(10, false, "main"), |_| panic!("not needed")).name(), b"main");
    }
}
