//! Sample connections of a small host, for tests.

use std::{net::IpAddr, time::Duration};

use tcptop_abi::{COMM_LEN, Counters, Endpoints};

use super::{OutputOptions, ReportFormat};
use crate::{
    columns::{self, Frame, NumberFormat, TimeFormat},
    conn::{ConnectionKey, ConnectionOwner, ConnectionRecord, Process, Protocol, Report, TcpState, Traffic},
    names::{NameOptions, Names},
    sys::clock::Moment,
    view::Selection,
};

/// The records that a sample report borrows.
pub struct Records {
    pub live: Vec<ConnectionRecord>,
    pub closed: Vec<ConnectionRecord>,
}

pub fn address(text: &str) -> [u8; 16] {
    match text.parse().expect("an address") {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// An active connection without owner and totals.
pub fn record(protocol: Protocol, local: (&str, u16), remote: (&str, u16)) -> ConnectionRecord {
    let ends =
        Endpoints { laddr: address(local.0), lport: local.1, raddr: address(remote.0), rport: remote.1 };
    ConnectionRecord {
        key: ConnectionKey { index: 0, generation: 1 },
        protocol,
        ends,
        state: (protocol == Protocol::Tcp).then_some(TcpState::Established),
        owner: ConnectionOwner::Unknown,
        extra: None,
        counters: Counters::default(),
        counted: false,
        growth: Traffic::default(),
        began: None,
        last_active: None,
        opener: None,
        active: true,
    }
}

pub fn process(pid: u32, name: &[u8]) -> ConnectionOwner {
    let mut comm = [0; COMM_LEN];
    comm[..name.len()].copy_from_slice(name);
    ConnectionOwner::Process(Process { pid, uid: 0, start: 1, comm })
}

fn counters(bytes: (u64, u64), packets: (u64, u64), retransmits: u32, rtt_us: u32) -> Counters {
    let ((rx_bytes, tx_bytes), (rx_packets, tx_packets)) = (bytes, packets);
    Counters { rx_bytes, tx_bytes, rx_packets, tx_packets, retransmits, rtt_us }
}

/// Five open connections, the last of them idle, and two that ended.
pub fn records() -> Records {
    use Protocol::{Tcp, Udp};
    let live = vec![
        ConnectionRecord {
            owner: process(4211, b"curl"),
            counted: true,
            counters: counters((12_886_016, 1_234), (9_120, 4_410), 0, 12_345),
            growth: Traffic { rx: 12_582_912, tx: 310 },
            ..record(Tcp, ("192.168.1.10", 51514), ("203.0.113.77", 443))
        },
        ConnectionRecord {
            owner: process(977, b"sshd"),
            counted: true,
            counters: counters((48_213, 1_048_535), (812, 990), 3, 250),
            growth: Traffic { rx: 1_536, tx: 10_240 },
            ..record(
                Tcp,
                ("2001:db8:85a3::8a2e:370:7334", 22),
                ("2001:db8:85a3:8d3:1319:8a2e:370:7348", 50022),
            )
        },
        ConnectionRecord {
            owner: process(612, b"systemd-resolve"),
            counted: true,
            counters: counters((118, 41), (1, 1), 0, 0),
            growth: Traffic { rx: 118, tx: 41 },
            ..record(Udp, ("192.168.1.10", 40112), ("9.9.9.9", 53))
        },
        ConnectionRecord {
            state: Some(TcpState::SynRecv),
            ..record(Tcp, ("192.168.1.10", 8080), ("192.168.100.200", 65535))
        },
        ConnectionRecord {
            owner: process(4_194_303, b"db worker"),
            counted: true,
            counters: counters((7 << 30, 1023), (5_000_000, 2_500_000), 12, 1_200_000),
            active: false,
            ..record(Tcp, ("10.0.0.7", 5432), ("10.0.0.8", 33000))
        },
    ];
    let closed = vec![
        ConnectionRecord {
            state: Some(TcpState::TimeWait),
            owner: process(1999, b"a\"b,\x1b[2J\xff"),
            counted: true,
            counters: counters((12_345, 1_000_000), (20, 31), 2, 31),
            growth: Traffic { rx: 12_345, tx: 1_000_000 },
            ..record(Tcp, ("127.0.0.1", 39000), ("127.0.0.1", 5201))
        },
        ConnectionRecord {
            owner: process(2001, b"chronyd"),
            counted: true,
            counters: counters((48, 48), (1, 1), 0, 0),
            growth: Traffic { rx: 48, tx: 48 },
            ..record(Udp, ("::1", 40113), ("::1", 123))
        },
    ];
    Records { live, closed }
}

/// A report of `records`, made at 2026-11-23T12:41:52.123Z.
pub fn report(records: &Records) -> Report<'_> {
    Report {
        time: Duration::from_millis(1_795_437_712_123),
        now: Moment::from(Duration::from_secs(5000)),
        interval: Duration::from_micros(1_000_000),
        tcp: 12,
        udp: 3,
        forwarding: None,
        total: Traffic { rx: 12_600_841, tx: 1_010_954 },
        untracked: Traffic::default(),
        other: Traffic::default(),
        refused: 0,
        unreported: 0,
        encapsulated: 0,
        malformed: 0,
        missed_forwarded: 0,
        lost: 0,
        full: 0,
        live: records.live.iter().collect(),
        closed: records.closed.iter().collect(),
        left_out: 0,
        listening: &[],
    }
}

/// All connections, in text.
pub fn selection() -> Selection {
    Selection { live: true, idle: true, ..Selection::default() }
}

/// Text, as it is by default.
pub fn options() -> OutputOptions {
    OutputOptions {
        format: ReportFormat::Text,
        columns: columns::TEXT.to_vec(),
        drop_from_right: false,
        first: Vec::new(),
        rows: None,
        pipe_rows: 20,
        sums: false,
        headings: true,
        quiet: false,
        repaint: true,
        wide: false,
        numbers: NumberFormat::default(),
        host: None,
        time: TimeFormat::Utc,
        file: None,
    }
}

/// CSV, as it is by default.
pub fn csv() -> OutputOptions {
    OutputOptions { format: ReportFormat::Csv, columns: columns::CSV.to_vec(), ..options() }
}

pub fn names() -> Names {
    Names::new("/nonexistent".as_ref(), NameOptions::default())
}

pub fn frame<'a>(report: &Report<'_>, names: &'a Names) -> Frame<'a> {
    let Report { time, now, interval, .. } = *report;
    Frame {
        time,
        now,
        interval,
        time_format: TimeFormat::Utc,
        numbers: NumberFormat::default(),
        host: b"sample",
        names,
    }
}

/// A descriptor that never becomes readable.
pub fn never() -> std::os::fd::OwnedFd {
    std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback").into()
}
