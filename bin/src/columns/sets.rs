//! Which columns a report has, left to right, unless `--columns` says otherwise.

use super::Id;

/// A screen.
pub const TEXT: [Id; 11] = [
    Id::Proto,
    Id::Local,
    Id::Remote,
    Id::Pid,
    Id::Comm,
    Id::State,
    Id::RxRate,
    Id::TxRate,
    Id::RxBytes,
    Id::TxBytes,
    Id::Rtt,
];

/// CSV. Columns are only ever added at the end.
pub const CSV: [Id; 18] = [
    Id::Time,
    Id::Event,
    Id::Proto,
    Id::LocalAddress,
    Id::LocalPort,
    Id::RemoteAddress,
    Id::RemotePort,
    Id::Pid,
    Id::Comm,
    Id::State,
    Id::RxBytes,
    Id::TxBytes,
    Id::RxPackets,
    Id::TxPackets,
    Id::RxRate,
    Id::TxRate,
    Id::Rtt,
    Id::Retransmits,
];

/// A screen with connections that ended, and nothing else; a narrow one leaves out the last ones.
pub const CLOSED_TEXT: [Id; 10] = [
    Id::Start,
    Id::DurationMs,
    Id::Proto,
    Id::Pid,
    Id::Comm,
    Id::Remote,
    Id::RxBytes,
    Id::TxBytes,
    Id::Retransmits,
    Id::Local,
];

/// What CSV with connections that ended has more.
pub const CLOSED_CSV: [Id; 2] = [Id::Start, Id::DurationMs];

/// What a group has besides the columns that make it one: these are its sums.
pub const SUMS: [Id; 6] = [Id::Connections, Id::RxBytes, Id::TxBytes, Id::RxRate, Id::TxRate, Id::Rate];

/// The columns for which the past of each connection is kept.
pub const PAST: [Id; 3] = [Id::Average10, Id::Average60, Id::Trend];

/// The columns that are the same in all connections of a group, by the one given. `None`: no groups are made by it.
pub const fn grouped(by: Id) -> Option<&'static [Id]> {
    Some(match by {
        Id::Pid => &[Id::Pid, Id::Comm],
        Id::Comm => &[Id::Comm],
        Id::Cmdline => &[Id::Cmdline],
        Id::User => &[Id::User],
        Id::Unit => &[Id::Unit],
        Id::Proto => &[Id::Proto],
        Id::LocalAddress => &[Id::LocalAddress],
        Id::LocalPort => &[Id::LocalPort],
        Id::RemoteAddress => &[Id::RemoteAddress],
        Id::RemotePort => &[Id::RemotePort],
        Id::State => &[Id::State],
        Id::Client => &[Id::Client],
        _ => return None,
    })
}
