//! Parses raw arguments one by one.
//!
//! If an option is given twice, its last value counts, so that an alias can be overridden. Two different arguments that
//! set the same thing (`--once` and `--count`, `-d` and the operand `interval`) are an error, whatever their values.
//! `--help` and `--version` take effect at once; whatever follows them is not read.

use std::ffi::{OsStr, OsString};

use lexopt::Arg;

use super::{
    Settings, UsageError,
    arguments::Arguments,
    id::OptionId,
    nearest::nearest,
    options::{OPERANDS, OPTIONS, by_long, by_short},
    read,
    table::{ArgumentValue, Opt},
};
use crate::{
    conn::Protocol,
    view::{Choice, Pattern},
};

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Watch connections and print reports.
    Run(Box<Settings>),
    /// Check whether tcptop can run on this host.
    Check,
    /// Print the whole help.
    Help,
    /// Print the short help.
    ShortHelp,
    /// Print the version.
    Version,
}

/// Parses the arguments that follow the program's name.
///
/// # Errors
///
/// Returns the first mistake in the order of the arguments. Contradictions between arguments are looked for last.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut arguments = Arguments::default();
    // The previous option, if it takes an optional value behind `=`.
    let mut after = None;
    loop {
        let (opt, name) = match parser.next().map_err(mistake)? {
            None => {
                let check = arguments.check;
                let settings = arguments.validate()?;
                return Ok(if check { Command::Check } else { Command::Run(Box::new(settings)) });
            }
            Some(Arg::Short(letter)) => (by_short(letter), format!("-{letter}")),
            Some(Arg::Long(word)) => (by_long(word), format!("--{word}")),
            Some(Arg::Value(value)) => {
                arguments.operand(value, after.take())?;
                continue;
            }
        };
        let Some(opt) = opt else { return Err(unknown(name)) };
        match opt.id {
            OptionId::Help if name == "-h" => return Ok(Command::ShortHelp),
            OptionId::Help => return Ok(Command::Help),
            OptionId::Version => return Ok(Command::Version),
            _ => arguments.option(opt, &mut parser)?,
        }
        after = Some(opt).filter(|opt| opt.value.as_ref().is_some_and(|value| value.optional));
    }
}

impl Arguments {
    /// Stores an option and its value.
    fn option(&mut self, opt: &'static Opt, parser: &mut lexopt::Parser) -> Result<(), UsageError> {
        match opt.id {
            OptionId::Help | OptionId::Version => {}
            OptionId::Check => self.check = true,
            OptionId::Once => self.once = true,
            OptionId::Interval => self.interval = Some(value(parser, opt, read::interval)?),
            OptionId::Count => self.count = Some(value(parser, opt, read::reports)?),
            OptionId::Pid => self.filter.pids = choice(parser, opt, read::pid)?,
            OptionId::Comm => self.filter.names = patterns(parser, opt, read::name)?,
            OptionId::Port => self.filter.ports = choice(parser, opt, read::ports)?,
            OptionId::LocalPort => self.filter.local_ports = choice(parser, opt, read::ports)?,
            OptionId::RemotePort => self.filter.remote_ports = choice(parser, opt, read::ports)?,
            OptionId::Addr => self.filter.networks = choice(parser, opt, read::network)?,
            OptionId::NoLoopback => self.no_loopback = true,
            OptionId::Tcp => self.filter.protocols.push(Protocol::Tcp),
            OptionId::Udp => self.filter.protocols.push(Protocol::Udp),
            OptionId::V4 => self.filter.v4.push(true),
            OptionId::V6 => self.filter.v4.push(false),
            OptionId::State => self.filter.states = choice(parser, opt, read::state)?,
            OptionId::Direction => self.filter.openers = vec![value(parser, opt, read::direction)?],
            OptionId::Device => self.filter.interfaces = patterns(parser, opt, read::pattern)?,
            OptionId::Listen => self.listen = true,
            OptionId::Traffic => self.traffic = Some(value(parser, opt, read::traffic)?),
            OptionId::Sort => self.order = Some(value(parser, opt, read::order)?),
            OptionId::Rows => self.rows = Some(value(parser, opt, read::rows)?),
            OptionId::By => self.by = Some(value(parser, opt, read::group)?),
            OptionId::SinceStart => self.since_start = true,
            OptionId::Csv => self.csv = true,
            OptionId::Closed => {
                self.closed = true;
                self.only_closed = match parser.optional_value() {
                    None => false,
                    Some(given) => read::only(&given).ok_or_else(|| invalid(opt, &given))?,
                };
            }
            OptionId::Total => self.total = true,
            OptionId::Quiet => self.quiet = true,
            OptionId::Columns => {
                let given = given_value(parser, opt)?;
                let columns = read::list(&given, read::column);
                self.columns = Some(columns.map_err(|item| invalid(opt, item))?);
            }
            OptionId::Wide => self.wide = true,
            OptionId::Bytes => self.bytes = true,
            OptionId::Bits => self.bits = true,
            OptionId::MinRate => self.min_rate = Some(value(parser, opt, read::rate)?),
            OptionId::ExitOver => self.exit_over = Some(value(parser, opt, read::rate)?),
            OptionId::Host => {
                self.shows_host = true;
                self.host = parser.optional_value();
            }
            OptionId::NoHeader => self.no_header = true,
            OptionId::NoClear => self.no_clear = true,
            OptionId::Time => self.time = Some(value(parser, opt, read::time)?),
            OptionId::Cmdline => self.cmdline = true,
            OptionId::User => {
                self.user = true;
                self.filter.users = optional_choice(parser, opt, read::user)?;
            }
            OptionId::Unit => {
                self.unit = true;
                self.filter.units = optional_choice(parser, opt, read::pattern)?;
            }
            OptionId::Output => self.output = Some(value(parser, opt, read::file)?),
            OptionId::MaxSize => self.max_size = Some(value(parser, opt, read::size)?),
            OptionId::Keep => self.keep = Some(value(parser, opt, read::keep)?),
            OptionId::UdpTimeout => self.udp_timeout = Some(value(parser, opt, read::udp_timeout)?),
            OptionId::Collector => self.collector = value(parser, opt, read::collector)?,
            OptionId::EnableAcct => self.enable_accounting = true,
            OptionId::Flows => self.flows = Some(value(parser, opt, read::flows)?),
        }
        Ok(())
    }

    /// Stores the next operand. `after` is the option before it if it takes an optional value: the user may have meant
    /// the operand as that value.
    fn operand(&mut self, given: OsString, after: Option<&'static Opt>) -> Result<(), UsageError> {
        let [interval, count] = &OPERANDS;
        let fails = |value: &'static ArgumentValue, given| match after {
            Some(opt) => UsageError::DetachedValue { option: opt.long, given },
            None => UsageError::InvalidValue { argument: value.name, given, expected: value.expected },
        };
        if self.operand_interval.is_none() {
            self.operand_interval = read::interval(&given);
            self.operand_interval.map(|_| ()).ok_or_else(|| fails(&interval.value, given))
        } else if self.operand_count.is_none() {
            self.operand_count = read::reports(&given);
            self.operand_count.map(|_| ()).ok_or_else(|| fails(&count.value, given))
        } else {
            Err(UsageError::UnexpectedArgument { given })
        }
    }
}

/// Reads the value of `opt` and checks it.
fn value<T>(
    parser: &mut lexopt::Parser,
    opt: &'static Opt,
    read: fn(&OsStr) -> Option<T>,
) -> Result<T, UsageError> {
    let given = given_value(parser, opt)?;
    read(&given).ok_or_else(|| invalid(opt, &given))
}

/// Reads a list, in which `!` excludes an item.
fn choice<T>(
    parser: &mut lexopt::Parser,
    opt: &'static Opt,
    read: fn(&OsStr) -> Option<T>,
) -> Result<Choice<T>, UsageError> {
    let given = given_value(parser, opt)?;
    read::choice(&given, read).map_err(|item| invalid(opt, item))
}

/// Reads a list of patterns. Several options share this function, which keeps the binary small.
#[inline(never)]
fn patterns(
    parser: &mut lexopt::Parser,
    opt: &'static Opt,
    read: fn(&OsStr) -> Option<Pattern>,
) -> Result<Choice<Pattern>, UsageError> {
    choice(parser, opt, read)
}

/// Reads the list behind `=`, if there is one.
fn optional_choice(
    parser: &mut lexopt::Parser,
    opt: &'static Opt,
    read: fn(&OsStr) -> Option<Pattern>,
) -> Result<Choice<Pattern>, UsageError> {
    let given = parser.optional_value();
    given.map_or(Ok(Choice::default()), |given| read::choice(&given, read).map_err(|item| invalid(opt, item)))
}

fn given_value(parser: &mut lexopt::Parser, opt: &'static Opt) -> Result<OsString, UsageError> {
    let missing = |_| UsageError::MissingValue { option: opt.long, expected: expected(&opt.value) };
    parser.value().map_err(missing)
}

fn invalid(opt: &'static Opt, given: &OsStr) -> UsageError {
    UsageError::InvalidValue { argument: opt.long, given: given.into(), expected: expected(&opt.value) }
}

fn expected(takes: &'static Option<ArgumentValue>) -> &'static str {
    takes.as_ref().map_or("no value", |takes| takes.expected)
}

/// Translates lexopt's errors. A missing value never gets here: `value` reports it, because it knows the option.
fn mistake(error: lexopt::Error) -> UsageError {
    match error {
        lexopt::Error::UnexpectedValue { option, value } => {
            UsageError::UnexpectedValue { option, given: value }
        }
        lexopt::Error::UnexpectedOption(option) => unknown(option),
        other => unknown(other.to_string()),
    }
}

/// Returns the error for an option that does not exist.
fn unknown(option: String) -> UsageError {
    let meant = nearest(&option, &mut OPTIONS.iter().map(|opt| opt.long));
    UsageError::UnknownOption { option, meant }
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
