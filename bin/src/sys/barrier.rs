//! membarrier(2): waits until every CPU has seen what was written, and no BPF program runs any more that began before.

use std::{thread, time::Duration};

/// Without membarrier(2) (`CONFIG_MEMBARRIER`, or on `nohz_full` CPUs) this much time stands for it. A run of a program
/// takes microseconds.
const REST: Duration = Duration::from_millis(50);

/// Waits for an RCU grace period: kernel/sched/membarrier.c, `MEMBARRIER_CMD_GLOBAL` is `synchronize_rcu`, v5.10. BPF
/// programs of cgroups run inside RCU read-side sections. It takes some 10 ms, and no CPU time.
pub fn wait_for_programs() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: a call without pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result != 0 {
        thread::sleep(REST);
    }
}
