//! What watching costs: the measuring program behind `ci/bench`. Prints
//! records, `measure;row;column;value;low;high`.
//!
//!     cost throughput [--seconds S] [--rounds N] [--loads A,B...] --watch NAME=COMMAND...
//!     cost hooks      [--seconds S] [--loads A,B...] --watch NAME=COMMAND
//!     cost standing   [--seconds S] --watch NAME=COMMAND
//!     cost first      --watch NAME=COMMAND
//!     cost lost       [--seconds S] --watch NAME=COMMAND
//!     cost load       [--seconds S] [--loads A,B...]
//!     cost empty
//!     cost table

mod connections;
mod cpu;
mod hooks;
mod load;
mod process;
#[path = "../../tests/e2e/programs.rs"]
mod programs;
mod record;
mod rounds;
mod standing;
mod watcher;

use std::time::Duration;

use load::{LOADS, Load};
use watcher::Watcher;

/// The arguments.
struct Settings {
    time: Duration,
    rounds: usize,
    watchers: Vec<Watcher>,
    loads: Vec<(&'static str, Load)>,
}

impl Settings {
    fn parse(mut words: impl Iterator<Item = String>) -> Self {
        let mut settings =
            Self { time: Duration::from_secs(1), rounds: 5, watchers: Vec::new(), loads: LOADS.to_vec() };
        while let Some(word) = words.next() {
            // cargo gives it to every benchmark.
            if word == "--bench" {
                continue;
            }
            let value = words.next().unwrap_or_else(|| panic!("{word} needs a value"));
            match word.as_str() {
                "--seconds" => settings.time = Duration::from_secs_f64(value.parse().expect("seconds")),
                "--loads" => settings.loads.retain(|(name, _)| value.split(',').any(|one| one == *name)),
                "--rounds" => settings.rounds = value.parse().expect("a number of rounds"),
                "--watch" => settings.watchers.push(Watcher::parse(&value).expect("NAME=COMMAND")),
                _ => panic!("unknown argument {word:?}"),
            }
        }
        settings
    }

    fn watcher(&self) -> &Watcher {
        self.watchers.first().expect("--watch NAME=COMMAND")
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    if command == "hold" {
        let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number");
        return connections::hold(number(), number());
    }
    let settings = Settings::parse(words);
    match command.as_str() {
        "throughput" => rounds::measure(&settings),
        "hooks" => hooks::measure(&settings),
        "standing" => standing::measure(&settings),
        "first" => standing::first_report(&settings),
        "lost" => standing::lost(&settings),
        "load" => settings.loads.iter().for_each(|(name, load)| {
            println!("{name} {:.0}", load::run(*load, settings.time).rate);
        }),
        "empty" => hooks::idle(),
        "table" => record::tables(),
        _ => panic!("unknown command {command:?}"),
    }
}
