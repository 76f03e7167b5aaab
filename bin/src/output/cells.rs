//! The values of a row's cells, as the table of columns names them. `*_text` is what a screen shows where that differs
//! from CSV: human sizes, a dash for what is not known. CSV has nothing there.

use tcptop_abi::Counters;

use super::{address, columns::Row, name, units};
use crate::conn::Protocol;

pub fn time(row: &Row, out: &mut Vec<u8>) {
    out.extend_from_slice(row.time);
}

pub fn event(row: &Row, out: &mut Vec<u8>) {
    out.extend_from_slice(if row.closed { b"closed" } else { b"live" });
}

pub fn protocol(row: &Row, out: &mut Vec<u8>) {
    out.extend_from_slice(match row.record.key.protocol {
        Protocol::Tcp => b"tcp",
        Protocol::Udp => b"udp",
    });
}

/// What ended is marked here, not by its state: UDP has none, and a narrow screen does not show it.
pub fn protocol_text(row: &Row, _: usize, out: &mut Vec<u8>) {
    if row.closed {
        out.push(b'-');
    }
    protocol(row, out);
}

pub fn local_address(row: &Row, out: &mut Vec<u8>) {
    address::address(&row.record.key.ends.laddr, out);
}

pub fn local_port(row: &Row, out: &mut Vec<u8>) {
    units::decimal(row.record.key.ends.lport.into(), out);
}

pub fn local_text(row: &Row, room: usize, out: &mut Vec<u8>) {
    address::endpoint(&row.record.key.ends.laddr, row.record.key.ends.lport, room, out);
}

pub fn remote_address(row: &Row, out: &mut Vec<u8>) {
    address::address(&row.record.key.ends.raddr, out);
}

pub fn remote_port(row: &Row, out: &mut Vec<u8>) {
    units::decimal(row.record.key.ends.rport.into(), out);
}

pub fn remote_text(row: &Row, room: usize, out: &mut Vec<u8>) {
    address::endpoint(&row.record.key.ends.raddr, row.record.key.ends.rport, room, out);
}

pub fn pid(row: &Row, out: &mut Vec<u8>) {
    if let Some(process) = &row.record.process {
        units::decimal(process.pid.into(), out);
    }
}

pub fn pid_text(row: &Row, _: usize, out: &mut Vec<u8>) {
    or_dash(out, |out| pid(row, out));
}

pub fn comm(row: &Row, out: &mut Vec<u8>) {
    if let Some(process) = &row.record.process {
        name::csv(process.name(), out);
    }
}

pub fn comm_text(row: &Row, _: usize, out: &mut Vec<u8>) {
    or_dash(out, |out| {
        if let Some(process) = &row.record.process {
            name::plain(process.name(), out);
        }
    });
}

pub fn state(row: &Row, out: &mut Vec<u8>) {
    if let Some(state) = row.record.state {
        out.extend_from_slice(state.name().as_bytes());
    }
}

pub fn state_text(row: &Row, _: usize, out: &mut Vec<u8>) {
    or_dash(out, |out| state(row, out));
}

pub fn rx_bytes(row: &Row, out: &mut Vec<u8>) {
    total(row, |totals| totals.rx_bytes, units::decimal, out);
}

pub fn rx_bytes_text(row: &Row, _: usize, out: &mut Vec<u8>) {
    or_dash(out, |out| total(row, |totals| totals.rx_bytes, units::size, out));
}

pub fn tx_bytes(row: &Row, out: &mut Vec<u8>) {
    total(row, |totals| totals.tx_bytes, units::decimal, out);
}

pub fn tx_bytes_text(row: &Row, _: usize, out: &mut Vec<u8>) {
    or_dash(out, |out| total(row, |totals| totals.tx_bytes, units::size, out));
}

pub fn rx_packets(row: &Row, out: &mut Vec<u8>) {
    total(row, |totals| totals.rx_packets, units::decimal, out);
}

pub fn tx_packets(row: &Row, out: &mut Vec<u8>) {
    total(row, |totals| totals.tx_packets, units::decimal, out);
}

pub fn rx_rate(row: &Row, out: &mut Vec<u8>) {
    units::decimal(row.record.rx_rate, out);
}

pub fn rx_rate_text(row: &Row, _: usize, out: &mut Vec<u8>) {
    units::size(row.record.rx_rate, out);
}

pub fn tx_rate(row: &Row, out: &mut Vec<u8>) {
    units::decimal(row.record.tx_rate, out);
}

pub fn tx_rate_text(row: &Row, _: usize, out: &mut Vec<u8>) {
    units::size(row.record.tx_rate, out);
}

pub fn rtt(row: &Row, out: &mut Vec<u8>) {
    if let Some(us) = row.record.rtt_us() {
        units::decimal(us.into(), out);
    }
}

pub fn rtt_text(row: &Row, _: usize, out: &mut Vec<u8>) {
    match row.record.rtt_us() {
        Some(us) => units::rtt(us, out),
        None => out.push(b'-'),
    }
}

pub fn retransmits(row: &Row, out: &mut Vec<u8>) {
    if row.record.key.protocol == Protocol::Tcp {
        total(row, |totals| totals.retransmits.into(), units::decimal, out);
    }
}

fn total(row: &Row, field: fn(&Counters) -> u64, form: fn(u64, &mut Vec<u8>), out: &mut Vec<u8>) {
    if let Some(totals) = &row.record.totals {
        form(field(totals), out);
    }
}

/// A dash where `cell` writes nothing.
fn or_dash(out: &mut Vec<u8>, cell: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    cell(out);
    if out.len() == start {
        out.push(b'-');
    }
}
