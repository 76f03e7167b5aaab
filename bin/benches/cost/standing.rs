//! What tcptop itself uses while connections stand: CPU, wake-ups, memory; and how soon it reports.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{Settings, connections::Connections, load, record::Record};

/// Ends on this machine, and those of them that are active.
const SCENES: [(&str, usize, usize); 7] = [
    ("idle machine", 0, 0),
    ("100 live", 100, 0),
    ("1,000 live, all active", 1_000, 1_000),
    ("1,000 live, 100 active", 1_000, 100),
    ("10,000 live, 100 active", 10_000, 100),
    ("20,000 live, 100 active", 20_000, 100),
    ("50,000 live, 100 active", 50_000, 100),
];

const STANDING: &str = "ends of connections";
const STORM: &str = "as many connections as go";

/// Measures over ten ticks of a second each. Before that it waits for the last look at /proc for owners: those of
/// accepted connections are known after one or two.
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
        // Its interval is a second.
        Record::new(STANDING, what, "CPU of a tick, ms", 1_000.0 * cpu / seconds).print();
        Record::new(STANDING, what, "CPU per minute, s", 60.0 * cpu / seconds).print();
        Record::new(STANDING, what, "wake-ups per minute", 60.0 * woken as f64 / seconds).print();
        let resident = process.status("VmRSS") as f64 / 1_024.0;
        Record::new(STANDING, what, "resident memory, MiB", resident).print();
        drop(connections);
    }
}

/// Time from exec to the end of the first report, with an interval of a tenth of a second.
pub fn first_report(settings: &Settings) {
    let mut times: Vec<f64> = (0..settings.rounds.max(3))
        .map(|_| {
            let start = Instant::now();
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(format!("exec {} --once -d 0.1", settings.watcher().command));
            let status = command.stdout(Stdio::null()).status().expect("a shell");
            assert!(status.success(), "{status}");
            start.elapsed().as_secs_f64() * 1_000.0
        })
        .collect();
    Record::median("exec to first report", "--once -d 0.1, ms", "tcptop", &mut times).print();
}

/// Event records lost at the highest rate of connections that this machine reaches.
pub fn lost(settings: &Settings) {
    let file = std::env::temp_dir().join(format!("cost-{}", std::process::id()));
    let watcher = crate::watcher::Watcher {
        name: "tcptop".into(),
        command: format!("{} -d 1 -o {}", settings.watcher().command, file.display()),
    };
    let running = watcher.start();
    let outcome = load::run(load::Load::TcpConnect, settings.time.max(Duration::from_secs(1)) * 5);
    drop(running);
    let text = fs::read_to_string(&file).expect("its reports");
    fs::remove_file(&file).expect("ours");
    let after = |line: &str| line.split_once("  lost ").map(|(_, rest)| rest.to_owned());
    let lost: f64 = text
        .lines()
        .filter_map(after)
        .map(|rest| {
            rest.split_whitespace().next().and_then(|number| number.parse::<f64>().ok()).expect("a number")
        })
        .sum();
    Record::new(STORM, "connections per second", "tcptop", outcome.rate).print();
    Record::new(STORM, "event records lost", "tcptop", lost + 0.0).print();
}
