//! The mistakes a user can make on the command line.

use std::{
    ffi::{OsStr, OsString},
    fmt,
};

use super::nearest::nearest;
use crate::{columns::COLUMNS, conn::TcpState, foreign::Shown};

/// Why the arguments were refused. It is displayed as one line that names the argument and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageError {
    /// An option that does not exist.
    UnknownOption {
        /// The option as given, with its dashes.
        option: String,
        /// The option that the user may have meant.
        meant: Option<&'static str>,
    },
    /// A word that may have been meant as the value of the option before it, which takes one only behind `=`.
    DetachedValue {
        /// Long name of the option.
        option: &'static str,
        /// The word as given.
        given: OsString,
    },
    /// An option that needs a value came last.
    MissingValue {
        /// Long name of the option.
        option: &'static str,
        /// Completes "expected ...".
        expected: &'static str,
    },
    /// A switch was given a value, as in `--csv=yes`.
    UnexpectedValue {
        /// Name of the option, as given.
        option: String,
        /// The value given.
        given: OsString,
    },
    /// A value that the option or operand does not accept.
    InvalidValue {
        /// Long name of the option, or the operand's name.
        argument: &'static str,
        /// The value given.
        given: OsString,
        /// Completes "expected ...".
        expected: &'static str,
    },
    /// Two arguments that set the same thing.
    Conflict {
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// What both set.
        both: &'static str,
    },
    /// An option that has no effect without another one.
    Needs {
        /// The option.
        option: &'static str,
        /// The other one.
        needed: &'static str,
    },
    /// A column in which the connections of a group have no common value.
    NotGroupColumn {
        /// Its name.
        column: &'static str,
    },
    /// More operands than tcptop takes.
    UnexpectedArgument {
        /// The first argument that is too many.
        given: OsString,
    },
}

impl std::error::Error for UsageError {}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOption { option, meant: None } => {
                write!(f, "unknown option '{}': see 'tcptop --help'", Shown::new(option))
            }
            Self::UnknownOption { option, meant: Some(meant) } => {
                write!(f, "unknown option '{}': did you mean '{meant}'?", Shown::new(option))
            }
            Self::DetachedValue { option, given } => {
                write!(f, "unexpected argument '{0}': did you mean '{option}={0}'?", Shown::new(given))
            }
            Self::MissingValue { option, expected } => {
                write!(f, "missing value for '{option}': expected {expected}")
            }
            Self::UnexpectedValue { option, given } => {
                let (option, given) = (Shown::new(option), Shown::new(given));
                write!(f, "unexpected value '{given}' for '{option}': expected no value")
            }
            Self::InvalidValue { argument, given, expected } => {
                let shown = Shown::new(given);
                match meant(argument, given) {
                    Some(meant) => {
                        write!(f, "invalid value '{shown}' for '{argument}': did you mean '{meant}'?")
                    }
                    None => write!(f, "invalid value '{shown}' for '{argument}': expected {expected}"),
                }
            }
            Self::Conflict { first, second, both } => {
                write!(f, "'{first}' cannot be used with '{second}': both set {both}, expected one of them")
            }
            Self::Needs { option, needed } => write!(f, "'{option}' needs '{needed}'"),
            Self::NotGroupColumn { column } => {
                write!(
                    f,
                    "column '{column}' is not one of a group: expected the column of '--by', conns, rx_bytes, "
                )?;
                f.write_str("tx_bytes, bytes, rx_rate, tx_rate, rate, time, event or host")
            }
            Self::UnexpectedArgument { given } => {
                write!(
                    f,
                    "unexpected argument '{}': expected at most an interval and a count",
                    Shown::new(given)
                )
            }
        }
    }
}

/// Suggests a value for options that have too many values to list.
fn meant(argument: &str, given: &OsStr) -> Option<&'static str> {
    let given = given.to_str()?.trim_start_matches('-');
    match argument {
        "--columns" | "--sort" => nearest(given, &mut COLUMNS.iter().map(|column| column.name)),
        "--state" => nearest(&given.to_uppercase().replace('-', "_"), &mut TcpState::names()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_that_says_what_was_expected() {
        let expected = "seconds from 0.1 to 3600";
        let cases = [
            (
                UsageError::InvalidValue { argument: "--interval", given: "0".into(), expected },
                "invalid value '0' for '--interval': expected seconds from 0.1 to 3600",
            ),
            (
                UsageError::MissingValue { option: "--interval", expected },
                "missing value for '--interval': expected seconds from 0.1 to 3600",
            ),
            (
                UsageError::UnknownOption { option: "--\u{1b}[2Jx\ny".into(), meant: None },
                "unknown option '--\\x1b[2Jx\\x0ay': see 'tcptop --help'",
            ),
            (
                UsageError::UnexpectedValue { option: "--csv".into(), given: "yes".into() },
                "unexpected value 'yes' for '--csv': expected no value",
            ),
            (
                UsageError::Conflict { first: "--once", second: "--count", both: "the number of reports" },
                "'--once' cannot be used with '--count': both set the number of reports, expected one of them",
            ),
            (UsageError::Needs { option: "--keep", needed: "--max-size" }, "'--keep' needs '--max-size'"),
            (
                UsageError::UnexpectedArgument { given: "zürich".into() },
                "unexpected argument 'zürich': expected at most an interval and a count",
            ),
        ];
        for (error, line) in cases {
            assert_eq!(error.to_string(), line);
        }
    }
}
