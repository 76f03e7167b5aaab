//! The arguments as they were given. The parser fills them in, and `validate` turns them into settings.

use std::{ffi::OsString, time::Duration};

use super::{
    read::Destination,
    traffic::{CollectorName, TrafficKind},
};
use crate::{
    columns::{self, TimeFormat},
    view::{Filter, Order},
};

/// All arguments. Each value has been checked by itself, but not against the others.
#[derive(Default)]
pub struct Arguments {
    pub check: bool,
    pub once: bool,
    pub interval: Option<Duration>,
    pub count: Option<u64>,
    pub operand_interval: Option<Duration>,
    pub operand_count: Option<u64>,
    pub filter: Filter,
    pub no_loopback: bool,
    pub listen: bool,
    pub traffic: Option<TrafficKind>,
    pub order: Option<Order>,
    pub rows: Option<usize>,
    pub by: Option<columns::ColumnId>,
    pub since_start: bool,
    pub csv: bool,
    pub closed: bool,
    pub only_closed: bool,
    pub total: bool,
    pub quiet: bool,
    pub columns: Option<Vec<columns::ColumnId>>,
    pub wide: bool,
    pub bytes: bool,
    pub bits: bool,
    pub min_rate: Option<u64>,
    pub exit_over: Option<u64>,
    pub shows_host: bool,
    pub host: Option<OsString>,
    pub no_header: bool,
    pub no_clear: bool,
    pub time: Option<TimeFormat>,
    pub cmdline: bool,
    pub user: bool,
    pub unit: bool,
    pub output: Option<Destination>,
    pub max_size: Option<u64>,
    pub keep: Option<u32>,
    pub udp_timeout: Option<Duration>,
    pub flows: Option<u32>,
    pub collector: CollectorName,
    pub enable_accounting: bool,
}
