//! The columns of reports.
//!
//! `table` is the one table of columns, and `value` is where each column finds its value in a row. `cell` writes that value
//! by means of `format`, which knows nothing of columns.

mod cell;
mod column;
pub mod format;
mod id;
mod recognize;
mod row;
mod sets;
mod table;
mod value;

pub use self::{
    column::{Align, Column, ColumnShape, Need},
    format::{time::TimeFormat, units::NumberFormat},
    id::ColumnId,
    row::{CLOSED, Event, Frame, LISTEN, LIVE, Row, RowKind},
    sets::{CLOSED_CSV, CLOSED_TEXT, CSV, SUMS, TEXT, grouped},
    table::COLUMNS,
};
