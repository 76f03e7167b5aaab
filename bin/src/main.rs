//! tcptop: who uses this machine's network, per connection and per process.
//!
//! Data flows one way: `kern` → `abi` → `bpf` → `collector` → `conn` → `columns` → `view` → `output`. Once per
//! interval, `monitor` and `run` move it along. Only this file decides the exit code.

mod args;
mod bpf;
mod check;
mod collector;
mod columns;
mod confinement;
mod conn;
mod conntrack;
mod diag;
mod error;
mod exit;
mod foreign;
mod monitor;
mod names;
mod output;
mod platform;
mod privilege;
mod proc;
mod run;
mod sys;
#[cfg(test)]
mod testing;
mod unpack;
mod view;

use std::{env, io::Write, process::ExitCode};

use args::Command;
use error::Error;
use run::Stopped;
use sys::{
    capability,
    signal::{self, HANGUP, Signals},
};

/// Stack that tcptop asks for, in bytes. A run takes 26 KiB; a debug build takes four times as much.
const STACK: u32 = 256 * 1024;

fn main() -> ExitCode {
    if sys::limit::widen_stack(STACK.into()) {
        return run_command();
    }
    // The limit cannot be raised, so a thread with its own stack does the work and this one waits for it. The signals
    // are blocked here first, and the thread inherits that; they stay blocked after the descriptor is closed. This
    // thread then drops all its capabilities. It gets the system call filter together with the other thread.
    let block = || drop(Signals::new(signal::stops().chain([HANGUP]).chain(run::TERMINAL_SIGNALS)));
    block();
    let give_up = || {
        // pthread_create(3) has unblocked the signals that the C library keeps for itself.
        block();
        drop(capability::keep_only(0));
    };
    sys::stack::call_with(STACK as usize, run_command, give_up).unwrap_or_else(|error| fail(&error, exit::OS))
}

/// Parses the arguments and runs the command. It is a function of its own because the frame of `main` must fit a small
/// stack.
#[inline(never)]
fn run_command() -> ExitCode {
    sys::zone::adopt();
    foreign::charset::adopt();
    let settings = match args::parse(env::args_os().skip(1)) {
        Ok(Command::Run(settings)) => settings,
        Ok(Command::Check) => return check(),
        Ok(Command::Help) => return print_help(args::help()),
        Ok(Command::ShortHelp) => return print_help(args::short_help()),
        Ok(Command::Version) => return print(&args::version()),
        Err(error) => return fail(&error, exit::USAGE),
    };
    if !(privilege::sufficient() || privilege::is_root() || !settings.collector.tries_bpf()) {
        return fail(&Error::Privileges, exit::PRIVILEGES);
    }
    match run::run(*settings) {
        Ok(()) | Err(Stopped::ReaderGone) => ExitCode::SUCCESS,
        Err(Stopped::RateExceeded) => ExitCode::from(exit::OVER),
        Err(Stopped::Output(error)) => fail(&error, exit::OUTPUT),
        Err(Stopped::Dropped(count)) => {
            let _ = writeln!(std::io::stderr(), "error: {count} reports could not be written");
            ExitCode::from(exit::OUTPUT)
        }
        Err(Stopped::Failed(error)) => fail(&error, error.exit_code()),
    }
}

fn check() -> ExitCode {
    let (report, code) = check::report();
    let printed = print(&report);
    if printed == ExitCode::SUCCESS { ExitCode::from(code) } else { printed }
}

fn print_help(text: Option<String>) -> ExitCode {
    text.map_or_else(|| fail(&Error::DamagedProgram, Error::DamagedProgram.exit_code()), |text| print(&text))
}

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    // If stderr is closed too, there is nowhere left to report the error.
    let _ = writeln!(std::io::stderr(), "error: {error}");
    ExitCode::from(code)
}

fn print(text: &str) -> ExitCode {
    match sys::standard::stdout().and_then(|mut stdout| stdout.write_all(text.as_bytes())) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let _ = writeln!(std::io::stderr(), "error: cannot write to standard output: {error}");
            ExitCode::from(exit::OUTPUT)
        }
        _ => ExitCode::SUCCESS,
    }
}
