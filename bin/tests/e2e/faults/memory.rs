//! Tests a run to which the kernel gives no more memory.

use std::{
    fs,
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

use super::{launch::Launch, session::Session};
use crate::{
    harness::LIMIT,
    traffic::{Own, V4, allow_descriptors, udp},
};

/// Limits the address space of a process to its current size.
fn refuse_more_memory(pid: u32) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("tcptop runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("a line");
    let kib: libc::rlim_t = line.trim().trim_end_matches(" kB").parse().expect("a number");
    let limit = libc::rlimit { rlim_cur: 1024 * kib, rlim_max: 1024 * kib };
    let pid = libc::pid_t::try_from(pid).expect("a pid");
    // SAFETY: the limit outlives the call, and the pointer for the old limit is null.
    let result = unsafe { libc::prlimit(pid, libc::RLIMIT_AS, &raw const limit, std::ptr::null_mut()) };
    assert_eq!(result, 0, "prlimit: {}", std::io::Error::last_os_error());
}

/// Without memory, tcptop cannot continue. It must say so, and end with the exit status of a shortage.
#[test]
fn a_run_out_of_memory_says_so_and_ends() {
    allow_descriptors(4_096);
    let mut session = Session::start(&Launch::new(&["--flows", "8192"]));
    refuse_more_memory(session.pid());
    let server = udp(V4);
    let remote = server.local_addr().expect("bound");
    let mut clients: Vec<Own<UdpSocket>> = Vec::new();
    let begin = Instant::now();
    while session.is_running() {
        assert!(begin.elapsed() < LIMIT, "{} flows needed no more memory", clients.len());
        if clients.len() < 3_000 {
            clients.extend((0..500).map(|_| udp(V4)));
        }
        for client in &clients {
            client.send_to(&[0; 10], remote).expect("send");
        }
        thread::sleep(Duration::from_millis(100));
    }
    let finished = session.wait();
    finished.assert_code(71);
    let last = finished.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: ") && last.contains("out of memory: free some"), "{}", finished.stderr);
}
