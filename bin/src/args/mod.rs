//! The command line: turns raw arguments into validated settings. Nothing here touches the system, except that
//! `services` reads /etc/services when a port is given by name.

mod arguments;
#[cfg(test)]
mod documents;
mod error;
mod help;
mod id;
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
