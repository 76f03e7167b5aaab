//! Tests how an owner that a hook saw is identified, with a made-up /proc.

use std::fs;

use tcptop_abi::COMM_LEN;

use super::*;
use crate::{
    collector::Claim,
    proc::testing::{self, Tree, stat},
    sys::limit::without_opening,
};

const WANTED: NameOptions =
    NameOptions { cmdline: true, unit: true, user: false, client: false, interface: false };

fn comm(text: &str) -> [u8; COMM_LEN] {
    let mut comm = [0; COMM_LEN];
    comm[..text.len()].copy_from_slice(text.as_bytes());
    comm
}

/// Returns an owner that a hook saw this long ago.
fn seen(pid: u32, name: &str, is_other_thread: bool, ago: Duration) -> ObservedOwner {
    ObservedOwner {
        pid,
        uid: 1000,
        comm: comm(name),
        is_other_thread,
        seen: clock::boot().saturating_sub(ago),
        cgroup: 0,
        claim: Claim::Used,
    }
}

/// Puts a process into /proc that began this long ago.
fn live(tree: &Tree, pid: u32, name: &str, cmdline: &str, ago: Duration) {
    let ticks = clock::boot().saturating_sub(ago).as_millis() / 10;
    let ticks = u64::try_from(ticks).expect("the process began after the boot");
    tree.file(&format!("{pid}/stat"), &stat(pid, name, ticks));
    tree.file(&format!("{pid}/cmdline"), cmdline.as_bytes());
    tree.file(&format!("{pid}/cgroup"), format!("0::/system.slice/{name}.service\n").as_bytes());
}

fn end(tree: &Tree, pid: u32) {
    fs::remove_dir_all(tree.path(&pid.to_string())).expect("the process was in /proc");
}

struct ShownProcess {
    name: String,
    cmdline: String,
    unit: String,
    is_gone: bool,
}

fn identify(processes: &mut Processes, owner: &ObservedOwner) -> Option<ShownProcess> {
    let found = processes.identify(owner, &mut Units::default())?;
    processes.refresh([&found.process].into_iter());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(ShownProcess {
        name: text(found.process.name()),
        cmdline: text(processes.cmdline(&found.process)),
        unit: text(processes.unit(&found.process)),
        is_gone: found.is_gone,
    })
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_thread_is_shown_under_its_process() {
    let tree = Tree::new();
    let mut processes = Processes::new(tree.path(""), WANTED);
    live(&tree, 10, "dig", "dig example.org", MINUTE);
    let thread = seen(10, "isc-net-0000", true, SECOND);
    assert_eq!(identify(&mut processes, &thread).expect("somebody").name, "dig");
    let main = seen(10, "renamed", false, SECOND);
    assert_eq!(
        identify(&mut processes, &main).expect("somebody").name,
        "renamed",
        "this was the name when the hook saw it"
    );
    let unread = seen(10, "", false, SECOND);
    assert_eq!(identify(&mut processes, &unread).expect("somebody").name, "dig");
}

#[test]
fn the_last_resort_is_marked() {
    let tree = Tree::new();
    let mut processes = Processes::new(tree.path(""), WANTED);
    let shown = |processes: &mut Processes, name, thread| {
        let shown = identify(processes, &seen(10, name, thread, SECOND)).expect("somebody");
        (shown.name, shown.is_gone)
    };
    assert_eq!(shown(&mut processes, "isc-net-0000", true), ("{isc-net-0000}".into(), true));
    assert_eq!(shown(&mut processes, "tokio-runtime-w", true), ("{tokio-runtime}".into(), true));
    assert_eq!(
        shown(&mut processes, "curl", false),
        ("curl".into(), true),
        "this is the name of the process"
    );
}

#[test]
fn what_was_read_in_time_stays() {
    let tree = Tree::new();
    let mut processes = Processes::new(tree.path(""), WANTED);
    live(&tree, 10, "dig", "dig example.org", SECOND / 2);
    let owner = seen(10, "isc-net-0000", true, SECOND / 10);
    processes.read_now(10);
    end(&tree, 10);
    for _ in 0..2 {
        let shown = identify(&mut processes, &owner).expect("somebody");
        assert_eq!((&*shown.name, &*shown.cmdline, &*shown.unit), ("dig", "dig example.org", "dig.service"));
    }
}

#[test]
fn a_process_that_exits_keeps_its_command_line() {
    let tree = Tree::new();
    let mut processes = Processes::new(tree.path(""), WANTED);
    live(&tree, 10, "curl", "curl example.org", MINUTE);
    let owner = seen(10, "curl", false, SECOND);
    assert_eq!(identify(&mut processes, &owner).expect("somebody").cmdline, "curl example.org");
    // The exiting process has no memory any more, but still has sockets.
    tree.file("10/cmdline", b"");
    assert_eq!(identify(&mut processes, &owner).expect("somebody").cmdline, "curl example.org");
}

#[test]
fn who_has_the_id_later_is_another_process() {
    let tree = Tree::new();
    let mut processes = Processes::new(tree.path(""), WANTED);
    // A hook saw a process, which exited. Then another process got its pid.
    let owner = seen(10, "curl", false, SECOND);
    live(&tree, 10, "innocent", "innocent --all", SECOND / 2);
    let shown = identify(&mut processes, &owner).expect("somebody");
    assert_eq!((&*shown.name, &*shown.cmdline, &*shown.unit, shown.is_gone), ("curl", "", "", true));
    let thread = seen(10, "worker", true, SECOND);
    assert_eq!(identify(&mut processes, &thread).expect("somebody").name, "{worker}");
    // The other process is identified as itself.
    let other = seen(10, "innocent", false, SECOND / 4);
    let shown = identify(&mut processes, &other).expect("somebody");
    assert_eq!((&*shown.cmdline, shown.is_gone), ("innocent --all", false));
    // The first process is still not taken for the other.
    assert_eq!(identify(&mut processes, &owner).expect("somebody").cmdline, "");
}

#[test]
fn two_processes_of_one_id_that_were_both_read() {
    let tree = Tree::new();
    let mut processes = Processes::new(tree.path(""), WANTED);
    live(&tree, 10, "first", "first one", MINUTE);
    let first = seen(10, "thread", true, SECOND);
    processes.read_now(10);
    end(&tree, 10);
    live(&tree, 10, "second", "second one", SECOND / 2);
    let second = seen(10, "thread", true, SECOND / 4);
    processes.read_now(10);
    for _ in 0..2 {
        let shown = [&first, &second].map(|owner| identify(&mut processes, owner).expect("somebody"));
        assert_eq!(shown.each_ref().map(|shown| &*shown.cmdline), ["first one", "second one"]);
        assert_eq!(shown.map(|shown| shown.is_gone), [true, false]);
    }
}

#[test]
fn where_moments_are_too_close_the_name_decides() {
    let tree = Tree::new();
    let mut processes = Processes::new(tree.path(""), WANTED);
    let now = clock::boot();
    live(&tree, 10, "innocent", "innocent --all", Duration::ZERO);
    let owner = ObservedOwner { seen: now, ..seen(10, "curl", false, Duration::ZERO) };
    assert_eq!(identify(&mut processes, &owner).expect("somebody").cmdline, "");
    let owner = ObservedOwner { seen: now, ..seen(10, "innocent", false, Duration::ZERO) };
    assert_eq!(identify(&mut processes, &owner).expect("somebody").cmdline, "innocent --all");
    let thread = ObservedOwner { seen: now, ..seen(10, "thread", true, Duration::ZERO) };
    assert_eq!(
        identify(&mut processes, &thread).expect("somebody").name,
        "innocent",
        "the process was read at once"
    );
    processes.known.iter_mut().for_each(|known| known.met += SECOND);
    assert_eq!(
        identify(&mut processes, &thread).expect("somebody").name,
        "{thread}",
        "the process was read too late"
    );
}

#[test]
fn a_process_that_was_known_long_before_proves_nothing() {
    let tree = Tree::new();
    let mut processes = Processes::new(tree.path(""), WANTED);
    live(&tree, 10, "server", "server", MINUTE);
    processes.read_now(10);
    end(&tree, 10);
    let mut owner = seen(10, "thread", true, Duration::ZERO);
    owner.seen += SAME * 2;
    let shown = identify(&mut processes, &owner).expect("somebody");
    assert_eq!((&*shown.name, &*shown.cmdline), ("{thread}", ""));
}

#[test]
fn kernel_workers_own_nothing() {
    let tree = Tree::new();
    let mut processes = Processes::new(tree.path(""), WANTED);
    let elsewhere = ObservedOwner { uid: 0, ..seen(0, "kworker/1:3", false, SECOND) };
    assert!(identify(&mut processes, &elsewhere).is_none(), "a PID namespace sees kernel threads as pid 0");
    // PF_KTHREAD shows a kernel thread, whether a hook has read its name or not.
    tree.file(
        "11/stat",
        b"11 (kworker/1:3-events) I 2 0 0 0 -1 69238880 0 0 0 0 0 0 0 0 0 -20 1 0 1 0 0 1\n",
    );
    for name in ["", "kworker/1:3"] {
        assert!(identify(&mut processes, &seen(11, name, false, SECOND)).is_none(), "{name:?}");
        // Any process may have such a name.
        live(&tree, 12, "kworker/1:3", "", MINUTE);
        assert!(identify(&mut processes, &seen(12, name, false, SECOND)).is_some(), "{name:?}");
    }
    assert!(
        identify(&mut processes, &seen(13, "kworker/1:3", false, SECOND)).is_some(),
        "nothing shows what the process was"
    );
}

#[test]
fn one_that_exits_or_only_waits_to_be_buried_is_gone() {
    let tree = Tree::new();
    let mut processes = Processes::new(tree.path(""), WANTED);
    let owner = seen(10, "sshd", false, SECOND);
    live(&tree, 10, "sshd", "sshd", MINUTE);
    let process = processes.identify(&owner, &mut Units::default()).expect("somebody").process;
    assert!(!processes.is_gone(&process, clock::boot()));
    tree.file("10/stat", b"10 (sshd) Z 1 9 9 0 -1 4227084 0 0 0 0 0 0 0 0 20 0 1 0 55 0 0\n");
    assert!(!processes.is_gone(&process, clock::boot()), "the process is not checked again at once");
    processes.known.iter_mut().for_each(|known| known.verified -= RECHECK);
    assert!(processes.is_gone(&process, clock::boot()));
}

#[test]
fn one_that_waits_to_be_buried_still_has_its_name() {
    let tree = Tree::new();
    let mut processes = Processes::new(tree.path(""), WANTED);
    let owner = seen(10, "isc-net-0000", true, SECOND);
    tree.file("10/stat", b"10 (dig) Z 1 9 9 0 -1 4227084 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0\n");
    processes.read_now(10);
    end(&tree, 10);
    let shown = identify(&mut processes, &owner).expect("somebody");
    assert_eq!((&*shown.name, shown.is_gone), ("dig", true));
}

#[test]
fn what_no_row_needs_is_forgotten() {
    let tree = Tree::new();
    let mut processes = Processes::new(tree.path(""), WANTED);
    for pid in 1..=3 {
        live(&tree, pid, "x", "x", MINUTE);
        processes.read_now(pid);
    }
    processes.known.iter_mut().for_each(|known| known.verified -= RECHECK);
    let needed = processes.identity(&seen(2, "x", false, SECOND));
    processes.forget_others([&needed].into_iter());
    assert_eq!(processes.known.iter().map(|known| known.id.0).collect::<Vec<_>>(), [2]);
    assert!(!processes.are_many());
}

impl Processes {
    fn identity(&mut self, owner: &ObservedOwner) -> Process {
        self.identify(owner, &mut Units::default()).expect("somebody").process
    }
}

#[test]
fn without_descriptors_nobody_is_gone() {
    testing::alone("names::processes::tests::without_descriptors_nobody_is_gone", || {
        let tree = Tree::new();
        let mut processes = Processes::new(tree.path(""), WANTED);
        live(&tree, 10, "curl", "curl example.org", MINUTE);
        live(&tree, 11, "wget", "wget example.org", MINUTE);
        let (known, new) = (seen(10, "curl", false, SECOND), seen(11, "wget", false, SECOND));
        let process = processes.identify(&known, &mut Units::default()).expect("somebody").process;
        let age = |known: &mut Known| known.verified = known.verified.saturating_sub(2 * RECHECK);
        processes.known.iter_mut().for_each(age);
        assert_eq!(processes.take_out_of(), None);
        without_opening(|| {
            assert!(!processes.is_gone(&process, clock::boot()));
            assert_eq!(processes.take_out_of(), Some(OutOf::Descriptors));
            assert_eq!(processes.take_out_of(), None);
            assert!(!identify(&mut processes, &known).expect("somebody").is_gone);
            assert_eq!(identify(&mut processes, &new).expect("somebody").name, "wget");
        })
        .expect("setrlimit");
        processes.take_out_of();
        assert!(!processes.is_gone(&process, clock::boot()));
        for (owner, cmdline) in [(known, "curl example.org"), (new, "wget example.org")] {
            assert_eq!(identify(&mut processes, &owner).expect("somebody").cmdline, cmdline);
        }
        assert_eq!(processes.take_out_of(), None);
        end(&tree, 10);
        processes.known.iter_mut().for_each(age);
        assert!(processes.is_gone(&process, clock::boot()), "the process has ended now");
    });
}
