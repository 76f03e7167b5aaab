//! Kernels built without something, for machines of ci/matrix: each test is for one of them.

use crate::harness::run;

#[test]
#[ignore = "for a kernel without CONFIG_CGROUP_BPF, in ci/matrix"]
fn cgroup_bpf() {
    let finished = run(&["--once"]);
    finished.assert_code(69);
    assert!(finished.stderr.contains("it needs CONFIG_CGROUP_BPF"), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    let check = run(&["--check"]);
    check.assert_code(69);
    assert!(check.stdout.contains("it needs CONFIG_CGROUP_BPF"), "{}", check.stdout);
}
