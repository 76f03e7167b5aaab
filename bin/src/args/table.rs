//! The types that make up a row of the table of options.

use super::id::OptionId;

/// Sections of the help, in the order in which they are printed.
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

/// Every section with its title.
#[cfg(test)]
pub const GROUPS: [(OptionGroup, &str); 7] = [
    (OptionGroup::Timing, "Timing"),
    (OptionGroup::Which, "Filters (all must match; one item of a LIST is enough; !ITEM excludes)"),
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
    /// The value may be left out. If given, it must follow `=`.
    pub optional: bool,
    /// Completes "expected ...".
    pub expected: &'static str,
}

/// One option.
#[derive(Debug)]
pub struct Opt {
    /// What the parser knows the option by.
    pub id: OptionId,
    /// The letter that follows one dash.
    pub short: Option<char>,
    /// The long name, with its two dashes.
    pub long: &'static str,
    /// The value it takes; `None` for a switch.
    pub value: Option<ArgumentValue>,
    /// Section of the help. This field and the next two make documents, so only tests have them.
    #[cfg(test)]
    pub group: OptionGroup,
    /// What it does, in one phrase.
    #[cfg(test)]
    pub brief: &'static str,
    /// Further details, in phrases; may be empty.
    #[cfg(test)]
    pub more: &'static str,
}

/// One positional argument.
#[derive(Debug)]
pub struct Operand {
    /// Its value, whose name is the name of the operand.
    pub value: ArgumentValue,
    /// What it does, for the documents.
    #[cfg(test)]
    pub help: &'static str,
}

impl Opt {
    /// Makes a switch. The methods below add a letter and a value.
    #[cfg_attr(not(test), expect(unused_variables, reason = "they make the documents"))]
    pub const fn new(
        id: OptionId,
        long: &'static str,
        group: OptionGroup,
        brief: &'static str,
        more: &'static str,
    ) -> Self {
        Self {
            id,
            short: None,
            long,
            value: None,
            #[cfg(test)]
            group,
            #[cfg(test)]
            brief,
            #[cfg(test)]
            more,
        }
    }

    /// Adds a letter.
    pub const fn letter(self, letter: char) -> Self {
        Self { short: Some(letter), ..self }
    }

    /// Adds a required value.
    pub const fn takes(self, name: &'static str, expected: &'static str) -> Self {
        Self { value: Some(ArgumentValue { name, optional: false, expected }), ..self }
    }

    /// Adds a value that may be left out.
    pub const fn may_take(self, name: &'static str, expected: &'static str) -> Self {
        Self { value: Some(ArgumentValue { name, optional: true, expected }), ..self }
    }

    /// Returns what it does and the further details, without a final full stop.
    #[cfg(test)]
    pub fn description(&self) -> String {
        let mark = if self.more.is_empty() { "" } else { ". " };
        [self.brief, mark, self.more].concat()
    }
}
