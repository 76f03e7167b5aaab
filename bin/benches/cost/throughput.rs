//! Measures throughput and latency under tcptop, with empty programs, and without any, in short slices that take turns.
//!
//! The speed of a virtual machine drifts within seconds by more than tcptop costs. So each ratio compares slices of one
//! cycle, which follow each other within two seconds, and the result is the median over many cycles.
//!
//! tcptop does part of its work at the tick that ends each interval, and a slice is shorter than an interval. So in
//! each cycle the slice begins later after tcptop's start, by the length of a slice, until the slices have covered an
//! interval. One value is the mean ratio of such a group of cycles, in which the tick has the same weight as in a
//! longer run. The load runs from tcptop's start on, so the tick has its full work to do.

use std::{os::fd::OwnedFd, time::Duration};

use crate::{
    Settings,
    empty::{self, Empty},
    held,
    hook_list::Hook,
    load::{self, Load, Outcome, Span},
    record::Cells,
    watcher::Watcher,
};

const THROUGHPUT: &str = "throughput, %";
const SLOWEST: &str = "latency of the slowest hundredth, %";
const ALONE: &str = "alone";

/// tcptop's interval.
const INTERVAL: Duration = Duration::from_secs(1);

/// The least time for which a load runs before a slice.
const WARM: Duration = Duration::from_millis(100);

/// What is attached during a slice.
enum State<'a> {
    Alone,
    Empty,
    Watched(&'a Watcher),
}

impl State<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Alone => "alone",
            Self::Empty => "empty hooks",
            Self::Watched(watcher) => &watcher.name,
        }
    }
}

/// The pairs of states to compare, numerator and denominator, by their places in the list that [`measure`] makes.
const PAIRS: [(usize, usize); 5] = [(2, 1), (2, 0), (1, 0), (3, 1), (2, 3)];

/// Runs the cycles and prints medians and quartiles of the ratios.
pub fn measure(settings: &Settings) {
    let cgroup = empty::root();
    let ours = settings.watcher();
    let mut states = vec![State::Alone, State::Empty, State::Watched(ours)];
    states.extend(settings.last.as_ref().map(State::Watched));
    let hooks = empty::hooks(&held::by(ours.start().process().0));
    assert!(!hooks.is_empty(), "{} has attached no program to a cgroup", ours.name);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
    let group = INTERVAL.div_duration_f64(settings.time).round().max(1.0) as usize;
    let mut cells = Cells::default();
    for first in (0..settings.rounds).step_by(group) {
        let cycles = first..settings.rounds.min(first + group);
        eprintln!("cost: cycle {} of {}", cycles.end, settings.rounds);
        for (name, load) in &settings.loads {
            let mut means = Cells::default();
            for cycle in cycles.clone() {
                let mut outcomes: Vec<Outcome> = states.iter().map(|_| Outcome::default()).collect();
                for index in order(cycle + cycle / group, states.len()) {
                    let late = settings.time * u32::try_from(cycle % group).expect("it fits");
                    outcomes[index] = slice(&states[index], &cgroup, &hooks, *load, late, settings.time);
                }
                compare(&states, &outcomes, name, &mut means);
            }
            cells.extend_by_means(means);
        }
    }
    cells.print(&[THROUGHPUT, SLOWEST, ALONE]);
}

/// Adds the ratios of one cycle to `cells`.
fn compare(states: &[State], outcomes: &[Outcome], load: &str, cells: &mut Cells) {
    for (over, under) in PAIRS.into_iter().filter(|pair| pair.0.max(pair.1) < states.len()) {
        let who = format!("{} / {}", states[over].name(), states[under].name());
        let [over, under] = [over, under].map(|index| &outcomes[index]);
        cells.add(THROUGHPUT, load, &who, 100.0 * over.rate / under.rate);
        if !over.latencies.is_empty() {
            cells.add(SLOWEST, load, &who, 100.0 * over.latency(0.99) / under.latency(0.99));
        }
    }
    cells.add(ALONE, load, "per second", outcomes[0].rate);
}

/// Returns the order of the states in a cycle. Over all cycles, each state has each place equally often, so a drift of
/// the machine's speed favours none.
fn order(cycle: usize, states: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..states).collect();
    order.rotate_left(cycle % states);
    if cycle / states % 2 == 1 {
        order.reverse();
    }
    order
}

/// Runs one slice. Under tcptop, it begins later after the start of the load by the time `late`.
fn slice(
    state: &State,
    cgroup: &OwnedFd,
    hooks: &[&Hook],
    load: Load,
    late: Duration,
    time: Duration,
) -> Outcome {
    let _empty = matches!(state, State::Empty).then(|| Empty::attach(cgroup, hooks));
    let (_running, warm) = match state {
        State::Watched(watcher) => (Some(watcher.start()), WARM + late),
        State::Alone | State::Empty => (None, WARM),
    };
    load::run_warm(load, Span { warm, time })
}
