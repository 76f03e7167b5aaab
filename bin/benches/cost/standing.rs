//! Measures what tcptop itself uses while connections are open: CPU time, wake-ups, memory and system calls.

use std::{thread, time::Instant};

use crate::{Settings, calls, connections::Connections, record::Record};

/// The numbers of ends on this machine, and of those that are active.
const SCENES: [(&str, usize, usize); 7] = [
    ("idle machine", 0, 0),
    ("100 live", 100, 0),
    ("1,000 live, all active", 1_000, 1_000),
    ("1,000 live, 100 active", 1_000, 100),
    ("10,000 live, 100 active", 10_000, 100),
    ("20,000 live, 100 active", 20_000, 100),
    ("50,000 live, 100 active", 50_000, 100),
];

/// The scenes in which this also counts system calls. It does so in other ticks, because tracing slows a process.
const TRACED: [&str; 3] = ["100 live", "1,000 live, all active", "10,000 live, 100 active"];

const STANDING: &str = "ends of connections";
const CALLS: &str = "system calls per tick, besides /proc and output";

/// Measures over ten ticks of a second each. Before that, it waits until tcptop has found the owners of accepted
/// connections in /proc, which takes one or two looks.
pub fn measure(settings: &Settings) {
    let most = if settings.rounds == 1 { 1_000 } else { usize::MAX };
    for (what, live, active) in SCENES.into_iter().filter(|(_, live, _)| *live <= most) {
        eprintln!("cost: {what}");
        let running = settings.watcher().start();
        let process = running.process();
        if live == 0 {
            Record::new(
                "kernel memory of the maps",
                what,
                "MiB",
                process.bpf_memory("map_type:") as f64 / 1_048_576.0,
            )
            .print();
        }
        let connections = Connections::open(live / 2, active / 2);
        thread::sleep(settings.time * 10);
        let (cpu, woken) = (process.cpu(), process.status("voluntary_ctxt_switches"));
        let start = Instant::now();
        thread::sleep(settings.time * 10);
        let seconds = start.elapsed().as_secs_f64();
        let cpu = (process.cpu() - cpu).as_secs_f64();
        let woken = process.status("voluntary_ctxt_switches") - woken;
        // The interval of tcptop is a second, so there are as many ticks as seconds.
        Record::new(STANDING, what, "CPU of a tick, ms", 1_000.0 * cpu / seconds).print();
        Record::new(STANDING, what, "CPU per minute, s", 60.0 * cpu / seconds).print();
        Record::new(STANDING, what, "wake-ups per minute", 60.0 * woken as f64 / seconds).print();
        let resident = process.status("VmRSS") as f64 / 1_024.0;
        Record::new(STANDING, what, "resident memory, MiB", resident).print();
        if TRACED.contains(&what) {
            let time = settings.time * 10;
            let kinds = calls::count(process.0, time);
            let per_tick = |count: u64| count as f64 / time.as_secs_f64();
            Record::new(CALLS, what, "all", per_tick(kinds.values().sum())).print();
            for (kind, count) in kinds {
                Record::new(CALLS, what, kind, per_tick(count)).print();
            }
        }
        drop(connections);
    }
}
