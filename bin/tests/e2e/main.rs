//! The built binary against real traffic on this machine's kernel, as root.
//!
//! Every test starts a tcptop of its own and looks only at the rows of its own ports, so tests run side by side. No
//! other program is needed: the same test binary runs inside a virtual machine that has nothing else, with
//! `TCPTOP_BIN` naming the tcptop to test.

mod cli;
mod files;
mod footprint;
mod harness;
mod hosts;
mod lacking;
mod lifecycle;
mod namespace;
mod older;
mod owner;
mod privilege;
mod programs;
mod puppet;
mod refusal;
mod reset;
mod rows;
mod tcp;
mod traffic;
mod udp;
