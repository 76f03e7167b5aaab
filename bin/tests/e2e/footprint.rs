//! Measures the memory of a running tcptop, and the work of the verifier. The limits of memory apply to static
//! binaries.

use std::{fs, path::Path};

use crate::{
    harness::Tcptop,
    traffic::{Pair, V4},
};

/// The number of connections. Both ends of each are on this machine.
const PAIRS: u64 = 50;

/// Returns a field of /proc/<pid>/status in KiB, such as `VmRSS`.
pub fn kib(status: &str, field: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let digits = value.and_then(|value| value.trim().strip_suffix(" kB"));
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("{field} in {status}"))
}

#[test]
fn memory_with_a_hundred_connections() {
    let pairs: Vec<Pair> = (0..PAIRS).map(|_| Pair::new(V4)).collect();
    let tcptop = Tcptop::start();
    let mut expected = Vec::new();
    for pair in &pairs {
        pair.exchange(10_000, 5_000);
        expected.extend(pair.ends(10_000, 5_000));
    }
    tcptop.expect_live(&expected);

    let status = fs::read_to_string(format!("/proc/{}/status", tcptop.process().pid())).expect("tcptop runs");
    let (resident, peak) = (kib(&status, "VmRSS"), kib(&status, "VmHWM"));
    println!("memory: {resident} KiB, {peak} KiB at the peak");
    if crate::harness::is_static() {
        let most = if Path::new("/sys/kernel/btf/vmlinux").exists() { 8 } else { 6 };
        assert!(resident <= 3 * 1024, "{resident} KiB resident: bin/doc/building.md promises 3 MiB");
        assert!(peak <= most * 1024, "{peak} KiB at the peak: bin/doc/building.md promises {most} MiB");
    }
    drop(pairs);
    tcptop.finish(&expected);
}

/// The verifier takes most of the time to the first report. Kernels before 5.16 do not say how many instructions it has
/// followed (kernel/bpf/syscall.c `bpf_prog_show_fdinfo`, v5.16).
#[test]
fn programs_are_verified_in_few_steps() {
    const MOST: u64 = 80_000;
    let tcptop = Tcptop::start();
    let mut steps = Vec::new();
    for entry in fs::read_dir(format!("/proc/{}/fdinfo", tcptop.process().pid())).expect("tcptop runs") {
        let Ok(text) = fs::read_to_string(entry.expect("readable").path()) else { continue };
        let verified = text.lines().find_map(|line| line.strip_prefix("verified_insns:"));
        steps.extend(verified.map(|steps| steps.trim().parse::<u64>().expect("a number")));
    }
    println!("steps of the verifier: {steps:?}");
    let sum: u64 = steps.iter().sum();
    assert!(sum <= MOST, "the verifier took {sum} steps: {steps:?}");
    tcptop.stop();
}
