//! The columns of a report from left to right, unless `--columns` chooses others.

use super::ColumnId;

/// Columns of text reports.
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

/// Columns of CSV. New ones are only added at the end.
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

/// Columns of a journal, which shows only connections that ended. A narrow screen leaves out the last ones.
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

/// Additional columns of CSV that shows only connections that ended.
pub const CLOSED_CSV: [ColumnId; 2] = [ColumnId::Start, ColumnId::DurationMs];

/// Columns that hold sums in a group. A group also has the columns that its connections share.
pub const SUMS: [ColumnId; 6] = [
    ColumnId::Connections,
    ColumnId::RxBytes,
    ColumnId::TxBytes,
    ColumnId::RxRate,
    ColumnId::TxRate,
    ColumnId::Rate,
];

/// Returns the columns that all connections of a group share, if they are grouped by `by`; `None` if connections cannot
/// be grouped by it.
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
