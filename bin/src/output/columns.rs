//! The one table of columns: what each is called and how its value is written, on a screen and in CSV.
//!
//! To add a column, add an `Id` and a row in the same place; to print it, name it in `TEXT` or `CSV`.

use self::Align::{Left, Right};
use super::{address::LONGEST, cells};
use crate::conn::ConnectionRecord;

/// One row of a report.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// The connection.
    pub record: &'a ConnectionRecord,
    /// True when it ended in the interval.
    pub closed: bool,
    /// The report's time as CSV prints it; empty on a screen.
    pub time: &'a [u8],
}

/// A column; its number is its place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    Time,
    Event,
    Proto,
    LocalAddress,
    LocalPort,
    Local,
    RemoteAddress,
    RemotePort,
    Remote,
    Pid,
    Comm,
    State,
    RxBytes,
    TxBytes,
    RxPackets,
    TxPackets,
    RxRate,
    TxRate,
    Rtt,
    Retransmits,
}

/// The columns of a screen, left to right.
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

/// The columns of CSV, left to right.
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

impl Id {
    /// The row of the table.
    pub fn column(self) -> &'static Column {
        let column = &COLUMNS[self as usize];
        debug_assert_eq!(column.id, self, "the table is in the order of the ids");
        column
    }
}

/// Writes a value for CSV, quoted if need be; nothing for an unknown one.
pub type CsvCell = fn(&Row, &mut Vec<u8>);
/// Writes a value for a screen, `-` for an unknown one. Addresses fit themselves into the columns given; others are cut.
pub type TextCell = fn(&Row, usize, &mut Vec<u8>);

/// One column.
pub struct Column {
    /// Its identity.
    pub id: Id,
    /// How CSV prints it; `None`: it does not.
    pub csv: Option<Csv>,
    /// How a screen shows it; `None`: it does not.
    pub text: Option<Text>,
}

/// A column of CSV.
pub struct Csv {
    /// Name in the header line.
    pub name: &'static str,
    /// Its value.
    pub cell: CsvCell,
}

/// A column of a screen.
pub struct Text {
    /// Title in the column line.
    pub title: &'static str,
    /// Numbers stand to the right.
    pub align: Align,
    /// Columns wide when there is room: for a fixed column, the longest value.
    pub width: usize,
    /// Columns wide at least; less than that, and it is not shown. Less than `width` for those that can be shortened.
    pub least: usize,
    /// Columns wide at most, for values longer than `width`.
    pub most: usize,
    /// Which columns a narrow screen shows: the lowest first.
    pub rank: u8,
    /// Its value.
    pub cell: TextCell,
}

/// Side that the values of a column stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Every column. Widths of fixed ones follow from the formats in `units`; a PID has seven digits at most
/// (`PID_MAX_LIMIT`, include/linux/threads.h, v6.1).
static COLUMNS: [Column; 20] = [
    column(Id::Time, csv("time", cells::time), None),
    column(Id::Event, csv("event", cells::event), None),
    column(Id::Proto, csv("proto", cells::protocol), fixed("PROTO", Left, 5, 4, cells::protocol_text)),
    column(Id::LocalAddress, csv("laddr", cells::local_address), None),
    column(Id::LocalPort, csv("lport", cells::local_port), None),
    column(Id::Local, None, elastic("LOCAL", [13, 21, LONGEST], 6, cells::local_text)),
    column(Id::RemoteAddress, csv("raddr", cells::remote_address), None),
    column(Id::RemotePort, csv("rport", cells::remote_port), None),
    column(Id::Remote, None, elastic("REMOTE", [19, 21, LONGEST], 3, cells::remote_text)),
    column(Id::Pid, csv("pid", cells::pid), fixed("PID", Right, 7, 5, cells::pid_text)),
    column(Id::Comm, csv("comm", cells::comm), elastic("COMM", [8, 15, 15], 2, cells::comm_text)),
    column(Id::State, csv("state", cells::state), fixed("STATE", Left, 11, 9, cells::state_text)),
    column(Id::RxBytes, csv("rx_bytes", cells::rx_bytes), fixed("RX", Right, 5, 7, cells::rx_bytes_text)),
    column(Id::TxBytes, csv("tx_bytes", cells::tx_bytes), fixed("TX", Right, 5, 8, cells::tx_bytes_text)),
    column(Id::RxPackets, csv("rx_packets", cells::rx_packets), None),
    column(Id::TxPackets, csv("tx_packets", cells::tx_packets), None),
    column(Id::RxRate, csv("rx_rate", cells::rx_rate), fixed("RX/s", Right, 5, 0, cells::rx_rate_text)),
    column(Id::TxRate, csv("tx_rate", cells::tx_rate), fixed("TX/s", Right, 5, 1, cells::tx_rate_text)),
    column(Id::Rtt, csv("rtt_us", cells::rtt), fixed("RTT", Right, 6, 10, cells::rtt_text)),
    column(Id::Retransmits, csv("retrans", cells::retransmits), None),
];

const fn column(id: Id, csv: Option<Csv>, text: Option<Text>) -> Column {
    Column { id, csv, text }
}

const fn csv(name: &'static str, cell: CsvCell) -> Option<Csv> {
    Some(Csv { name, cell })
}

/// A column that is shown whole or not at all.
const fn fixed(title: &'static str, align: Align, width: usize, rank: u8, cell: TextCell) -> Option<Text> {
    Some(Text { title, align, width, least: width, most: width, rank, cell })
}

/// A column that can be shortened to the first width, and that grows to the last one for values longer than usual.
const fn elastic(title: &'static str, widths: [usize; 3], rank: u8, cell: TextCell) -> Option<Text> {
    let [least, width, most] = widths;
    Some(Text { title, align: Left, width, least, most, rank, cell })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_leads_to_its_row() {
        for (place, column) in COLUMNS.iter().enumerate() {
            assert_eq!(column.id as usize, place);
            assert_eq!(column.id.column().id, column.id);
        }
    }

    #[test]
    fn every_row_is_printed_in_the_form_it_is_written_for() {
        for column in &COLUMNS {
            assert_eq!(column.text.is_some(), TEXT.contains(&column.id), "{:?}", column.id);
            assert_eq!(column.csv.is_some(), CSV.contains(&column.id), "{:?}", column.id);
        }
    }

    #[test]
    fn names_titles_and_ranks_are_taken_once() {
        for (at, column) in COLUMNS.iter().enumerate() {
            for other in &COLUMNS[at + 1..] {
                if let (Some(one), Some(two)) = (&column.csv, &other.csv) {
                    assert_ne!(one.name, two.name);
                }
                if let (Some(one), Some(two)) = (&column.text, &other.text) {
                    assert_ne!(one.title, two.title);
                    assert_ne!(one.rank, two.rank, "{} {}", one.title, two.title);
                }
            }
        }
    }

    #[test]
    fn titles_fit_and_widths_are_in_order() {
        for text in COLUMNS.iter().filter_map(|column| column.text.as_ref()) {
            assert!(text.title.len() <= text.least, "{}", text.title);
            assert!(text.least <= text.width && text.width <= text.most, "{}", text.title);
        }
    }
}
