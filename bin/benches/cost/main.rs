//! Measures what tcptop and its peers cost. `ci/bench` runs this program, which prints records of the form
//! `measure;row;column;value;low;high`.
//!
//!     cost throughput [--seconds S] [--rounds N] [--loads A,B...] --watch NAME=COMMAND [--last NAME=COMMAND]
//!     cost busy       [--seconds S] [--rounds N] [--loads A,B...] --watch NAME=COMMAND [--last NAME=COMMAND]
//!     cost hooks      [--seconds S] [--rounds N] [--loads A,B...] --watch NAME=COMMAND [--last NAME=COMMAND]
//!     cost peers      [--seconds S] [--rounds N] [--loads A,B...] --watch NAME=COMMAND...
//!     cost standing   [--seconds S] [--rounds N] --watch NAME=COMMAND
//!     cost sources    [--seconds S] [--rounds N] --watch NAME=COMMAND
//!     cost first      [--rounds N] --watch NAME=COMMAND [--last NAME=COMMAND]
//!     cost lost       [--seconds S] --watch NAME=COMMAND
//!     cost soak       [--seconds S] --watch NAME=COMMAND
//!     cost load       [--seconds S] [--loads A,B...]
//!     cost table
//!
//! `--last` names the last release. `throughput`, `busy`, `hooks` and `first` measure it in turns with `--watch`.

mod busy;
mod calls;
mod connections;
mod cpu;
mod empty;
mod held;
#[path = "../../src/bpf/hooks.rs"]
mod hook_list;
mod hooks;
mod load;
#[path = "../../tests/e2e/maps.rs"]
mod maps;
mod names;
mod once;
mod peers;
mod process;
#[path = "../../tests/e2e/programs.rs"]
mod programs;
mod record;
mod soak;
mod sources;
mod standing;
mod throughput;
mod trace;
mod watcher;

use std::{process::ExitCode, time::Duration};

use load::{LOADS, Load};
use watcher::Watcher;

/// The arguments.
struct Settings {
    time: Duration,
    rounds: usize,
    watchers: Vec<Watcher>,
    last: Option<Watcher>,
    loads: Vec<(&'static str, Load)>,
}

impl Settings {
    fn parse(mut words: impl Iterator<Item = String>) -> Self {
        let mut settings = Self {
            time: Duration::from_secs(1),
            rounds: 5,
            watchers: Vec::new(),
            last: None,
            loads: LOADS.to_vec(),
        };
        while let Some(word) = words.next() {
            // cargo passes this argument to every benchmark.
            if word == "--bench" {
                continue;
            }
            let value = words.next().unwrap_or_else(|| panic!("{word} needs a value"));
            let watcher = || Watcher::parse(&value).unwrap_or_else(|| panic!("{word} needs NAME=COMMAND"));
            match word.as_str() {
                "--seconds" => settings.time = Duration::from_secs_f64(value.parse().expect("seconds")),
                "--loads" => settings.loads.retain(|(name, _)| value.split(',').any(|one| one == *name)),
                "--rounds" => settings.rounds = value.parse().expect("a number of rounds"),
                "--watch" => settings.watchers.push(watcher()),
                "--last" => settings.last = Some(watcher()),
                _ => panic!("unknown argument {word:?}"),
            }
        }
        settings
    }

    fn watcher(&self) -> &Watcher {
        self.watchers.first().expect("--watch NAME=COMMAND")
    }

    /// Returns the watcher and the last release, if there is one. Which of them comes first changes from round to
    /// round.
    fn in_turns(&self, round: usize) -> Vec<&Watcher> {
        let mut both: Vec<&Watcher> = std::iter::once(self.watcher()).chain(&self.last).collect();
        if round % 2 == 1 {
            both.reverse();
        }
        both
    }
}

/// Warns if another tcptop is attached. It would also slow the measurements without a watcher.
fn warn_of_others() {
    let ours = |id| programs::name(id).is_some_and(|name| name.starts_with("tcptop_"));
    if programs::ids().any(ours) {
        eprintln!("cost: warning: another tcptop is attached; it distorts every value");
    }
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    if command == "hold" {
        let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number");
        connections::hold(number(), number());
        return ExitCode::SUCCESS;
    }
    if command == "connect" {
        soak::connect(words.next().and_then(|word| word.parse().ok()).expect("a port"));
        return ExitCode::SUCCESS;
    }
    let settings = Settings::parse(words);
    if command != "table" {
        warn_of_others();
    }
    match command.as_str() {
        "throughput" => throughput::measure(&settings),
        "busy" => busy::measure(&settings),
        "hooks" => hooks::measure(&settings),
        "names" => names::measure(&settings),
        "peers" => peers::measure(&settings),
        "standing" => standing::measure(&settings),
        "sources" => sources::measure(&settings),
        "first" => once::first_report(&settings),
        "lost" => once::lost(&settings),
        "soak" => return soak::measure(&settings),
        "load" => settings.loads.iter().for_each(|(name, load)| {
            println!("{name} {:.0}", load::run(*load, settings.time).rate);
        }),
        "table" => record::tables(),
        _ => panic!("unknown command {command:?}"),
    }
    ExitCode::SUCCESS
}
