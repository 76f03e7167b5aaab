//! What a row of the table of options is made of.

use super::id::OptionId;

/// Sections of the help, in the order they are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionGroup {
    Timing,
    Which,
    Order,
    Form,
    Names,
    Log,
    General,
}

/// Every group with its title.
pub const GROUPS: [(OptionGroup, &str); 7] = [
    (OptionGroup::Timing, "Timing"),
    (OptionGroup::Which, "Which connections (all of these must match; of a LIST one item; !ITEM excludes)"),
    (OptionGroup::Order, "Order and amount"),
    (OptionGroup::Form, "Form"),
    (OptionGroup::Names, "Names"),
    (OptionGroup::Log, "Log files"),
    (OptionGroup::General, "General"),
];

/// The value that an option or operand takes.
#[derive(Debug)]
pub struct ArgumentValue {
    /// Placeholder in the help.
    pub name: &'static str,
    /// It may be left out, and is given behind `=` only.
    pub optional: bool,
    /// Completes "expected ...".
    pub expected: &'static str,
}

/// One option.
#[derive(Debug)]
pub struct Opt {
    /// Its meaning.
    pub id: OptionId,
    /// Letter after one dash.
    pub short: Option<char>,
    /// Word with its two dashes.
    pub long: &'static str,
    /// `None`: a switch.
    pub value: Option<ArgumentValue>,
    /// Section of the help.
    pub group: OptionGroup,
    /// What it does, in a phrase.
    pub brief: &'static str,
    /// What else there is to know, in phrases; may be empty.
    pub more: &'static str,
}

/// One argument known by its position.
#[derive(Debug)]
pub struct Operand {
    /// Its value; the name is the operand's own.
    pub value: ArgumentValue,
    /// What it does.
    pub help: &'static str,
}

impl Opt {
    /// A switch; its letter is given with [`Opt::letter`].
    pub const fn new(
        id: OptionId,
        long: &'static str,
        group: OptionGroup,
        brief: &'static str,
        more: &'static str,
    ) -> Self {
        Self { id, short: None, long, value: None, group, brief, more }
    }

    /// With a letter.
    pub const fn letter(self, letter: char) -> Self {
        Self { short: Some(letter), ..self }
    }

    /// With a value.
    pub const fn takes(self, name: &'static str, expected: &'static str) -> Self {
        Self { value: Some(ArgumentValue { name, optional: false, expected }), ..self }
    }

    /// With a value that may be left out.
    pub const fn may_take(self, name: &'static str, expected: &'static str) -> Self {
        Self { value: Some(ArgumentValue { name, optional: true, expected }), ..self }
    }

    /// What it does, and what else there is to know; no full stop.
    pub fn description(&self) -> String {
        let mark = if self.more.is_empty() { "" } else { ". " };
        [self.brief, mark, self.more].concat()
    }
}
