//! Measures how soon tcptop reports, and how many event records it loses at the highest rate of connections.

use std::{fs, time::Duration, time::Instant};

use crate::{
    Settings, load,
    record::{Cells, Record},
};

const FIRST: &str = "exec to first report, ms";
const STORM: &str = "as many connections as go";

/// Measures the time from exec to the end of the first report, with an interval of a tenth of a second.
pub fn first_report(settings: &Settings) {
    let mut cells = Cells::default();
    for round in 0..settings.rounds.max(3) {
        for watcher in settings.in_turns(round) {
            let start = Instant::now();
            let status = watcher.with("--once -d 0.1").command().status().expect("a shell");
            assert!(status.success(), "{status}");
            cells.add(FIRST, "--once -d 0.1", &watcher.name, start.elapsed().as_secs_f64() * 1_000.0);
        }
    }
    cells.print(&[FIRST]);
}

/// Counts the event records that are lost at the highest rate of connections that this machine reaches.
pub fn lost(settings: &Settings) {
    let file = std::env::temp_dir().join(format!("cost-{}", std::process::id()));
    let running = settings.watcher().with(&format!("-d 1 -o {}", file.display())).start();
    let outcome = load::run(load::Load::TcpConnect, settings.time.max(Duration::from_secs(1)) * 5);
    drop(running);
    let text = fs::read_to_string(&file).expect("tcptop has written reports");
    fs::remove_file(&file).expect("the test owns the file");
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
