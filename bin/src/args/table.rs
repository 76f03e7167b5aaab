//! The one table of options and operands. The parser, the help and the error messages read it; to add an option, add
//! a row, an `Id`, and the arm in `parse` that the compiler then asks for.

/// What an option means to the parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    Once,
    Interval,
    Count,
    Csv,
    Closed,
    Total,
    Output,
    Check,
    Help,
    Version,
}

/// Sections of the help, in the order they are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Timing,
    Reports,
    General,
}

/// Every group with its title.
pub const GROUPS: [(Group, &str); 3] =
    [(Group::Timing, "Timing"), (Group::Reports, "Reports"), (Group::General, "General")];

/// The value that an option or operand takes.
#[derive(Debug)]
pub struct Value {
    /// Placeholder in the help.
    pub name: &'static str,
    /// Completes "expected ...".
    pub expected: &'static str,
}

/// One option.
#[derive(Debug)]
pub struct Opt {
    /// Its meaning.
    pub id: Id,
    /// Letter after one dash.
    pub short: Option<char>,
    /// Word with its two dashes.
    pub long: &'static str,
    /// `None`: a switch.
    pub value: Option<Value>,
    /// Section of the help.
    pub group: Group,
    /// What it does, one sentence, no full stop.
    pub help: &'static str,
}

/// One argument known by its position.
#[derive(Debug)]
pub struct Operand {
    /// Its value; the name is the operand's own.
    pub value: Value,
    /// What it does.
    pub help: &'static str,
}

const SECONDS: &str = "seconds from 0.1 to 3600";
const REPORTS: &str = "a whole number, 1 or more";

/// Every option.
pub static OPTIONS: [Opt; 10] = [
    Opt {
        id: Id::Once,
        short: Some('1'),
        long: "--once",
        value: None,
        group: Group::Timing,
        help: "Print one report after one interval, then exit",
    },
    Opt {
        id: Id::Interval,
        short: Some('d'),
        long: "--interval",
        value: Some(Value { name: "SECONDS", expected: SECONDS }),
        group: Group::Timing,
        help: "Time between reports, 0.1 to 3600, decimals allowed [default: 1]",
    },
    Opt {
        id: Id::Count,
        short: Some('n'),
        long: "--count",
        value: Some(Value { name: "N", expected: REPORTS }),
        group: Group::Timing,
        help: "Exit after N reports [default: run until interrupted]",
    },
    Opt {
        id: Id::Csv,
        short: None,
        long: "--csv",
        value: None,
        group: Group::Reports,
        help: "Print comma-separated values: a header line, then one row per active connection and interval",
    },
    Opt {
        id: Id::Closed,
        short: None,
        long: "--closed",
        value: None,
        group: Group::Reports,
        help: "Also print each connection that ended in the interval, once, with its final totals; in text its \
               protocol has a minus in front",
    },
    Opt {
        id: Id::Total,
        short: None,
        long: "--total",
        value: None,
        group: Group::Reports,
        help: "In CSV, end each report with a row `total`: the bytes of all connections in the interval",
    },
    Opt {
        id: Id::Output,
        short: Some('o'),
        long: "--output",
        value: Some(Value { name: "FILE", expected: "a file name (to begin it with '-', write './-')" }),
        group: Group::Reports,
        help: "Append reports to FILE instead of standard output ('-' is standard output)",
    },
    Opt {
        id: Id::Check,
        short: None,
        long: "--check",
        value: None,
        group: Group::General,
        help: "Try what tcptop needs on this host, tell what is there and what is missing, then exit",
    },
    Opt {
        id: Id::Help,
        short: Some('h'),
        long: "--help",
        value: None,
        group: Group::General,
        help: "Print this help, then exit",
    },
    Opt {
        id: Id::Version,
        short: Some('V'),
        long: "--version",
        value: None,
        group: Group::General,
        help: "Print the version, then exit",
    },
];

/// The operands, in order; each is optional. The form is that of bcc's tools and of vmstat.
pub static OPERANDS: [Operand; 2] = [
    Operand { value: Value { name: "interval", expected: SECONDS }, help: "The same as --interval" },
    Operand { value: Value { name: "count", expected: REPORTS }, help: "The same as --count" },
];

/// The option with this letter.
pub fn by_short(letter: char) -> Option<&'static Opt> {
    OPTIONS.iter().find(|opt| opt.short == Some(letter))
}

/// The option with this word, given without its dashes.
pub fn by_long(word: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|opt| opt.long.strip_prefix("--") == Some(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_taken_twice() {
        for (at, opt) in OPTIONS.iter().enumerate() {
            for other in &OPTIONS[at + 1..] {
                assert_ne!(opt.id, other.id);
                assert_ne!(opt.long, other.long);
                assert!(opt.short.is_none() || opt.short != other.short, "{:?}", opt.short);
            }
        }
    }

    #[test]
    fn rows_are_well_formed() {
        for opt in &OPTIONS {
            let word = opt.long.strip_prefix("--").expect("two dashes");
            assert!(word.len() > 1 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{word}");
            assert!(opt.short.is_none_or(|letter| letter.is_ascii_alphanumeric()), "{word}");
            assert!(!opt.help.is_empty() && !opt.help.ends_with('.'), "{word}");
            assert!(
                opt.value.as_ref().is_none_or(|v| !v.name.is_empty() && !v.expected.is_empty()),
                "{word}"
            );
            assert_eq!(by_long(word).map(|found| found.id), Some(opt.id));
            if let Some(letter) = opt.short {
                assert_eq!(by_short(letter).map(|found| found.id), Some(opt.id));
            }
        }
        assert!(by_long("interva").is_none(), "no abbreviations: they would break when an option is added");
        assert!(by_long("").is_none());
    }

    #[test]
    fn every_group_is_titled_and_used() {
        for (group, _) in GROUPS {
            assert!(OPTIONS.iter().any(|opt| opt.group == group), "{group:?}");
        }
        for opt in &OPTIONS {
            assert_eq!(GROUPS.iter().filter(|(group, _)| *group == opt.group).count(), 1);
        }
    }
}
