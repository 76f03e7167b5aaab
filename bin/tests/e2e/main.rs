//! The built binary against real traffic on this machine's kernel, as root.
//!
//! Every test starts a tcptop of its own and looks only at the rows of its own ports. They run one at a time: a flood in
//! one of them is traffic to all others, and a child that is being made has every socket of this process open for a
//! while, and may be the last one to close it. No other program is needed: the same test binary runs inside a virtual
//! machine that has nothing else, with `TCPTOP_BIN` naming the tcptop to test.

mod balance;
mod body;
mod callbacks;
mod cgroup;
mod cli;
mod clocks;
mod confined;
mod crew;
mod descriptors;
mod detached;
mod diag;
mod exact;
// MIPS has other system calls, which these tests do not know.
#[cfg(not(target_arch = "mips"))]
mod faults;
mod files;
mod footprint;
mod forwarded;
mod handing;
mod harness;
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
mod puppet;
mod reasons;
mod refusal;
mod ring;
mod rows;
#[cfg(not(target_arch = "mips"))]
mod set_clock;
mod shared;
mod sheet;
mod shortage;
mod sums;
mod tcp;
mod threads;
mod traffic;
mod whose;
