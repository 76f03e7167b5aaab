//! Tests tcptop on kernels that were built without an option. Each test runs on one machine of ci/matrix, which calls
//! it by the option's name.

use crate::{
    harness::{Process, Tcptop, run, tcptop},
    traffic::{Pair, V4},
};

/// Without BPF, sock_diag must count TCP correctly.
#[test]
#[ignore = "for a kernel without CONFIG_CGROUP_BPF, in ci/matrix"]
fn cgroup_bpf() {
    let finished = run(&["--once", "--collector", "bpf"]);
    finished.assert_code(69);
    assert!(finished.stderr.contains("it needs CONFIG_CGROUP_BPF"), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    let check = run(&["--check"]);
    check.assert_success();
    assert!(check.stdout.contains("it needs CONFIG_CGROUP_BPF"), "{}", check.stdout);
    assert!(check.stdout.contains("tcptop can run here without BPF"), "{}", check.stdout);

    let older = Pair::new(V4);
    older.exchange(70_000, 300);
    let once = Process::start(&mut tcptop(&["--once", "--bytes"]), |_| ()).wait();
    once.assert_code(0);
    let server = older.flow.remote.to_string();
    let row = once.stdout.lines().find(|line| line.split_whitespace().nth(1) == Some(&server));
    let cells: Vec<&str> = row.unwrap_or_else(|| panic!("{}", once.stdout)).split_whitespace().collect();
    assert!(cells.contains(&"70000") && cells.contains(&"300") && cells.contains(&"e2e"), "{cells:?}");

    let tcptop = Tcptop::run(&mut tcptop(&["--csv", "--closed", "-d", "0.2"]));
    let tcptop = tcptop.noting("it needs CONFIG_CGROUP_BPF");
    let pair = Pair::new(V4);
    pair.exchange(5_000, 6_000);
    older.exchange(1, 1);
    let expected = [pair.ends(5_000, 6_000), older.ends(70_001, 301)].concat();
    tcptop.expect_live(&expected);
    drop((pair, older));
    tcptop.finish(&expected);
}
