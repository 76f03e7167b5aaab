//! Process names. A hook sees the name of a thread; reports show the process's.

use std::collections::HashMap;

use tcptop_abi::{COMM_LEN, Owner};

use super::Process;

/// Names looked up in this interval.
#[derive(Debug, Default)]
pub struct Names(HashMap<u32, Option<[u8; COMM_LEN]>>);

impl Names {
    /// The process that a hook saw. For a thread other than the first, or one whose name the hook might not read,
    /// `look_up` gives the process's name; when the process is gone, the thread's has to do.
    pub fn process(
        &mut self,
        owner: &Owner,
        look_up: impl FnOnce(u32) -> Option<[u8; COMM_LEN]>,
    ) -> Option<Process> {
        if !owner.is_known() {
            return None;
        }
        let mut comm = owner.comm;
        if owner.tid != owner.tgid || comm == [0; COMM_LEN] {
            let name = self.0.entry(owner.tgid).or_insert_with(|| look_up(owner.tgid));
            comm = name.unwrap_or(comm);
        }
        Some(Process { pid: owner.tgid, uid: owner.uid, comm })
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
        let worker = Owner { tgid: 10, tid: 12, uid: 0, comm: comm("worker") };
        let process = names.process(&worker, |_| Some(comm("server"))).expect("known");
        assert_eq!((process.pid, process.name()), (10, &b"server"[..]));
        let again = names.process(&worker, |_| panic!("looked up once")).expect("known");
        assert_eq!(again.name(), b"server");
        let gone = Owner { tgid: 20, ..worker };
        assert_eq!(names.process(&gone, |_| None).expect("known").name(), b"worker");
        let first = Owner { tgid: 10, tid: 10, uid: 0, comm: comm("main") };
        assert_eq!(names.process(&first, |_| panic!("not needed")).expect("known").name(), b"main");
        assert_eq!(names.process(&Owner::default(), |_| None), None);
    }
}
