//! The table of columns: the name of each, its meaning, and where its value comes from. Reports, `--columns`, `--sort`,
//! `--by`, the help and the manual page read it.
//!
//! To add a column, add a `ColumnId`, a row in the same position, and its value in `value`. A row says by `needs` which part
//! of `Extra` its value reads. The column is then available in `--columns`. `TEXT`, `CSV` and the other sets in `sets` list
//! the columns that reports show by default.

use super::{
    Align::{Left, Right},
    Column, ColumnId, ColumnShape, Need,
    column::{elastic, elastic_number, fixed},
    format::address::LONGEST,
    value::{self, Value},
};

/// The widths of fixed columns follow from the formats in `format::units`. A PID has at most seven digits (`PID_MAX_LIMIT`,
/// include/linux/threads.h, v6.1).
#[rustfmt::skip]
pub static COLUMNS: &[Column] = &[
    column(ColumnId::Time, "time", "TIME", fixed(Left, 8), 20, value::TIME,
        "end of the interval"),
    column(ColumnId::Event, "event", "EVENT", fixed(Left, 6), 21, value::EVENT,
        "live, closed, listen or group; in CSV also sums: total, shown (matches the filters), forwarded, untracked (had no room in \
         the table), left_out (by --since-start), other (raw sockets such as ping, in none of these sums)"),
    column(ColumnId::Proto, "proto", "PROTO", elastic(5, 5, 8), 4, value::PROTOCOL,
        "tcp or udp; if forwarded, also others, like icmp; in text, a minus in front marks one that ended"),
    column(ColumnId::LocalAddress, "laddr", "LADDR", elastic(10, 15, 39), 18, value::LOCAL_ADDRESS,
        "local address"),
    column(ColumnId::LocalPort, "lport", "LPORT", fixed(Right, 5), 17, value::LOCAL_PORT,
        "local port"),
    column(ColumnId::Local, "local", "LOCAL", elastic(13, 21, LONGEST), 6, value::LOCAL,
        "local address and port"),
    column(ColumnId::RemoteAddress, "raddr", "RADDR", elastic(13, 15, 39), 15, value::REMOTE_ADDRESS,
        "remote address"),
    column(ColumnId::RemotePort, "rport", "RPORT", fixed(Right, 5), 16, value::REMOTE_PORT,
        "remote port"),
    column(ColumnId::Remote, "remote", "REMOTE", elastic(19, 21, LONGEST), 3, value::REMOTE,
        "remote address and port"),
    column(ColumnId::Pid, "pid", "PID", fixed(Right, 7), 5, value::PID,
        "process that owns the connection"),
    column(ColumnId::Comm, "comm", "COMM", elastic(8, 15, 15), 2, value::COMM,
        "name of the process; (forwarded): this host passes it on, and no process has it"),
    column(ColumnId::Cmdline, "cmdline", "COMMAND", elastic(8, 24, 200), 19, value::CMDLINE,
        "command line of the process"),
    column(ColumnId::User, "user", "USER", elastic(6, 8, 32), 13, value::USER,
        "real user of the process, by name where /etc/passwd has one"),
    column(ColumnId::Unit, "unit", "UNIT", elastic(8, 16, 64), 14, value::UNIT,
        "service or container of the process, or both, like lxc:web/cron.service, from its cgroup"),
    column(ColumnId::State, "state", "STATE", fixed(Left, 11), 9, value::STATE,
        "TCP state; OFFLOADED: forwarded past the kernel's stack, so that bytes may come late"),
    column(ColumnId::RxBytes, "rx_bytes", "RX", fixed(Right, 5), 7, value::RX_BYTES,
        "payload received since it began (forwarded: whole IP packets); in sums and groups, that of the interval, or with \
         --since-start since tcptop started"),
    column(ColumnId::TxBytes, "tx_bytes", "TX", fixed(Right, 5), 8, value::TX_BYTES,
        "payload sent, like rx_bytes; retransmitted bytes count once"),
    column(ColumnId::Bytes, "bytes", "BYTES", fixed(Right, 5), 24, value::BYTES,
        "rx_bytes and tx_bytes together"),
    column(ColumnId::RxPackets, "rx_packets", "RXPKTS", elastic_number(6, 10), 26, value::RX_PACKETS,
        "TCP segments received, acknowledgements included; UDP datagrams"),
    column(ColumnId::TxPackets, "tx_packets", "TXPKTS", elastic_number(6, 10), 27, value::TX_PACKETS,
        "like rx_packets, sent; retransmits included"),
    column(ColumnId::RxRate, "rx_rate", "RX/s", fixed(Right, 5), 0, value::RX_RATE,
        "payload received per second of the interval"),
    column(ColumnId::TxRate, "tx_rate", "TX/s", fixed(Right, 5), 1, value::TX_RATE,
        "payload sent per second"),
    column(ColumnId::Rate, "rate", "RATE", fixed(Right, 5), 25, value::RATE,
        "rx_rate and tx_rate together"),
    column(ColumnId::Rtt, "rtt_us", "RTT", fixed(Right, 6), 10, value::RTT,
        "TCP smoothed round-trip time"),
    column(ColumnId::Retransmits, "retrans", "RETR", elastic_number(4, 10), 12, value::RETRANSMITS,
        "TCP segments sent again"),
    column(ColumnId::Start, "start", "START", fixed(Left, 8), 22, value::START,
        "when it began; unknown for TCP older than tcptop"),
    column(ColumnId::DurationMs, "duration_ms", "LASTED", fixed(Right, 8), 23, value::DURATION,
        "how long it lasted, or has so far; UDP: to its last active interval"),
    column(ColumnId::Connections, "conns", "CONNS", elastic_number(5, 7), 11, value::CONNECTIONS,
        "connections in the group, those that ended in the interval included"),
    column(ColumnId::Translated, "nat", "NAT", elastic(13, 21, LONGEST), 28, value::TRANSLATED,
        "local address and port of a forwarded connection as the remote end sees them, if translated"),
    column(ColumnId::Client, "client", "CLIENT", elastic(8, 16, 63), 29, value::CLIENT,
        "host of the local network (the local end if forwarded, else the remote end): its name from DHCP leases or \
         /etc/hosts, else its MAC address"),
    column(ColumnId::Direction, "direction", "DIR", fixed(Left, 3), 30, value::DIRECTION,
        "out: the local end opened the connection; in: the remote one did; unknown for UDP sockets of this host"),
    column(ColumnId::Host, "host", "HOST", elastic(8, 12, 64), 31, value::HOST,
        "name of this host, or that of --host"),
    column(ColumnId::Interface, "interface", "IFACE", elastic(5, 8, 15), 32, value::INTERFACE,
        "network interface of its packets (TCP: of those sent). In another network namespace, its number. Before the first \
         packet and with --collector diag, the one with the local address. Forwarded connections have none")
        .needs(Need::Details),
    column(ColumnId::Reason, "reason", "REASON", fixed(Left, 12), 33, value::REASON,
        "why TCP ended: fin, reset-local or reset-remote (who reset it), timeout (no answer); before it began: refused, \
         unreachable (ICMP), timeout or abandoned (by the process); of forwarded connections: fin, reset or timeout")
        .needs(Need::Details),
    column(ColumnId::ReceiveQueue, "recvq", "RECVQ", fixed(Right, 5), 34, value::RECEIVE_QUEUE,
        "TCP: received, not yet read by the process; at the end of the interval, as are sendq and cwnd")
        .needs(Need::Queues),
    column(ColumnId::SendQueue, "sendq", "SENDQ", fixed(Right, 5), 35, value::SEND_QUEUE,
        "TCP: written by the process, but not acknowledged by the remote end yet: in flight, or not sent")
        .needs(Need::Queues),
    column(ColumnId::Window, "cwnd", "CWND", elastic_number(5, 10), 36, value::WINDOW,
        "TCP: congestion window, the segments that may be in flight")
        .needs(Need::Queues),
    column(ColumnId::Average10, "avg10", "AVG10", fixed(Right, 5), 37, value::AVERAGE_10,
        "weighted average rate, about the last 10 seconds, or since it began")
        .needs(Need::History),
    column(ColumnId::Average60, "avg60", "AVG60", fixed(Right, 5), 38, value::AVERAGE_60,
        "the same, about 60 seconds")
        .needs(Need::History),
    column(ColumnId::Trend, "trend", "TREND", fixed(Right, 10), 39, value::TREND,
        "rates of the last ten intervals as bars, scaled to the row's largest; digits from 0 to 7 in CSV and if the locale is \
         not UTF-8")
        .needs(Need::History),
];

#[cfg_attr(not(test), expect(unused_variables, reason = "`help` makes the documents"))]
const fn column(
    id: ColumnId,
    name: &'static str,
    title: &'static str,
    shape: ColumnShape,
    rank: u8,
    value: Value,
    help: &'static str,
) -> Column {
    Column {
        id,
        name,
        title,
        shape,
        rank,
        value,
        need: None,
        #[cfg(test)]
        help,
    }
}

impl ColumnId {
    /// Returns the column's row in the table.
    pub fn column(self) -> &'static Column {
        let column = &COLUMNS[self as usize];
        debug_assert_eq!(column.id, self, "the table is in the order of the ids");
        column
    }
}

impl Column {
    /// Finds a column by its name, or by its title in any case.
    pub fn named(name: &str) -> Option<&'static Self> {
        let titled = |column: &&Self| column.title.eq_ignore_ascii_case(name);
        COLUMNS.iter().find(|column| column.name == name).or_else(|| COLUMNS.iter().find(titled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_leads_to_its_row() {
        for (place, column) in COLUMNS.iter().enumerate() {
            assert_eq!(column.id as usize, place);
            assert_eq!(column.id.column().id, column.id);
            for name in [column.name, column.title, &column.title.to_lowercase()] {
                assert_eq!(Column::named(name).map(|found| found.id), Some(column.id), "{name}");
            }
        }
    }

    #[test]
    fn names_titles_and_ranks_are_taken_once() {
        for (at, one) in COLUMNS.iter().enumerate() {
            for other in &COLUMNS[at + 1..] {
                assert_ne!(one.name, other.name);
                assert_ne!(one.title, other.title);
                assert_ne!(one.rank, other.rank, "{} {}", one.title, other.title);
            }
        }
    }

    #[test]
    fn titles_fit_and_widths_are_in_order() {
        for column in COLUMNS {
            let shape = column.shape;
            assert!(column.title.len() <= shape.least, "{}", column.title);
            assert!(shape.least <= shape.width && shape.width <= shape.most, "{}", column.title);
        }
    }

    #[test]
    fn helps_are_phrases() {
        for column in COLUMNS {
            assert!(!column.help.is_empty() && !column.help.ends_with('.'), "{}", column.name);
        }
    }
}
