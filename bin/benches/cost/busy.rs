//! Measures the CPU time and memory that tcptop uses while a load runs at full speed.

use std::{thread, time::Duration};

use crate::{
    Settings,
    load::{self, Load},
    record::Cells,
};

const CPU: &str = "CPU of the watcher at full speed, % of one";
const PER_CONNECTION: &str = "CPU of the watcher per connection, µs";
const RESIDENT: &str = "resident memory at full speed, MiB";

/// tcptop reports on the end of a load at the next tick, which comes within this time.
const TICK: Duration = Duration::from_millis(1_100);

/// Runs each load for three times the time of the settings. That should be whole intervals of tcptop, so that its ticks
/// have the same share as in a longer run. The last report on a load counts as part of it.
pub fn measure(settings: &Settings) {
    let time = settings.time * 3;
    let mut cells = Cells::default();
    for round in 0..settings.rounds {
        eprintln!("cost: round {} of {}", round + 1, settings.rounds);
        for watcher in settings.in_turns(round) {
            let who = watcher.name.as_str();
            for (name, load) in &settings.loads {
                // Start tcptop again for each load, because it does not give back memory that another load needed.
                let running = watcher.start();
                let process = running.process();
                let before = process.cpu();
                let outcome = load::run(*load, time);
                thread::sleep(TICK);
                let cpu = (process.cpu() - before).as_secs_f64();
                cells.add(CPU, name, who, 100.0 * cpu / time.as_secs_f64());
                if *load == Load::TcpConnect {
                    cells.add(PER_CONNECTION, name, who, 1e6 * cpu / (outcome.rate * time.as_secs_f64()));
                }
                cells.add(RESIDENT, name, who, process.status("VmHWM") as f64 / 1_024.0);
            }
        }
    }
    cells.print(&[CPU, PER_CONNECTION, RESIDENT]);
}
