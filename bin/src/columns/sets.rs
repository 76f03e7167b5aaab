//! Which columns a report has, left to right, unless `--columns` says otherwise.

use super::ColumnId;

/// A screen.
pub const TEXT: [ColumnId; 11] = [
    ColumnId::Proto,
    ColumnId::Local,
    ColumnId::Remote,
    ColumnId::Pid,
    ColumnId::Comm,
    ColumnId::State,
    ColumnId::RxRate,
    ColumnId::TxRate,
    ColumnId::RxBytes,
    ColumnId::TxBytes,
    ColumnId::Rtt,
];

/// CSV. Columns are only ever added at the end.
pub const CSV: [ColumnId; 18] = [
    ColumnId::Time,
    ColumnId::Event,
    ColumnId::Proto,
    ColumnId::LocalAddress,
    ColumnId::LocalPort,
    ColumnId::RemoteAddress,
    ColumnId::RemotePort,
    ColumnId::Pid,
    ColumnId::Comm,
    ColumnId::State,
    ColumnId::RxBytes,
    ColumnId::TxBytes,
    ColumnId::RxPackets,
    ColumnId::TxPackets,
    ColumnId::RxRate,
    ColumnId::TxRate,
    ColumnId::Rtt,
    ColumnId::Retransmits,
];

/// A screen with connections that ended, and nothing else; a narrow one leaves out the last ones.
pub const CLOSED_TEXT: [ColumnId; 10] = [
    ColumnId::Start,
    ColumnId::DurationMs,
    ColumnId::Proto,
    ColumnId::Pid,
    ColumnId::Comm,
    ColumnId::Remote,
    ColumnId::RxBytes,
    ColumnId::TxBytes,
    ColumnId::Retransmits,
    ColumnId::Local,
];

/// What CSV with connections that ended has more.
pub const CLOSED_CSV: [ColumnId; 2] = [ColumnId::Start, ColumnId::DurationMs];

/// What a group has besides the columns that make it one: these are its sums.
pub const SUMS: [ColumnId; 6] = [
    ColumnId::Connections,
    ColumnId::RxBytes,
    ColumnId::TxBytes,
    ColumnId::RxRate,
    ColumnId::TxRate,
    ColumnId::Rate,
];

/// The columns for which the past of each connection is kept.
pub const PAST: [ColumnId; 3] = [ColumnId::Average10, ColumnId::Average60, ColumnId::Trend];

/// The columns that are the same in all connections of a group, by the one given. `None`: no groups are made by it.
pub const fn grouped(by: ColumnId) -> Option<&'static [ColumnId]> {
    Some(match by {
        ColumnId::Pid => &[ColumnId::Pid, ColumnId::Comm],
        ColumnId::Comm => &[ColumnId::Comm],
        ColumnId::Cmdline => &[ColumnId::Cmdline],
        ColumnId::User => &[ColumnId::User],
        ColumnId::Unit => &[ColumnId::Unit],
        ColumnId::Proto => &[ColumnId::Proto],
        ColumnId::LocalAddress => &[ColumnId::LocalAddress],
        ColumnId::LocalPort => &[ColumnId::LocalPort],
        ColumnId::RemoteAddress => &[ColumnId::RemoteAddress],
        ColumnId::RemotePort => &[ColumnId::RemotePort],
        ColumnId::State => &[ColumnId::State],
        ColumnId::Client => &[ColumnId::Client],
        _ => return None,
    })
}
