//! One column: its names, its shape on a screen, and the source of its values.

use super::{
    ColumnId,
    format::{
        time::{self, TimeFormat},
        units::NumberFormat,
    },
    value::{Quantity, Value},
};

/// One column.
pub struct Column {
    /// Its identifier.
    pub id: ColumnId,
    /// Name in the CSV header and in options.
    pub name: &'static str,
    /// Title on a screen.
    pub title: &'static str,
    /// Alignment and width on a screen.
    pub shape: ColumnShape,
    /// A narrow screen shows the columns with the lowest ranks.
    pub rank: u8,
    /// Where its value comes from.
    pub(super) value: Value,
    /// Which part of [`Extra`](crate::conn::Extra) its value reads; `None`: none.
    pub need: Option<Need>,
    /// What it shows, for the documents; without a full stop.
    #[cfg(test)]
    pub help: &'static str,
}

/// A part of [`Extra`](crate::conn::Extra), which is kept only if a column that needs it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The queues of the socket.
    Queues,
    /// The rates of past intervals.
    History,
    /// Details from the collector.
    Details,
}

/// Alignment and width of a column on a screen.
#[derive(Clone, Copy)]
pub struct ColumnShape {
    /// Side to which values are aligned. Numbers are aligned to the right.
    pub align: Align,
    /// Least width. A column with less room is not shown. It is below `width` if values can be shortened.
    pub least: usize,
    /// Usual width. In a fixed column, the longest value has this width.
    pub width: usize,
    /// Greatest width, for values longer than `width`.
    pub most: usize,
}

/// Side to which the values of a column are aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// The shape of a column that is shown whole or not at all.
pub const fn fixed(align: Align, width: usize) -> ColumnShape {
    ColumnShape { align, least: width, width, most: width }
}

/// The shape of a column that can shrink to `least`, and that grows up to `most` for values longer than usual.
pub const fn elastic(least: usize, width: usize, most: usize) -> ColumnShape {
    ColumnShape { align: Align::Left, least, width, most }
}

/// The shape of a number without a unit, which may need more than its usual width.
pub const fn elastic_number(width: usize, most: usize) -> ColumnShape {
    ColumnShape { align: Align::Right, least: width, width, most }
}

impl Column {
    /// Sets which part of [`Extra`](crate::conn::Extra) the value reads.
    pub(super) const fn needs(self, need: Need) -> Self {
        Self { need: Some(need), ..self }
    }

    /// Returns its title on a screen.
    pub const fn title(&self, numbers: NumberFormat) -> &'static str {
        match self.id {
            ColumnId::RxRate if numbers.bits => "RXb/s",
            ColumnId::TxRate if numbers.bits => "TXb/s",
            ColumnId::Rate if numbers.bits => "BIT/s",
            _ => self.title,
        }
    }

    /// Its shape on a screen. Numbers in full usually have up to twelve digits. `time_format` gives the width of
    /// moments.
    pub const fn shape(&self, numbers: NumberFormat, time_format: TimeFormat) -> ColumnShape {
        match self.value {
            Value::Moment(_) => fixed(Align::Left, time::width(time_format)),
            Value::Number(_, Quantity::Size | Quantity::Rate) if numbers.raw => {
                ColumnShape { align: Align::Right, least: 10, width: 10, most: 20 }
            }
            _ => self.shape,
        }
    }

    /// Returns true for numbers that count something: the largest comes first unless the user reverses the order.
    pub const fn largest_first(&self) -> bool {
        matches!(
            self.value,
            Value::Number(
                _,
                Quantity::Size | Quantity::Rate | Quantity::Count | Quantity::Micros | Quantity::Millis
            )
        )
    }
}
