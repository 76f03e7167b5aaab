//! The command line: from raw arguments to validated settings. Nothing here touches the system.

mod error;
mod help;
mod parse;
mod table;

pub use error::UsageError;
pub use help::{help, version};
pub use parse::{Command, Settings, parse};
