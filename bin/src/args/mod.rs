//! The command line: from raw arguments to validated settings. Nothing here touches the system, but
//! `services` reads /etc/services where a port is named.

#[cfg(test)]
mod completions;
mod error;
mod given;
mod help;
mod id;
#[cfg(test)]
mod manual;
mod nearest;
mod options;
mod parse;
mod read;
mod services;
mod settle;
mod table;
mod traffic;

pub use error::UsageError;
pub use help::{help, short_help, version};
pub use parse::{Command, parse};
pub use settle::Settings;
pub use traffic::{CollectorName, TrafficKind};
