//! The help texts, made from the tables of options and columns for a terminal of 80 columns.

use super::super::{
    id::OptionId,
    options::{OPERANDS, OPTIONS},
    table::{GROUPS, Opt},
};
use crate::{columns::COLUMNS, exit};

/// Width of the help, in columns.
const WIDTH: usize = 80;
/// Column at which descriptions begin.
const INDENT: usize = 27;

/// What the program shows, in one line.
pub const SUMMARY: &str = "Who uses this machine's network, per connection and per process.";

/// Title of the section that lists the columns.
const COLUMNS_TITLE: &str = "Columns (`-` on a screen: not known, or nothing moved since tcptop began)";

/// Commands with what they show.
pub const EXAMPLES: [(&str, &str); 9] = [
    ("tcptop", "Repaint the busiest connections every second; q ends it"),
    ("tcptop --once", "One report over one second"),
    ("tcptop 5 12", "Twelve reports, five seconds each"),
    ("tcptop --by process", "Which process uses the network"),
    ("tcptop -s tx_rate -D 443", "Who sends most to port 443"),
    ("tcptop -a 192.168.1.0/24 --user", "Connections with the local network, and whose they are"),
    ("tcptop --closed=only", "Connections as they end, and how long they lasted"),
    (
        "tcptop --csv --closed -d 60 -o /var/log/tcptop.csv --max-size 1M",
        "Log every minute what was active and what ended",
    ),
    ("tcptop --csv -q -n 1 -d 10", "The sums of ten seconds, as one row"),
];

/// Options in the short help that have no letter.
const FREQUENT: [OptionId; 7] = [
    OptionId::NoLoopback,
    OptionId::Direction,
    OptionId::By,
    OptionId::Csv,
    OptionId::Closed,
    OptionId::Columns,
    OptionId::User,
];

/// Returns the text that `-h` prints: options that have a letter or are used often.
pub fn short_help() -> String {
    let mut text = begin();
    for opt in OPTIONS.iter().filter(|opt| opt.short.is_some() || FREQUENT.contains(&opt.id)) {
        entry(&mut text, &names(opt), opt.brief);
    }
    text.push_str("\ntcptop --help lists all options, the columns, examples and the exit status.\n");
    text
}

/// Returns the text that `--help` prints.
pub fn help() -> String {
    let mut text = begin();
    for operand in &OPERANDS {
        entry(&mut text, &format!("  {}", operand.value.name), operand.help);
    }
    for (group, title) in GROUPS {
        section(&mut text, title);
        for opt in OPTIONS.iter().filter(|opt| opt.group == group) {
            entry(&mut text, &names(opt), &opt.description());
        }
    }
    section(&mut text, COLUMNS_TITLE);
    for column in COLUMNS {
        entry(&mut text, &format!("  {}", column.name), column.help);
    }
    section(&mut text, "Examples");
    for (command, answer) in EXAMPLES {
        entry(&mut text, &format!("  {command}"), answer);
    }
    section(&mut text, "Exit status");
    for (status, meaning) in exit::TABLE {
        entry(&mut text, &format!("  {status}"), meaning);
    }
    text
}

/// Starts a help text with the summary and the usage line.
fn begin() -> String {
    let mut text = String::with_capacity(8192);
    text.push_str(SUMMARY);
    text.push_str("\n\nUsage: tcptop [options]");
    for operand in &OPERANDS {
        text.push_str(" [");
        text.push_str(operand.value.name);
    }
    text.push_str(&"]".repeat(OPERANDS.len()));
    text.push_str("\n\n");
    text
}

/// Formats the names of an option: `  -d, --interval SECONDS`.
fn names(opt: &Opt) -> String {
    let mut names = match opt.short {
        Some(letter) => format!("  -{letter}, {}", opt.long),
        None => format!("      {}", opt.long),
    };
    if let Some(takes) = &opt.value {
        if !takes.optional {
            names.push(' ');
        }
        names.push_str(takes.name);
    }
    names
}

fn section(text: &mut String, title: &str) {
    text.push('\n');
    text.push_str(title);
    text.push_str(":\n");
}

/// Appends a term with its description wrapped beside it. The description starts on the next line if the term is long.
fn entry(text: &mut String, term: &str, description: &str) {
    text.push_str(term);
    let mut column = term.len();
    if column + 2 > INDENT {
        text.push('\n');
        column = 0;
    }
    let mut first = true;
    for word in description.split_whitespace() {
        if !first && column + 1 + word.len() > WIDTH {
            text.push('\n');
            column = 0;
            first = true;
        }
        let gap = if first { INDENT - column } else { 1 };
        text.extend(std::iter::repeat_n(' ', gap));
        text.push_str(word);
        column += gap + word.len();
        first = false;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_every_option_and_fits_80_columns() {
        let text = help();
        let short = short_help();
        for line in short.lines() {
            assert!(line.len() <= WIDTH, "wider than {WIDTH} columns: {line:?}");
        }
        for word in ["--by", "--csv", "--closed", "--columns", "--pid"] {
            assert!(short.contains(word), "{word}");
        }
        for opt in OPTIONS {
            assert_eq!(text.lines().filter(|line| line.starts_with(&names(opt))).count(), 1, "{}", opt.long);
        }
        for line in text.lines() {
            let is_plain = line.is_ascii() && line == line.trim_end();
            assert!(
                line.len() <= WIDTH && is_plain,
                "wider than {WIDTH} columns, or not plain ASCII: {line:?}"
            );
        }
        assert!(text.contains("\nUsage: tcptop [options] [interval [count]]\n"));
        assert!(text.contains("\n  77                       Missing privileges"), "{text}");
    }

    #[test]
    fn long_descriptions_are_wrapped_beside_their_term() {
        let mut text = String::new();
        entry(&mut text, "  -x", "a very long description that needs more than one line of eighty columns");
        assert_eq!(
            text,
            "  -x                       a very long description that needs more than one line\n                           of eighty columns\n"
        );
    }

    #[test]
    fn examples_parse() {
        for (command, _) in EXAMPLES {
            let ours = command.split(" | ").next().expect("a command").split_whitespace().skip(1);
            assert!(crate::args::parse(ours.map(Into::into)).is_ok(), "{command}");
        }
    }
}
