//! What each of tcptop's programs costs per run, net of a program that does nothing at the same hook.

use std::{collections::HashMap, fs::File, os::fd::OwnedFd, path::PathBuf};

use crate::{Settings, load, programs, record::Cells};

/// The hooks: name of tcptop's program, program type, attach type (include/uapi/linux/bpf.h).
const HOOKS: [(&str, u32, u32); 11] = [
    ("tcptop_ingress", 8, 0),
    ("tcptop_egress", 8, 1),
    ("tcptop_sock_ops", 13, 3),
    ("tcptop_sock_create", 9, 2),
    ("tcptop_sock_release", 9, 34),
    ("tcptop_connect4", 18, 10),
    ("tcptop_connect6", 18, 11),
    ("tcptop_sendmsg4", 18, 14),
    ("tcptop_sendmsg6", 18, 15),
    ("tcptop_recvmsg4", 18, 19),
    ("tcptop_recvmsg6", 18, 20),
];

/// Characters of a program's name that the kernel keeps.
const NAME_LENGTH: usize = 15;

const NET: &str = "ns per run, net of an empty program";
const EMPTY: &str = "ns per run of an empty program, clocks included";
const RUNS: &str = "runs per operation";

/// The root of the cgroup v2 tree.
fn root() -> OwnedFd {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("/proc");
    let path = mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        (kind.starts_with("cgroup2 ") && fields.next() == Some("/")).then(|| fields.next())?
    });
    let path = PathBuf::from(path.expect("a mounted cgroup v2 tree"));
    File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// Attaches a program that does nothing to every hook; id and link of each.
fn attach_empty(cgroup: &OwnedFd) -> Vec<(u32, OwnedFd)> {
    let attach = |(_, kind, attach_type): &(&str, u32, u32)| {
        let program = programs::load(*kind, *attach_type);
        (programs::id(&program), programs::link(&program, cgroup, *attach_type))
    };
    HOOKS.iter().map(attach).collect()
}

/// Attaches programs that do nothing, until killed: what the hooks themselves cost.
pub fn idle() {
    let _programs = attach_empty(&root());
    loop {
        std::thread::park();
    }
}

/// Measures under the watcher, which is tcptop, started anew in every round: where the kernel puts a program and its maps
/// makes a difference. Prints the medians of each load and program that ran at least once per a hundred operations.
pub fn measure(settings: &Settings) {
    let cgroup = root();
    let mut cells = Cells::default();
    for _ in 0..settings.rounds {
        round(settings, &cgroup, &mut cells);
    }
    cells.print(&[NET, EMPTY, RUNS]);
}

fn round(settings: &Settings, cgroup: &OwnedFd, cells: &mut Cells) {
    let time = settings.time;
    let running = settings.watcher().start();
    let (held, _) = programs::held_by(running.process().0);
    let ours: HashMap<String, u32> =
        held.into_iter().filter_map(|id| Some((programs::name(id)?, id))).collect();
    let empty = attach_empty(cgroup);
    let _stats = programs::enable_stats();
    let so_far = |id: u32| programs::info(id).map_or((0, 0), |info| (info.run_nanos, info.runs));
    for (name, load) in &settings.loads {
        // Once before: its flows exist, its code is in the caches.
        load::run(*load, time / 10);
        let read = || -> Vec<[(u64, u64); 2]> {
            let ids = HOOKS.iter().zip(&empty).map(|((name, ..), (empty, _))| {
                let short = &name[..name.len().min(NAME_LENGTH)];
                [*ours.get(short).unwrap_or_else(|| panic!("tcptop has no program {short}")), *empty]
            });
            ids.map(|ids| ids.map(so_far)).collect()
        };
        let before = read();
        let outcome = load::run(*load, time);
        let after = read();
        let operations = outcome.rate * time.as_secs_f64();
        for (((hook, ..), before), after) in HOOKS.iter().zip(before).zip(after) {
            let runs = (after[0].1 - before[0].1) as f64;
            if runs < operations / 100.0 {
                continue;
            }
            let nanos = |which: usize| {
                let (time, runs) = (after[which].0 - before[which].0, after[which].1 - before[which].1);
                time as f64 / runs.max(1) as f64
            };
            let what = hook.trim_start_matches("tcptop_");
            cells.add(NET, what, name, nanos(0) - nanos(1));
            cells.add(EMPTY, what, name, nanos(1));
            cells.add(RUNS, what, name, runs / operations);
        }
    }
}
