//! `--check`: reports what tcptop needs, whether this host has it, and whether tcptop can run here.

use std::{fmt::Write, fs, os::fd::AsFd, path::Path};

use crate::{
    bpf,
    collector::NetworkCollector,
    confinement::{self, Needs, confine},
    conntrack::{self, ConntrackCollector, ConntrackSettings},
    diag::DiagCollector,
    error::OLDEST,
    exit,
    foreign::Shown,
    platform::Platform,
    privilege,
    proc::Snapshot,
    sys::{self, cgroup::CgroupRoot},
};

/// Column at which the findings begin.
const INDENT: usize = 24;

/// Returns the report, and the exit code that a run would end with.
pub fn report() -> (String, u8) {
    let (release, machine) = sys::kernel::release();
    let (version, kernel, machine) = (env!("CARGO_PKG_VERSION"), Shown::new(&release), Shown::new(&machine));
    let mut text = format!("tcptop {version} on Linux {kernel} {machine}\n");
    let privileged = privilege::sufficient();
    let lacking = privilege::lacking();
    match (privileged, lacking) {
        (true, _) => line(&mut text, true, "privileges", "enough"),
        (false, "root") => line(&mut text, false, "privileges", "run it as root, or with sudo"),
        (false, lacking) => line(&mut text, false, "privileges", &format!("{lacking} missing")),
    }
    let recent = sys::kernel::version(&release).is_none_or(|version| version >= OLDEST);
    let (major, minor) = OLDEST;
    line(&mut text, recent, &format!("Linux {major}.{minor} or later"), &kernel.to_string());
    let outcome = match bpf::has_descriptors() {
        Err(error) => {
            line(&mut text, false, "open files", &error.to_string());
            RunOutcome::Short
        }
        Ok(()) => match (privileged, cgroup(&mut text, privileged)) {
            (true, true) => hooks(&mut text),
            (true, false) => {
                line(&mut text, false, "kernel programs", "not tried without a cgroup v2 tree");
                RunOutcome::Lacks
            }
            (false, _) => {
                unknown(&mut text, "kernel programs", &cannot_tell());
                RunOutcome::Lacks
            }
        },
    };
    let runs = matches!(outcome, RunOutcome::Runs);
    if !runs && let Some(platform) = Platform::detect(Path::new("/")) {
        let _ = writeln!(text, "     {:<width$} {}", "this host", platform.advice(), width = INDENT - 6);
    }
    proc_files(&mut text, Path::new("/proc"));
    let counts_tcp = sock_diag(&mut text);
    let conntrack = connection_tracking(&mut text, Path::new("/proc"));
    let not_needed = not_needed();
    // From here on, this process is confined as a run is.
    confined(&mut text, Needs { bpf: runs, conntrack, ..Needs::default() });
    let _ = writeln!(text, "not needed: {not_needed}");
    let may_fall_back = counts_tcp && (privileged || privilege::is_root());
    text.push_str(match (outcome, may_fall_back) {
        (RunOutcome::Runs, _) => "tcptop can run here.\n",
        (RunOutcome::Short, _) if privileged || privilege::is_root() => {
            "tcptop cannot run here now: there is too little of something.\n"
        }
        (_, true) => "tcptop can run here without BPF: it shows what sock_diag and conntrack give.\n",
        (_, false) if counts_tcp && !privileged => {
            "Without privileges, tcptop can run here with `--collector diag`, which shows TCP. Run this check with them.\n"
        }
        (_, false) if !privileged => "tcptop cannot run here without privileges. Run this check with them.\n",
        (_, false) => "tcptop cannot run here.\n",
    });
    let code = match (outcome, may_fall_back, privileged) {
        (RunOutcome::Runs, ..) => exit::OK,
        (RunOutcome::Short, ..) if privileged || privilege::is_root() => exit::OS,
        (_, true, _) => exit::OK,
        (_, false, true) => exit::UNAVAILABLE,
        (_, false, false) => exit::PRIVILEGES,
    };
    (text, code)
}

/// How a run with the kernel programs would end.
#[derive(Clone, Copy)]
enum RunOutcome {
    /// It runs.
    Runs,
    /// Memory, descriptors or another resource is used up now.
    Short,
    /// The kernel lacks or refuses something that the run needs.
    Lacks,
}

/// Checks sock_diag. Returns true if TCP can be counted without BPF.
fn sock_diag(text: &mut String) -> bool {
    let mut collector = DiagCollector::new();
    match collector.start() {
        Ok(()) => {
            let lacks = lacks(&collector);
            line(text, true, "sock_diag", &format!("without BPF, TCP of this network namespace{lacks}"));
            true
        }
        Err(error) => {
            line(
                text,
                false,
                "sock_diag",
                &format!(
                    "{error} (needed where BPF is refused, and to tell which side opened older connections)"
                ),
            );
            false
        }
    }
}

/// Checks connection tracking. Returns true if a run would show forwarded connections.
fn connection_tracking(text: &mut String, proc: &Path) -> bool {
    if !conntrack::is_available(proc) {
        line(text, false, "conntrack", "not loaded: no forwarded connections");
        return false;
    }
    let settings =
        ConntrackSettings { proc: proc.into(), forwarded: true, local_udp: false, enable_accounting: false };
    let mut collector = ConntrackCollector::new(settings);
    match collector.start() {
        Ok(()) => {
            let forwards = conntrack::forwards(proc);
            let now = if forwards { "" } else { " (this host forwards nothing now)" };
            let lacks = lacks(&collector);
            line(text, true, "conntrack", &format!("forwarded connections{now}{lacks}"));
            forwards
        }
        Err(_) if !privilege::net_admin() => {
            unknown(text, "conntrack", &cannot_tell());
            false
        }
        Err(error) => {
            line(text, false, "conntrack", &format!("{error}: no forwarded connections"));
            false
        }
    }
}

/// Drops the privileges that a run would drop, and reports each step.
fn confined(text: &mut String, needs: Needs) {
    let confinement = confine(needs);
    match &confinement.capabilities {
        Ok(kept) => {
            let kept = confinement::names(*kept);
            line(text, true, "capabilities", &format!("a run keeps {kept}, and drops all others"));
        }
        Err(error) => line(text, false, "capabilities", &format!("cannot be dropped: {error}")),
    }
    match &confinement.no_gains {
        Ok(()) => line(text, true, "no_new_privs", "set: a run gains none by a program that it would start"),
        Err(error) => line(text, false, "no_new_privs", &format!("cannot be set: {error}")),
    }
    match &confinement.filter {
        Ok(true) => line(text, true, "seccomp", "all other system calls fail"),
        Ok(false) => line(
            text,
            false,
            "seccomp",
            "this kernel has no filters of system calls, or tcptop none for this CPU",
        ),
        Err(error) => line(text, false, "seccomp", &format!("cannot be set: {error}")),
    }
    line(
        text,
        false,
        "Landlock",
        "not used: it would hide the open files of other processes, and so the owners",
    );
}

/// Lists what a collector lacks, and what is lost without it.
fn lacks(collector: &dyn NetworkCollector) -> String {
    let lacks =
        collector.missing().iter().map(|missing| format!("; without {}: {}", missing.what, missing.lost));
    lacks.collect()
}

fn line(text: &mut String, met: bool, name: &str, found: &str) {
    answer(text, if met { "yes" } else { "no" }, name, found);
}

/// Appends a line for something that this process cannot find out.
fn unknown(text: &mut String, name: &str, why: &str) {
    answer(text, "?", name, why);
}

fn answer(text: &mut String, answer: &str, name: &str, found: &str) {
    let _ = writeln!(text, "{answer:<4} {name:<width$} {found}", width = INDENT - 6);
}

fn cannot_tell() -> String {
    format!("cannot tell without {}", privilege::lacking())
}

/// Checks for a cgroup v2 tree. Returns true if there is one to attach to.
fn cgroup(text: &mut String, privileged: bool) -> bool {
    let (root, place) = match bpf::root() {
        Ok(found) => found,
        // If no tree is mounted, reaching one takes privileges.
        Err(_) if !privileged => {
            unknown(text, "cgroup v2", &cannot_tell());
            return false;
        }
        Err(error) => {
            line(text, false, "cgroup v2", &error.to_string());
            return false;
        }
    };
    match place {
        CgroupRoot::Mounted(path) => {
            line(text, true, "cgroup v2", &format!("mounted at {}", Shown::new(&path)));
        }
        CgroupRoot::Private => line(text, true, "cgroup v2", "not mounted, and reached without a mount"),
    }
    if !sys::cgroup::is_whole(root.as_fd()) {
        line(text, false, "the cgroup root", bpf::PART);
    }
    true
}

/// Loads and attaches every program for a moment.
fn hooks(text: &mut String) -> RunOutcome {
    let tried = match bpf::try_out() {
        Ok(tried) => tried,
        Err(error) => {
            line(text, false, "bpf(2)", &error.to_string());
            return if error.exit_code() == exit::OS { RunOutcome::Short } else { RunOutcome::Lacks };
        }
    };
    line(text, true, "bpf(2)", &format!("maps for {} connections, and a ring buffer", tried.flows));
    let mut runs = true;
    for (hook, failure) in tried.hooks {
        match failure {
            None => line(text, true, hook.name(), "attached, and detached again"),
            Some(error) => {
                let without = hook.lost.unwrap_or("tcptop cannot run without it");
                line(text, false, hook.name(), &format!("{error}; {without}"));
                runs &= hook.lost.is_some();
            }
        }
    }
    if runs { RunOutcome::Runs } else { RunOutcome::Lacks }
}

/// Reports what /proc shows: older connections and their owners.
fn proc_files(text: &mut String, proc: &Path) {
    match Snapshot::take(proc) {
        Err(error) => {
            let found = format!("{error}: connections older than tcptop appear with their next packet");
            line(text, false, "/proc", &found);
        }
        Ok(snapshot) => {
            line(text, true, "/proc", "connections older than tcptop");
            match snapshot.gaps(proc).of_owners() {
                Some(gap) => line(text, false, "owners", gap),
                // Without a socket, no process was looked at.
                None if snapshot.connections.is_empty() && snapshot.bound().is_empty() => {
                    unknown(text, "owners", "there is no socket now whose process could be looked for");
                }
                None => line(text, true, "owners", "the open files of all processes"),
            }
        }
    }
}

/// Lists what other tools need and tcptop does not, with its state on this host.
fn not_needed() -> String {
    let btf = if Path::new("/sys/kernel/btf/vmlinux").exists() { "BTF (present)" } else { "BTF (absent)" };
    let jit = match fs::read("/proc/sys/net/core/bpf_jit_enable").as_deref() {
        Ok([b'1' | b'2', ..]) => "JIT (on)",
        Ok(_) => "JIT (off)",
        Err(_) => "JIT (absent)",
    };
    let lockdown = bpf::lockdown().unwrap_or_else(|| "none".into());
    format!("{btf}, {jit}, an unlocked kernel (lockdown: {lockdown})")
}
