//! `--check`: reports what tcptop needs, whether this host has it, and whether tcptop can run here.

mod collectors;
mod finding;
mod programs;

use std::{fmt::Write, fs, path::Path};

use self::finding::{INDENT, cannot_tell, line, unknown};
use crate::{
    bpf,
    confinement::{self, Needs, confine},
    error::OLDEST,
    exit,
    foreign::Shown,
    platform::Platform,
    privilege,
    proc::Snapshot,
    sys,
};

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
        Ok(()) => match (privileged, programs::cgroup(&mut text, privileged)) {
            (true, true) => programs::hooks(&mut text),
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
    let counts_tcp = collectors::sock_diag(&mut text);
    let conntrack = collectors::connection_tracking(&mut text, Path::new("/proc"));
    let not_needed = not_needed();
    // From here on, this process is confined as a run is.
    confined(&mut text, Needs { bpf: runs, conntrack, ..Needs::default() });
    let _ = writeln!(text, "not needed: {not_needed}");
    let may_fall_back = counts_tcp && (privileged || privilege::is_root());
    let without = if privileged { "BPF" } else { lacking };
    let [begin, without, end] = match (outcome, may_fall_back) {
        (RunOutcome::Runs, _) => ["tcptop can run here.\n", "", ""],
        (RunOutcome::Short, _) if privileged || privilege::is_root() => {
            ["tcptop cannot run here now: there is too little of something.\n", "", ""]
        }
        (_, true) => {
            ["tcptop can run here without ", without, ": it shows what sock_diag and conntrack give.\n"]
        }
        (_, false) if counts_tcp && !privileged => [
            "Without ",
            without,
            ", tcptop can run here with `--collector diag`, which shows TCP. Run this check with more privileges.\n",
        ],
        (_, false) if !privileged => {
            ["tcptop cannot run here without ", without, ". Run this check with more privileges.\n"]
        }
        (_, false) => ["tcptop cannot run here.\n", "", ""],
    };
    let _ = write!(text, "{begin}{without}{end}");
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
