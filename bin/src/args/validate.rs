//! Turns arguments into settings: finds contradictions, and fills in defaults and what follows from other options.

use std::{ffi::OsString, os::unix::ffi::OsStringExt, time::Duration};

use super::{
    UsageError,
    arguments::Arguments,
    options::OPERANDS,
    read::Destination,
    traffic::{CollectorName, TrafficKind},
};
use crate::{
    columns::{
        CLOSED_CSV, CLOSED_TEXT, COLUMNS, CSV, ColumnId, Need, NumberFormat, SUMS, TEXT, TimeFormat, grouped,
    },
    conn::Keep,
    names::NameOptions,
    output::{LogFile, OutputOptions, ReportFormat},
    view::{Network, Order, Selection},
};

/// How to collect and report. Valid by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Time between reports, 0.1 s to 3600 s.
    pub interval: Duration,
    /// Number of reports before the exit, at least 1; `None` runs until interrupted.
    pub count: Option<u64>,
    /// Which rows are shown.
    pub selection: Selection,
    /// Listening sockets are shown too.
    pub listening: bool,
    /// How reports are written.
    pub output: OutputOptions,
    /// Which names must be looked up for the reports.
    pub names: NameOptions,
    /// Which details of each connection must be kept for the reports.
    pub keep: Keep,
    /// A UDP flow ends after this time without a packet.
    pub udp_timeout: Duration,
    /// Number of entries in the kernel's table; `None` chooses it by the size of the RAM.
    pub flows: Option<u32>,
    /// tcptop exits after a report with a rate above this, in bytes per second.
    pub exit_over: Option<u64>,
    /// Which traffic is shown; `None` decides by what this host does.
    pub traffic: Option<TrafficKind>,
    /// Which collector counts local connections.
    pub collector: CollectorName,
    /// Switch on byte counting in connection tracking.
    pub enable_accounting: bool,
}

/// Number of full log files that are kept by default.
const DEFAULT_KEEP: u32 = 4;

/// Rows of a text report that is not written to a screen.
const PIPE_ROWS: usize = 20;

impl Arguments {
    /// Finds contradictions and fills in defaults.
    ///
    /// # Errors
    ///
    /// Returns the first contradiction.
    pub fn validate(mut self) -> Result<Settings, UsageError> {
        if self.no_loopback {
            self.filter.networks.none.extend(Network::LOOPBACK);
        }
        self.contradiction()?;
        let columns = self.columns()?;
        if self.since_start {
            self.order.get_or_insert(Order { column: ColumnId::Bytes, reversed: false });
        }
        let shown = |id| {
            columns.contains(&id) || self.by == Some(id) || self.order.is_some_and(|order| order.column == id)
        };
        let names = NameOptions {
            cmdline: shown(ColumnId::Cmdline),
            unit: shown(ColumnId::Unit) || !self.filter.units.is_empty(),
            user: shown(ColumnId::User) || !self.filter.users.is_empty(),
            client: shown(ColumnId::Client),
            interface: shown(ColumnId::Interface) || !self.filter.interfaces.is_empty(),
        };
        let needed = |need| COLUMNS.iter().any(|column| column.need == Some(need) && shown(column.id));
        let (queues, history) = (needed(Need::Queues), needed(Need::History));
        let extra = queues || history || needed(Need::Details) || names.interface;
        let keep = Keep { extra, queues, history };
        let format = match (self.csv, self.only_closed) {
            (true, _) => ReportFormat::Csv,
            (false, true) if !self.quiet => ReportFormat::Journal,
            (false, _) => ReportFormat::Text,
        };
        // If the screen is narrow, the columns that the user asked for by name are the last to go. `--closed` adds the
        // protocol to them, whose minus marks the connections that ended.
        let asked = [
            (self.closed, ColumnId::Proto),
            (self.cmdline, ColumnId::Cmdline),
            (self.user, ColumnId::User),
            (self.unit, ColumnId::Unit),
        ];
        let asked = asked.into_iter().filter(|(asked, _)| *asked && self.columns.is_none()).map(|(_, id)| id);
        let first = asked.chain(self.order.map(|order| order.column)).collect();
        let file = match self.output {
            Some(Destination::File(path)) => {
                Some(LogFile { path, most: self.max_size, keep: self.keep.unwrap_or(DEFAULT_KEEP) })
            }
            Some(Destination::Stdout) | None => None,
        };
        let count = if self.once { Some(1) } else { self.count.or(self.operand_count) };
        let default_time = if self.csv { TimeFormat::Utc } else { TimeFormat::Local };
        Ok(Settings {
            interval: self.interval.or(self.operand_interval).unwrap_or(Duration::from_secs(1)),
            count,
            selection: Selection {
                filter: self.filter,
                order: self.order,
                by: self.by,
                since_start: self.since_start,
                min_rate: self.min_rate,
                live: !self.only_closed,
                idle: !self.csv,
                closed_active: !self.csv && !self.only_closed,
                closed: self.closed,
            },
            listening: self.listen && !self.quiet,
            output: OutputOptions {
                format,
                drop_from_right: self.columns.is_some() || format == ReportFormat::Journal,
                first,
                columns,
                rows: self.rows,
                // Closed and listening rows come last, so the limit would hide them.
                pipe_rows: if self.closed || self.listen { usize::MAX } else { PIPE_ROWS },
                sums: self.total || self.quiet,
                headings: !self.no_header,
                quiet: self.quiet,
                repaint: !self.no_clear && count != Some(1),
                wide: self.wide,
                numbers: NumberFormat { raw: self.bytes, bits: self.bits },
                host: self.host.map(OsString::into_vec),
                time: self.time.unwrap_or(default_time),
                file,
            },
            names,
            keep,
            udp_timeout: self.udp_timeout.unwrap_or(Duration::from_secs(5)),
            flows: self.flows,
            exit_over: self.exit_over,
            traffic: self.traffic,
            collector: self.collector,
            enable_accounting: self.enable_accounting,
        })
    }

    fn contradiction(&self) -> Result<(), UsageError> {
        let [interval, count] = [OPERANDS[0].value.name, OPERANDS[1].value.name];
        let number = "the number of reports";
        let rows = "what a row is";
        let conflicts = [
            (self.once && self.count.is_some(), "--once", "--count", number),
            (self.once && self.operand_count.is_some(), "--once", count, number),
            (self.count.is_some() && self.operand_count.is_some(), "--count", count, number),
            (
                self.interval.is_some() && self.operand_interval.is_some(),
                "--interval",
                interval,
                "the time between reports",
            ),
            (self.by.is_some() && self.closed, "--by", "--closed", rows),
            (self.by.is_some() && self.listen, "--by", "--listen", rows),
            (self.only_closed && self.listen, "--closed=only", "--listen", rows),
            (self.by.is_some() && self.quiet, "--by", "--quiet", rows),
            (self.bits && self.csv, "--bits", "--csv", "what a rate counts"),
            (
                self.quiet && self.no_header && !self.csv,
                "--quiet",
                "--no-header",
                "what becomes of the header line",
            ),
        ];
        if let Some((_, first, second, both)) = conflicts.into_iter().find(|(found, ..)| *found) {
            return Err(UsageError::Conflict { first, second, both });
        }
        let file = matches!(self.output, Some(Destination::File(_)));
        let needs = [
            (self.max_size.is_some() && !file, "--max-size", "--output FILE"),
            (self.keep.is_some() && self.max_size.is_none(), "--keep", "--max-size"),
            (self.total && !self.csv, "--total", "--csv"),
            (self.since_start && self.by.is_none(), "--since-start", "--by"),
            (
                self.enable_accounting && self.traffic == Some(TrafficKind::Local),
                "--enable-acct",
                "--traffic forwarded or all",
            ),
        ];
        match needs.into_iter().find(|(found, ..)| *found) {
            Some((_, option, needed)) => Err(UsageError::Needs { option, needed }),
            None => Ok(()),
        }
    }

    /// Chooses the columns of the reports.
    fn columns(&self) -> Result<Vec<ColumnId>, UsageError> {
        let mut columns = match (&self.columns, self.by.and_then(grouped)) {
            (Some(columns), _) => columns.clone(),
            (None, Some(group_columns)) if self.csv => {
                [&[ColumnId::Time, ColumnId::Event], group_columns, &SUMS[..5]].concat()
            }
            (None, Some(group_columns)) if self.since_start => [
                group_columns,
                &[
                    ColumnId::Connections,
                    ColumnId::RxRate,
                    ColumnId::TxRate,
                    ColumnId::RxBytes,
                    ColumnId::TxBytes,
                ],
            ]
            .concat(),
            (None, Some(group_columns)) => {
                [group_columns, &[ColumnId::Connections, ColumnId::RxRate, ColumnId::TxRate]].concat()
            }
            (None, None) if self.csv && self.only_closed => [CSV.as_slice(), &CLOSED_CSV].concat(),
            (None, None) if self.csv => CSV.to_vec(),
            (None, None) if self.only_closed && !self.quiet => CLOSED_TEXT.to_vec(),
            (None, None) => TEXT.to_vec(),
        };
        // In CSV, and if the user has chosen the columns, these columns come last.
        let last = self.csv || self.columns.is_some();
        let names = [
            (self.cmdline, ColumnId::Cmdline),
            (self.user, ColumnId::User),
            (self.unit, ColumnId::Unit),
            (self.shows_host, ColumnId::Host),
        ];
        for (wanted, id) in names {
            if !wanted || columns.contains(&id) {
                continue;
            }
            let comm = columns.iter().position(|id| *id == ColumnId::Comm || *id == ColumnId::Cmdline);
            match (comm.filter(|_| !last), id) {
                (Some(at), ColumnId::Cmdline) => columns[at] = id,
                (Some(_), ColumnId::Host) => columns.push(id),
                (Some(at), ColumnId::User) => columns.insert(at, id),
                (Some(at), _) => columns.insert(at + 1, id),
                (None, _) => columns.push(id),
            }
        }
        // Show the column by which the rows are sorted.
        if let Some(order) = self.order
            && !last
            && !columns.contains(&order.column)
        {
            columns.push(order.column);
        }
        if let Some(by) = self.by {
            // With `--by remote`, the column `remote` means the address without the port.
            if by == ColumnId::RemoteAddress {
                columns.iter_mut().filter(|id| **id == ColumnId::Remote).for_each(|id| *id = by);
            }
            let sorted = self.order.map(|order| order.column);
            if let Some(id) = columns.iter().chain(&sorted).find(|id| !has_group_value(by, **id)) {
                return Err(UsageError::NotGroupColumn { column: id.column().name });
            }
        }
        Ok(columns)
    }
}

/// Returns true if all connections of a group share one value in this column, or if the column is a sum.
fn has_group_value(by: ColumnId, column: ColumnId) -> bool {
    let of_process =
        by == ColumnId::Pid && matches!(column, ColumnId::Cmdline | ColumnId::User | ColumnId::Unit);
    let common = grouped(by).is_some_and(|group_columns| group_columns.contains(&column));
    common
        || of_process
        || SUMS.contains(&column)
        || matches!(column, ColumnId::Time | ColumnId::Event | ColumnId::Bytes | ColumnId::Host)
}
