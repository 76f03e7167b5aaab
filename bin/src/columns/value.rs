//! Where the value of each column comes from.

use std::time::Duration;

use tcptop_abi::Counters;

use super::{ColumnId, Event, Frame, Row};
use crate::conn::{History, Opener, Protocol, Queues, Reason, per_second};

/// An address and a port.
pub type Endpoint<'a> = (&'a [u8; 16], u16);

/// How a column gets the value of a row.
#[derive(Clone, Copy)]
pub enum Value {
    /// A number; `None` if unknown.
    Number(fn(&Row<'_>, &Frame<'_>) -> Option<u64>, Quantity),
    /// A word that tcptop chose; empty if unknown.
    Word(fn(&Row<'_>) -> &'static str),
    /// Bytes that somebody else chose; empty if unknown.
    Name(for<'a> fn(&'a Row<'_>, &'a Frame<'_>) -> &'a [u8]),
    /// An address.
    Address(for<'a> fn(&'a Row<'_>) -> &'a [u8; 16]),
    /// An address and a port; `None` if there is none.
    Endpoint(for<'a> fn(&'a Row<'_>) -> Option<Endpoint<'a>>),
    /// The rates of past intervals.
    Trend(for<'a> fn(&Row<'a>) -> Option<&'a History>),
    /// A moment, as time since the Unix epoch.
    Moment(fn(&Row<'_>, &Frame<'_>) -> Option<Duration>),
}

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Nothing: the number is a name, such as a port.
    Label,
    /// Things.
    Count,
    /// Bytes.
    Size,
    /// Bytes per second.
    Rate,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
}

pub const TIME: Value = Value::Moment(|_, frame| Some(frame.time));
pub const EVENT: Value = Value::Word(|row| match row.kind.event {
    Event::Live => "live",
    Event::Closed => "closed",
    Event::Listen => "listen",
    Event::Group => "group",
});
pub const PROTOCOL: Value = Value::Word(|row| row.record.protocol.name());
pub const LOCAL_ADDRESS: Value = Value::Address(|row| &row.record.ends.laddr);
pub const LOCAL_PORT: Value = Value::Number(|row, _| Some(row.record.ends.lport.into()), Quantity::Label);
pub const LOCAL: Value = Value::Endpoint(|row| Some((&row.record.ends.laddr, row.record.ends.lport)));
pub const REMOTE_ADDRESS: Value = Value::Address(|row| &row.record.ends.raddr);
pub const REMOTE_PORT: Value = Value::Number(|row, _| Some(row.record.ends.rport.into()), Quantity::Label);
pub const REMOTE: Value = Value::Endpoint(|row| Some((&row.record.ends.raddr, row.record.ends.rport)));
pub const TRANSLATED: Value = Value::Endpoint(|row| {
    let (address, port) = row.record.owner.forwarded()?.translated.as_ref()?;
    Some((address, *port))
});
pub const PID: Value = Value::Number(
    |row, _| row.record.process().map(|process| process.pid.into()).filter(|pid| *pid != 0),
    Quantity::Label,
);
pub const COMM: Value = Value::Name(|row, _| row.record.owner_name());
pub const CMDLINE: Value = Value::Name(|row, frame| {
    let known = || row.record.process().map_or(&b""[..], |process| frame.names.cmdline(process));
    row.name_in(ColumnId::Cmdline).unwrap_or_else(known)
});
pub const USER: Value = Value::Name(|row, frame| {
    let known = || row.record.process().map_or(&b""[..], |process| frame.names.user(process.uid));
    row.name_in(ColumnId::User).unwrap_or_else(known)
});
pub const UNIT: Value = Value::Name(|row, frame| {
    let known = || row.record.process().map_or(&b""[..], |process| frame.names.unit(process));
    row.name_in(ColumnId::Unit).unwrap_or_else(known)
});
pub const CLIENT: Value = Value::Name(|row, frame| {
    let ends = &row.record.ends;
    let address = if row.record.owner.is_forwarded() { &ends.laddr } else { &ends.raddr };
    row.name_in(ColumnId::Client).unwrap_or_else(|| frame.names.client(address))
});
pub const STATE: Value = Value::Word(|row| match row.record.protocol {
    _ if row.record.owner.forwarded().is_some_and(|forwarded| forwarded.offloaded) => "OFFLOADED",
    Protocol::Tcp => row.record.state.map_or("", |state| state.name()),
    Protocol::Udp | Protocol::Other(_) => "",
});
pub const RX_BYTES: Value = Value::Number(|row, _| total(row, |totals| totals.rx_bytes), Quantity::Size);
pub const TX_BYTES: Value = Value::Number(|row, _| total(row, |totals| totals.tx_bytes), Quantity::Size);
pub const BYTES: Value = Value::Number(
    |row, _| total(row, |totals| totals.rx_bytes.saturating_add(totals.tx_bytes)),
    Quantity::Size,
);
pub const RX_PACKETS: Value = Value::Number(|row, _| total(row, |totals| totals.rx_packets), Quantity::Count);
pub const TX_PACKETS: Value = Value::Number(|row, _| total(row, |totals| totals.tx_packets), Quantity::Count);
pub const RX_RATE: Value =
    Value::Number(|row, frame| Some(per_second(row.record.growth.rx, frame.interval)), Quantity::Rate);
pub const TX_RATE: Value =
    Value::Number(|row, frame| Some(per_second(row.record.growth.tx, frame.interval)), Quantity::Rate);
pub const RATE: Value =
    Value::Number(|row, frame| Some(per_second(row.record.growth.sum(), frame.interval)), Quantity::Rate);
pub const RTT: Value = Value::Number(|row, _| row.record.rtt_us().map(u64::from), Quantity::Micros);
pub const RETRANSMITS: Value = Value::Number(
    |row, _| {
        let totals = row.record.totals().filter(|_| row.record.protocol == Protocol::Tcp);
        Some(totals?.retransmits.into())
    },
    Quantity::Count,
);
pub const START: Value = Value::Moment(|row, frame| {
    let ago = frame.now.since(row.record.began?);
    Some(frame.time.saturating_sub(ago))
});
pub const DURATION: Value = Value::Number(
    |row, frame| {
        let ended = row.record.last_active.filter(|_| row.kind.event == Event::Closed);
        u64::try_from(ended.unwrap_or(frame.now).since(row.record.began?).as_millis()).ok()
    },
    Quantity::Millis,
);
pub const DIRECTION: Value = Value::Word(|row| match row.record.opener {
    Some(Opener::Local) => "out",
    Some(Opener::Remote) => "in",
    None => "",
});
pub const INTERFACE: Value = Value::Name(|row, frame| {
    row.name_in(ColumnId::Interface).unwrap_or_else(|| frame.names.interface(row.record))
});
pub const REASON: Value = Value::Word(|row| {
    let extra = row.record.extra.as_ref().filter(|_| row.kind.event == Event::Closed);
    extra.and_then(|extra| extra.details.reason).map_or("", Reason::name)
});
pub const RECEIVE_QUEUE: Value = Value::Number(|row, _| queue(row, |queues| queues.unread), Quantity::Size);
pub const SEND_QUEUE: Value =
    Value::Number(|row, _| queue(row, |queues| queues.unacknowledged), Quantity::Size);
pub const WINDOW: Value = Value::Number(|row, _| queue(row, |queues| queues.window), Quantity::Count);
pub const AVERAGE_10: Value = Value::Number(|row, _| past(row)?.average(0), Quantity::Rate);
pub const AVERAGE_60: Value = Value::Number(|row, _| past(row)?.average(1), Quantity::Rate);
pub const TREND: Value = Value::Trend(past);
pub const HOST: Value = Value::Name(|_, frame| frame.host);
pub const CONNECTIONS: Value = Value::Number(|row, _| Some(row.kind.connections.into()), Quantity::Count);

/// Returns a value only for open connections: the queues of an ended one are gone.
fn queue(row: &Row<'_>, field: fn(&Queues) -> u32) -> Option<u64> {
    let extra = row.record.extra.as_ref().filter(|_| row.kind.event == Event::Live)?;
    extra.queues.as_ref().map(field).map(u64::from)
}

/// Returns no history for a group, because its record carries that of just one of its connections.
fn past<'a>(row: &Row<'a>) -> Option<&'a History> {
    row.record.extra.as_ref().filter(|_| row.kind.event != Event::Group)?.history.as_deref()
}

fn total(row: &Row<'_>, field: fn(&Counters) -> u64) -> Option<u64> {
    row.record.totals().map(field)
}
