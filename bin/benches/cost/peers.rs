//! Measures throughput and latency under tcptop and its peers, as ratios to those without a watcher just before and
//! just after. A peer takes seconds to start, so each start serves all loads. `throughput` compares tcptop more
//! precisely.

use std::time::{Duration, Instant};

use crate::{
    Settings,
    load::{self, Outcome},
    record::Cells,
};

/// Runs all loads, one after the other.
fn block(settings: &Settings, time: Duration) -> Vec<Outcome> {
    settings.loads.iter().map(|(_, load)| load::run(*load, time)).collect()
}

/// Measures every watcher in every round, and prints the medians.
pub fn measure(settings: &Settings) {
    let Settings { time, rounds, .. } = *settings;
    let mut cells = Cells::default();
    let mut note = |measure, what: &str, who: &str, value| cells.add(measure, what, who, value);
    block(settings, time / 5);
    let mut before = block(settings, time);
    for round in 1..=rounds {
        for watcher in &settings.watchers {
            eprintln!("cost: round {round} of {rounds}, {}", watcher.name);
            let who = watcher.name.as_str();
            let running = watcher.start();
            let (cpu, start) = (running.process().cpu(), Instant::now());
            let under = block(settings, time);
            let cpu = (running.process().cpu() - cpu).as_secs_f64() / start.elapsed().as_secs_f64();
            let resident = running.process().status("VmRSS") as f64 / 1_024.0;
            drop(running);
            let after = block(settings, time);
            for (((name, _), under), (before, after)) in
                settings.loads.iter().zip(&under).zip(before.iter().zip(&after))
            {
                let alone = (before.rate + after.rate) / 2.0;
                note(THROUGHPUT, name, who, 100.0 * under.rate / alone);
                note(ALONE, name, "per second", alone);
                if !under.latencies.is_empty() {
                    let alone = (before.latency(0.99) + after.latency(0.99)) / 2.0;
                    note(SLOWEST, name, who, 100.0 * under.latency(0.99) / alone);
                }
            }
            note(ITSELF, "CPU, % of one", who, 100.0 * cpu);
            note(ITSELF, "resident memory, MiB", who, resident);
            before = after;
        }
    }
    cells.print(&[THROUGHPUT, SLOWEST, ITSELF, ALONE]);
}

const THROUGHPUT: &str = "peers: throughput, % of that alone";
const SLOWEST: &str = "peers: latency of the slowest hundredth, % of that alone";
const ITSELF: &str = "peers: the watcher itself, during these loads";
const ALONE: &str = "peers: alone";
