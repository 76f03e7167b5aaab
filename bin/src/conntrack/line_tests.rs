use std::net::Ipv6Addr;

use super::*;
use crate::{
    collector::TcpState,
    testing::{corpus, hostile},
};

const FIXTURE: &[u8] = include_bytes!("fixtures/nf_conntrack");

fn fixtures() -> Vec<&'static [u8]> {
    FIXTURE.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect()
}

fn fixture(at: usize) -> Entry {
    entry(fixtures()[at]).expect("well-formed")
}

fn four(a: u8, b: u8, c: u8, d: u8) -> MappedAddress {
    mapped([a, b, c, d])
}

fn count(packets: u64, bytes: u64) -> Option<Count> {
    Some(Count { packets, bytes })
}

#[test]
fn an_offloaded_connection_without_the_family_column() {
    let read = fixture(0);
    let expected = Entry {
        protocol: 6,
        original: Tuple {
            source: four(192, 168, 1, 10),
            destination: four(10, 0, 1, 1),
            sport: 42984,
            dport: 5201,
            other: 0,
        },
        reply: Tuple {
            source: four(10, 0, 1, 1),
            destination: four(10, 0, 1, 2),
            sport: 5201,
            dport: 42984,
            other: 0,
        },
        counts: [count(2, 112), count(1, 60)],
        offloaded: true,
        ..Entry::default()
    };
    assert_eq!(read, expected);
}

#[test]
fn a_connection_offloaded_to_hardware() {
    let read = fixture(1);
    assert_eq!((read.protocol, read.offloaded, read.state), (17, true, None));
    assert_eq!(read.counts, [count(31, 4600), count(31, 11904)]);
    assert_eq!(read.reply.to(), (four(203, 0, 113, 9), 38720));
}

#[test]
fn icmpv6_with_addresses_in_full() {
    let read = fixture(2);
    let inside: Ipv6Addr = "fd00:30:1:0:e86a:9aff:fe62:3d96".parse().expect("an address");
    let outside: Ipv6Addr = "2001:db8:1f97::1".parse().expect("an address");
    assert_eq!((read.protocol, read.original.from()), (58, (inside.octets(), 0)));
    assert_eq!(read.reply.to(), (outside.octets(), 0));
    assert_eq!(read.original.other, tuple::icmp(15871, 128, 0));
    assert_eq!(read.reply.other, tuple::icmp(15871, 129, 0));
}

#[test]
fn a_tcp_state() {
    let read = fixture(3);
    assert_eq!((read.state, read.offloaded), (Some(TcpState::TimeWait), false));
    assert_eq!(read.counts, [count(9, 1280), count(10, 4553)]);
}

#[test]
fn gre_with_timeouts_and_keys() {
    let read = fixture(4);
    assert_eq!((read.protocol, read.zone), (47, 7));
    assert_eq!(read.original.other, tuple::gre(0x1f, 0xabcd));
    assert_eq!(read.reply.other, tuple::gre(0xabcd, 0x1f));
    assert_eq!((read.original.sport, read.counts), (0, [count(3, 300), count(0, 0)]));
}

#[test]
fn a_protocol_without_ports_that_is_not_counted() {
    let read = fixture(5);
    assert_eq!((read.protocol, read.original.from()), (50, (four(192, 0, 2, 1), 0)));
    assert_eq!(read.counts, [None, None]);
}

#[test]
fn zones_of_one_direction() {
    let read = fixture(6);
    assert_eq!(read.zone, 9);
    assert_eq!(read.counts, [count(1, 61), None]);
}

#[test]
fn a_cut_line_is_malformed_unless_nothing_that_is_read_is_cut() {
    for line in fixtures() {
        let whole = entry(line);
        for cut in 0..line.len() {
            let read = entry(&line[..cut]);
            assert!(read.is_none() || read == whole, "{}", String::from_utf8_lossy(&line[..cut]));
        }
    }
}

#[test]
fn absurd_numbers_are_malformed() {
    let line = "ipv4 2 tcp 6 9 CLOSE src=192.0.2.1 dst=192.0.2.2 sport=1 dport=2 packets=3 bytes=4 src=192.0.2.2 \
                dst=192.0.2.1 sport=2 dport=1 packets=5 bytes=6 zone=7 use=1";
    assert!(entry(line.as_bytes()).is_some());
    for (good, bad) in [
        ("tcp 6", "tcp 256"),
        ("tcp 6", "tcp -6"),
        ("tcp 6 9", "tcp"),
        ("src=192.0.2.1", "src=192.0.2.256"),
        ("src=192.0.2.1", "src="),
        ("src=192.0.2.1", "src=::1::2"),
        ("dst=192.0.2.2", "other=1"),
        ("sport=1", "sport=65536"),
        ("dport=2", "dport=0x2"),
        ("bytes=4", "bytes=18446744073709551616"),
        ("packets=5", "packets="),
        ("zone=7", "zone=65536"),
        ("use=1", "used=1"),
        ("zone=7", "src=192.0.2.1 dst=192.0.2.2"),
    ] {
        let broken = line.replacen(good, bad, 1);
        assert_eq!(entry(broken.as_bytes()), None, "{broken}");
    }
    let most = line.replacen("bytes=4", "bytes=18446744073709551615", 1);
    let read = entry(most.as_bytes()).expect("64 bits");
    assert_eq!(read.counts[0], count(3, u64::MAX));
}

#[test]
fn any_bytes_are_read_without_panic() {
    for line in fixtures() {
        for at in 0..line.len() {
            for byte in [0, b' ', b'=', b'9', 0xff] {
                let mut changed = line.to_vec();
                changed[at] = byte;
                let _ = entry(&changed);
            }
        }
    }
    for line in [&b""[..], b" ", b"ipv4", b"ipv4 2", b"ipv6 10 tcp", b"= = = =", b"tcp 6 = src src= use="] {
        assert_eq!(entry(line), None);
    }
}

#[test]
fn hostile_input() {
    let mut corpus = corpus("conntrack");
    corpus.push(FIXTURE.to_vec());
    let tokens: [&[u8]; 10] = [
        b" src=",
        b" dst=192.0.2.1",
        b" packets=",
        b" bytes=18446744073709551615",
        b" [OFFLOAD]",
        b" use=2",
        b" zone=",
        b" type=8 code=0 id=",
        b" srckey=0x",
        b"ESTABLISHED",
    ];
    hostile::Input { corpus, tokens: &tokens }.run(|text| {
        for line in text.split(|byte| *byte == b'\n') {
            let (whole, part) = (entry(line), entry(hostile::cut(line)));
            // Only the kernel's last field tells that a line is whole, so it must not be elsewhere in it.
            let fields = line.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
            let is_of_kernel = fields.rev().position(|field| field.starts_with(b"use=")) == Some(0)
                && line.windows(4).filter(|part| part == b"use=").count() == 1;
            assert!(!is_of_kernel || part.is_none() || part == whole, "a part of a line");
        }
    });
}
