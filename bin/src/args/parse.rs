//! From raw arguments to validated settings.
//!
//! An option given twice takes its last value, so that an alias can be overridden. Two different arguments that set
//! the same thing (`--once` and `--count`, `-d` and the operand `interval`) are an error, whatever their values.
//! `--help` and `--version` win over everything that follows them.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    time::Duration,
};

use lexopt::Arg;

use super::{
    UsageError,
    table::{Id, OPERANDS, Opt, Value, by_long, by_short},
};

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Report.
    Run(Settings),
    /// Tell whether this host has what it takes.
    Check,
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// How to report. Valid by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Time between reports, 0.1 s to 3600 s.
    pub interval: Duration,
    /// Reports before the exit, at least 1; `None`: until interrupted.
    pub count: Option<u64>,
    /// Comma-separated values instead of text.
    pub csv: bool,
    /// Also print connections that ended.
    pub closed: bool,
    /// CSV: also print the sum of each interval.
    pub total: bool,
    /// File to append to; `None`: standard output.
    pub output: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            count: None,
            csv: false,
            closed: false,
            total: false,
            output: None,
        }
    }
}

/// Parses the arguments that follow the program's name.
///
/// # Errors
///
/// The first mistake, in the order of the arguments; contradictions between arguments come last.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut given = Given::default();
    loop {
        let (opt, name) = match parser.next().map_err(mistake)? {
            None => {
                let check = given.check;
                let settings = given.settle()?;
                return Ok(if check { Command::Check } else { Command::Run(settings) });
            }
            Some(Arg::Short(letter)) => (by_short(letter), format!("-{letter}")),
            Some(Arg::Long(word)) => (by_long(word), format!("--{word}")),
            Some(Arg::Value(value)) => {
                given.operand(value)?;
                continue;
            }
        };
        let opt = opt.ok_or(UsageError::UnknownOption { option: name })?;
        match opt.id {
            Id::Help => return Ok(Command::Help),
            Id::Version => return Ok(Command::Version),
            Id::Check => given.check = true,
            Id::Once => given.once = true,
            Id::Csv => given.csv = true,
            Id::Closed => given.closed = true,
            Id::Total => given.total = true,
            Id::Interval => given.interval = Some(value(&mut parser, opt, seconds)?),
            Id::Count => given.count = Some(value(&mut parser, opt, reports)?),
            Id::Output => given.output = Some(value(&mut parser, opt, file)?),
        }
    }
}

/// The arguments as they were given, each checked by itself.
#[derive(Default)]
struct Given {
    check: bool,
    once: bool,
    interval: Option<Duration>,
    count: Option<u64>,
    csv: bool,
    closed: bool,
    total: bool,
    output: Option<Destination>,
    operand_interval: Option<Duration>,
    operand_count: Option<u64>,
}

/// Where `--output` leads.
enum Destination {
    Stdout,
    File(PathBuf),
}

impl Given {
    /// Takes the next operand.
    fn operand(&mut self, given: OsString) -> Result<(), UsageError> {
        let [interval, count] = &OPERANDS;
        if self.operand_interval.is_none() {
            self.operand_interval = Some(check(interval.value.name, &interval.value, given, seconds)?);
        } else if self.operand_count.is_none() {
            self.operand_count = Some(check(count.value.name, &count.value, given, reports)?);
        } else {
            return Err(UsageError::UnexpectedArgument { given });
        }
        Ok(())
    }

    /// Finds contradictions, fills in defaults.
    fn settle(self) -> Result<Settings, UsageError> {
        let [interval, count] = [OPERANDS[0].value.name, OPERANDS[1].value.name];
        let number = "the number of reports";
        let conflicts = [
            (self.once && self.count.is_some(), "--once", "--count", number),
            (self.once && self.operand_count.is_some(), "--once", count, number),
            (self.count.is_some() && self.operand_count.is_some(), "--count", count, number),
            (
                self.interval.is_some() && self.operand_interval.is_some(),
                "--interval",
                interval,
                "the time between reports",
            ),
        ];
        if let Some((_, first, second, both)) = conflicts.into_iter().find(|(found, ..)| *found) {
            return Err(UsageError::Conflict { first, second, both });
        }
        let default = Settings::default();
        Ok(Settings {
            interval: self.interval.or(self.operand_interval).unwrap_or(default.interval),
            count: if self.once { Some(1) } else { self.count.or(self.operand_count) },
            csv: self.csv,
            closed: self.closed,
            total: self.total,
            output: match self.output {
                Some(Destination::File(path)) => Some(path),
                Some(Destination::Stdout) | None => None,
            },
        })
    }
}

/// Fetches and checks the value of `opt`.
fn value<T>(
    parser: &mut lexopt::Parser,
    opt: &'static Opt,
    read: fn(&OsStr) -> Option<T>,
) -> Result<T, UsageError> {
    let Some(takes) = &opt.value else { unreachable!("{} is a switch in the table", opt.long) };
    let given = parser
        .value()
        .map_err(|_| UsageError::MissingValue { option: opt.long, expected: takes.expected })?;
    check(opt.long, takes, given, read)
}

/// Checks one value.
fn check<T>(
    argument: &'static str,
    takes: &'static Value,
    given: OsString,
    read: fn(&OsStr) -> Option<T>,
) -> Result<T, UsageError> {
    read(&given).ok_or(UsageError::InvalidValue { argument, given, expected: takes.expected })
}

/// Digits with at most one point; 0.1 to 3600. What is finer than a nanosecond is dropped.
fn seconds(given: &OsStr) -> Option<Duration> {
    let text = given.to_str()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = nanos.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    let interval = Duration::new(whole, nanos);
    (Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&interval).then_some(interval)
}

/// Digits; 1 or more. A number beyond 64 bits never ends, like the largest one.
fn reports(given: &OsStr) -> Option<u64> {
    let text = given.to_str()?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX)).filter(|count| *count > 0)
}

/// A name, or `-`. A name that begins with a dash is taken for an option whose predecessor lacks its value.
fn file(given: &OsStr) -> Option<Destination> {
    match given.as_encoded_bytes() {
        b"" => None,
        b"-" => Some(Destination::Stdout),
        [b'-', ..] => None,
        _ => Some(Destination::File(given.into())),
    }
}

/// lexopt's own errors, in our words. A missing value does not come this way: `value` knows the option.
fn mistake(error: lexopt::Error) -> UsageError {
    match error {
        lexopt::Error::UnexpectedValue { option, value } => {
            UsageError::UnexpectedValue { option, given: value }
        }
        lexopt::Error::UnexpectedOption(option) => UsageError::UnknownOption { option },
        other => UsageError::UnknownOption { option: other.to_string() },
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
