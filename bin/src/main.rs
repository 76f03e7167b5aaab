//! tcptop: who uses this machine's network, per connection and per process.
//!
//! Data flows one way: `kern` → `abi` → `bpf` → `collector` → `conn` → `columns` → `view` → `output`. `monitor` and `run`
//! carry it, once per interval. Exit codes are decided here and nowhere else.

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
mod view;

use std::{env, io::Write, process::ExitCode};

use args::{CollectorName, Command};
use error::Error;
use run::Stopped;

/// Bytes of stack that this program is sure to do with. Where the limit was less than 32 KiB, a run ended with SIGSEGV.
const STACK: u32 = 256 * 1024;

fn main() -> ExitCode {
    sys::limit::widen_stack(STACK.into());
    obey()
}

/// Does what the arguments say. Its frame is not part of `main`, so that it finds the stack wide enough.
#[inline(never)]
fn obey() -> ExitCode {
    sys::zone::adopt();
    let settings = match args::parse(env::args_os().skip(1)) {
        Ok(Command::Run(settings)) => settings,
        Ok(Command::Check) => return check(),
        Ok(Command::Help) => return print(&args::help()),
        Ok(Command::ShortHelp) => return print(&args::short_help()),
        Ok(Command::Version) => return print(&args::version()),
        Err(error) => return fail(&error, exit::USAGE),
    };
    if !(privilege::sufficient() || privilege::is_root() || settings.collector == CollectorName::Diag) {
        return fail(&Error::Privileges, exit::PRIVILEGES);
    }
    match run::run(*settings) {
        Ok(()) | Err(Stopped::ReaderGone) => ExitCode::SUCCESS,
        Err(Stopped::Over) => ExitCode::from(exit::OVER),
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

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    // Nobody is left to be told when stderr is closed too.
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
