//! Measures what each of tcptop's programs costs per run, minus what a program that does nothing costs at the same
//! hook. Also measures what all programs that do not run for packets cost per connection.

use std::{os::fd::OwnedFd, time::Duration};

use crate::{
    Settings,
    empty::{self, Empty},
    held::{self, Held},
    load::{self, Load},
    programs,
    record::Cells,
    watcher::Watcher,
};

const NET: &str = "ns per run, minus an empty program";
const EMPTY: &str = "ns per run of an empty program, clocks included";
const RUNS: &str = "runs per operation";
const LIFECYCLE: &str = "lifecycle hooks per connection, both ends, ns";
const RATIO: &str = "lifecycle hooks per connection, %";
const KINDS: [&str; 2] = ["minus empty programs", "clocks included"];

/// Measures the watcher, and the last release if there is one. Each round starts them again, because the times depend
/// on where the kernel puts a program and its maps. Prints the medians for each load and each program that ran at least
/// once in a hundred operations.
pub fn measure(settings: &Settings) {
    let cgroup = empty::root();
    let mut cells = Cells::default();
    let measures =
        |watcher: &Watcher| [NET, EMPTY, RUNS].map(|measure| format!("{}: {measure}", watcher.name));
    for turn in 0..settings.rounds {
        eprintln!("cost: round {} of {}", turn + 1, settings.rounds);
        let mut both = Vec::new();
        for watcher in settings.in_turns(turn) {
            let lifecycle = round(settings, &cgroup, watcher, &measures(watcher), &mut cells);
            both.push((watcher.name.as_str(), lifecycle));
        }
        for (who, lifecycle) in &both {
            for (kind, nanos) in KINDS.iter().zip(lifecycle.iter().flatten()) {
                cells.add(LIFECYCLE, kind, who, *nanos);
            }
        }
        if turn % 2 == 1 {
            both.reverse();
        }
        if let [(new, Some(ours)), (old, Some(last))] = both.as_slice() {
            for (kind, (ours, last)) in KINDS.iter().zip(ours.iter().zip(last)) {
                cells.add(RATIO, kind, &format!("{new} / {old}"), 100.0 * ours / last);
            }
        }
    }
    let mut printed = vec![LIFECYCLE.to_owned(), RATIO.to_owned()];
    for watcher in settings.in_turns(0) {
        printed.extend(measures(watcher));
    }
    cells.print(&printed);
}

/// The time and the number of a program's runs.
#[derive(Clone, Copy, Default)]
struct Use {
    nanos: f64,
    runs: f64,
}

impl Use {
    fn so_far(id: u32) -> Self {
        programs::info(id)
            .map_or_else(Self::default, |info| Self { nanos: info.run_nanos as f64, runs: info.runs as f64 })
    }

    fn since(self, before: Self) -> Self {
        Self { nanos: self.nanos - before.nanos, runs: self.runs - before.runs }
    }

    fn per_run(self) -> f64 {
        self.nanos / self.runs.max(1.0)
    }
}

/// The use of a program of the watcher, and that of the empty one at the same hook. There is no empty one at a hook
/// that only the last release has.
type Uses = [Option<Use>; 2];

/// Starts a watcher, and runs each load once. If connections are among the loads, returns the nanoseconds per
/// connection that the lifecycle hooks take, one value for each of [`KINDS`].
fn round(
    settings: &Settings,
    cgroup: &OwnedFd,
    watcher: &Watcher,
    [net, empty, runs]: &[String; 3],
    cells: &mut Cells,
) -> Option<[f64; 2]> {
    let running = watcher.start();
    let held = held::by(running.process().0);
    let beside = Empty::attach(cgroup, &empty::hooks(&held));
    let _stats = programs::enable_stats();
    let mut lifecycle = None;
    for (name, load) in &settings.loads {
        let (uses, operations) = uses(&held, &beside, *load, settings.time);
        for (program, [ours, nothing]) in held.iter().zip(&uses) {
            let (Some(ours), Some(nothing)) = (ours, nothing) else { continue };
            if ours.runs < operations / 100.0 {
                continue;
            }
            cells.add(net, &program.name(), name, ours.per_run() - nothing.per_run());
            cells.add(empty, &program.name(), name, nothing.per_run());
            cells.add(runs, &program.name(), name, ours.runs / operations);
        }
        if *load == Load::TcpConnect {
            let of = |which: usize| -> f64 {
                let programs = held.iter().zip(&uses).filter(|(program, _)| !of_packets(program));
                programs.filter_map(|(_, uses)| uses[which]).map(|used| used.nanos).sum()
            };
            let (gross, nothing) = (of(0) / operations, of(1) / operations);
            lifecycle = Some([gross - nothing, gross]);
        }
    }
    lifecycle
}

/// Returns whether a program runs for each packet or datagram, and not for events in the life of a connection.
fn of_packets(program: &Held) -> bool {
    ["ingress", "egress", "sendmsg", "recvmsg"].iter().any(|name| program.name().starts_with(name))
}

/// Runs a load. Returns what each program used, and the number of operations.
fn uses(held: &[Held], beside: &Empty, load: Load, time: Duration) -> (Vec<Uses>, f64) {
    // Run the load for a while before, so its code is in the caches.
    load::run(load, time / 5);
    let read = || -> Vec<Uses> {
        let ids = held.iter().map(|program| [Some(program.id), beside.id(program.attach_type)]);
        ids.map(|ids| ids.map(|id| id.map(Use::so_far))).collect()
    };
    let before = read();
    let outcome = load::run(load, time);
    let after = read();
    let since = |after: Uses, before: Uses| [0, 1].map(|which| Some(after[which]?.since(before[which]?)));
    let uses = after.into_iter().zip(before).map(|(after, before)| since(after, before)).collect();
    (uses, outcome.rate * time.as_secs_f64())
}
