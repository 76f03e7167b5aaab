//! Tests processes that make one short connection and exit at once.

use std::{thread, time::Duration};

use super::{
    log::Log,
    server::{ANSWER, QUESTION, answer, is_slow, question},
};
use crate::{
    cgroup::inside,
    helper::{command, play},
    traffic::{V4, listen},
};

const COUNT: usize = 50;

/// Returns the pause between two processes. About 20 of them start in a second, or 4 on an emulated machine.
fn pace() -> Duration {
    Duration::from_millis(if is_slow() { 100 } else { 45 })
}

/// Returns how many command lines tcptop must read in time, even if other programs need the CPU. `ci/bench` measures the share.
fn min_read_in_time() -> usize {
    if is_slow() { 0 } else { COUNT / 2 }
}

#[test]
fn services_that_live_for_milliseconds() {
    inside("brief", |cgroup| {
        let listener = listen(V4);
        let address = listener.local_addr().expect("bound");
        let log = Log::start(&["-d", "1", "-D", &address.port().to_string()]);
        let server = answer(listener, COUNT);
        let mut pids = Vec::new();
        for number in 0..COUNT {
            let mut command = command(&format!("e2e-brief-{number}"));
            command.arg(format!("--job={number}"));
            cgroup.begin_in(&format!("system.slice/job-{number}.service"), &mut command);
            pids.push(play(&mut command, &question(address)).to_string());
            thread::sleep(pace());
        }
        server.join().expect("no panic");
        let program = std::env::current_exe().expect("/proc/self/exe").display().to_string();
        let mut read = 0;
        for (number, pid) in pids.iter().enumerate() {
            let row = log.expect(pid, |row| row["event"] == "closed" && row["pid"] == *pid);
            assert_eq!(row["comm"], format!("e2e-brief-{number}"), "{row:?}");
            let moved = [&row["rx_bytes"], &row["tx_bytes"]];
            assert_eq!(moved, [&ANSWER.to_string(), &QUESTION.to_string()], "{row:?}");
            assert_eq!(row["unit"], format!("job-{number}.service"), "{row:?}");
            let is_read = row["cmdline"] == format!("{program} --job={number}");
            assert!(is_read || row["cmdline"] == row["comm"], "{row:?}");
            read += usize::from(is_read);
        }
        log.stop();
        println!("command lines read in time: {read} of {COUNT}");
        assert!(read >= min_read_in_time(), "only {read} of {COUNT} command lines were read in time");
    });
}
