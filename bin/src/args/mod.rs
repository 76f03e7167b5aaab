//! The command line: from raw arguments to validated settings. Nothing here touches the system, but
//! `services` reads /etc/services where a port is named.

mod arguments;
#[cfg(test)]
mod completions;
mod error;
mod help;
mod id;
#[cfg(test)]
mod manual;
mod nearest;
mod options;
mod parse;
mod read;
mod services;
mod table;
mod traffic;
mod validate;

pub use error::UsageError;
pub use help::{help, short_help, version};
pub use parse::{Command, parse};
pub use traffic::{CollectorName, TrafficKind};
pub use validate::Settings;
