//! Throughput and latency under a watcher, as ratios to those alone just before and just after.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    Settings,
    load::{self, Outcome},
    record::{Record, quartiles},
};

/// All loads, one after the other.
fn block(settings: &Settings, time: Duration) -> Vec<Outcome> {
    settings.loads.iter().map(|(_, load)| load::run(*load, time)).collect()
}

/// Measures every watcher in every round, and prints the medians.
pub fn measure(settings: &Settings) {
    let Settings { time, rounds, .. } = *settings;
    let mut found: BTreeMap<(&str, String, &str), Vec<f64>> = BTreeMap::new();
    let mut note =
        |measure, what: String, unit, value| found.entry((measure, what, unit)).or_default().push(value);
    block(settings, time / 5);
    let mut before = block(settings, time);
    for round in 1..=rounds {
        for watcher in &settings.watchers {
            eprintln!("cost: round {round} of {rounds}, {}", watcher.name);
            let running = watcher.start();
            let (cpu, start) = (running.process().cpu(), Instant::now());
            let under = block(settings, time);
            let cpu = (running.process().cpu() - cpu).as_secs_f64() / start.elapsed().as_secs_f64();
            note("CPU of the watcher", watcher.name.clone(), "%", 100.0 * cpu);
            let resident = running.process().status("VmRSS") as f64 / 1_024.0;
            note("resident memory of the watcher", watcher.name.clone(), "MiB", resident);
            drop(running);
            let after = block(settings, time);
            for (((name, _), under), (before, after)) in
                settings.loads.iter().zip(&under).zip(before.iter().zip(&after))
            {
                let what = format!("{name} {}", watcher.name);
                let alone = (before.rate + after.rate) / 2.0;
                note("throughput", what.clone(), "%", 100.0 * under.rate / alone);
                for (measure, part) in [("median latency", 0.5), ("latency of the slowest hundredth", 0.99)] {
                    if !under.latencies.is_empty() {
                        let alone = (before.latency(part) + after.latency(part)) / 2.0;
                        note(measure, what.clone(), "%", 100.0 * under.latency(part) / alone);
                    }
                }
                note("operations per second, alone", (*name).into(), "", alone);
            }
            before = after;
        }
    }
    for ((measure, what, unit), mut values) in found {
        let (median, low, high) = quartiles(&mut values);
        Record::new(measure, &what, unit, median).range(low, high).print();
    }
}
