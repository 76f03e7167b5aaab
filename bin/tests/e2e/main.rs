//! Runs the built binary as root against real traffic on this machine's kernel.
//!
//! Every test starts its own tcptop and looks only at the rows of its own ports. The tests run one at a time, because a
//! flood in one test is traffic to all others. Also, between fork and exec a child has every socket of this process
//! open, and may be the last one to close it. The tests need no other program: the same test binary runs inside a
//! virtual machine that has nothing else, where `TCPTOP_BIN` names the tcptop to test.

mod balance;
mod callbacks;
mod cgroup;
mod cli;
mod clocks;
mod confined;
mod descriptors;
mod detached;
mod diag;
mod exact;
mod executor;
mod workers;
// These tests do not know the system calls of MIPS, which has other ones.
#[cfg(not(target_arch = "mips"))]
mod faults;
mod fd_passing;
mod files;
mod footprint;
mod forwarded;
mod harness;
mod helper;
mod hidden;
#[path = "../../src/bpf/hooks.rs"]
#[allow(dead_code, reason = "the tests read only the names of the hooks")]
mod hooks;
mod hosts;
mod interpose;
#[cfg(target_arch = "x86_64")]
mod intruder;
mod ipsec;
mod lacking;
mod lifecycle;
mod lives;
mod maps;
mod namespace;
mod older;
mod options;
mod privilege;
mod programs;
mod reasons;
mod refusal;
mod ring;
mod rows;
#[cfg(not(target_arch = "mips"))]
mod set_clock;
mod shared;
mod shortage;
mod sums;
mod tcp;
mod text_report;
mod threads;
mod traffic;
mod whose;
