use super::*;
use crate::{
    conntrack::{entry::Identity, line},
    sys::netlink::messages,
    testing::{corpus, hostile},
};

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("short");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn nested(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | 1 << 15, &attributes.concat())
}

fn one_way(kind: u16, ends: [[u8; 4]; 2], protocol: &[Vec<u8>], zone: Option<u16>) -> Vec<u8> {
    let [source, destination] = ends;
    let addresses = nested(1, &[attribute(1, &source), attribute(2, &destination)]);
    let zone = zone.map(|zone| attribute(3, &zone.to_be_bytes()));
    nested(kind, &[addresses, nested(2, protocol), zone.unwrap_or_default()])
}

fn counters(kind: u16, packets: u64, bytes: u64) -> Vec<u8> {
    nested(kind, &[attribute(1, &packets.to_be_bytes()), attribute(2, &bytes.to_be_bytes())])
}

fn ports(protocol: u8, source: u16, destination: u16) -> [Vec<u8>; 3] {
    [attribute(1, &[protocol]), attribute(2, &source.to_be_bytes()), attribute(3, &destination.to_be_bytes())]
}

fn message(attributes: &[Vec<u8>]) -> Vec<u8> {
    [vec![2, 0, 0, 0], attributes.concat()].concat()
}

const INSIDE: [u8; 4] = [192, 0, 2, 142];
const OUTSIDE: [u8; 4] = [198, 51, 100, 92];

/// A message that says what the fourth line of the fixtures says.
fn time_wait() -> Vec<u8> {
    message(&[
        one_way(1, [INSIDE, OUTSIDE], &ports(6, 57776, 443), None),
        one_way(2, [OUTSIDE, INSIDE], &ports(6, 443, 57776), None),
        attribute(3, &0x18e_u32.to_be_bytes()),
        nested(4, &[nested(1, &[attribute(1, &[7])])]),
        attribute(7, &117_u32.to_be_bytes()),
        counters(9, 9, 1280),
        counters(10, 10, 4553),
        nested(20, &[attribute(1, &1_700_000_000_000_000_000_u64.to_be_bytes())]),
        attribute(12, &0x1234_5678_u32.to_be_bytes()),
    ])
}

fn line(at: usize) -> Entry {
    let lines = include_bytes!("fixtures/nf_conntrack");
    line::entry(lines.split(|byte| *byte == b'\n').nth(at).expect("a line")).expect("well-formed")
}

#[test]
fn a_message_says_what_a_line_says() {
    let read = entry(&time_wait()).expect("well-formed");
    assert_eq!((read.instance, read.began), (Some(0x1234_5678), Some(1_700_000_000_000_000_000)));
    let from_line = line(3);
    let identity = Identity::default();
    assert_eq!(identity.of(&read), identity.of(&from_line));
    assert_eq!(Entry { instance: None, began: None, ..read }, from_line);
}

#[test]
fn both_sources_name_gre_and_zones_alike() {
    let (near, far) = ([192, 0, 2, 1], [198, 51, 100, 1]);
    let gre = message(&[
        one_way(1, [near, far], &ports(47, 0x1f, 0xabcd), None),
        one_way(2, [far, near], &ports(47, 0xabcd, 0x1f), None),
        attribute(18, &7_u16.to_be_bytes()),
        counters(9, 3, 300),
        counters(10, 0, 0),
    ]);
    assert_eq!(entry(&gre), Some(line(4)));
    let zones = message(&[
        one_way(1, [near, far], &ports(17, 5353, 53), Some(9)),
        one_way(2, [far, near], &ports(17, 53, 5353), Some(4)),
        counters(9, 1, 61),
    ]);
    assert_eq!(entry(&zones), Some(line(6)));
}

#[test]
fn icmp_is_told_apart_by_its_identifier() {
    let echo = |protocol: u8, first: u16, kind: u8| {
        [
            attribute(1, &[protocol]),
            attribute(first, &15871_u16.to_be_bytes()),
            attribute(first + 1, &[kind]),
            attribute(first + 2, &[0]),
        ]
    };
    let echo_of_four = message(&[
        one_way(1, [INSIDE, OUTSIDE], &echo(1, 4, 8), None),
        one_way(2, [OUTSIDE, INSIDE], &echo(1, 4, 0), None),
    ]);
    let read = entry(&echo_of_four).expect("well-formed");
    assert_eq!((read.protocol, read.original.other, read.counts), (1, tuple::icmp(15871, 8, 0), [None; 2]));
    // This is what the third line of the fixtures says.
    let six = |kind: u16, source: [u8; 16], destination: [u8; 16], type_of: u8| {
        let addresses = nested(1, &[attribute(3, &source), attribute(4, &destination)]);
        nested(kind, &[addresses, nested(2, &echo(58, 7, type_of))])
    };
    let from_line = line(2);
    let (original, reply) = (from_line.original, from_line.reply);
    let echo_of_six = message(&[
        six(1, original.source, original.destination, 128),
        six(2, reply.source, reply.destination, 129),
        counters(9, 2, 208),
        counters(10, 2, 208),
    ]);
    assert_eq!(entry(&echo_of_six), Some(from_line));
}

#[test]
fn offloaded_connections_are_marked() {
    for (status, offloaded) in [(1_u32 << 14, true), (1 << 15, true), (0x18e, false)] {
        let status = attribute(3, &status.to_be_bytes());
        let read = entry(&[time_wait(), status].concat()).expect("well-formed");
        assert_eq!(read.offloaded, offloaded);
    }
}

#[test]
fn cut_and_changed_messages_are_read_without_panic() {
    let whole = time_wait();
    for cut in 0..whole.len() {
        let read = entry(&whole[..cut]);
        // The entry may lack what was cut off, but must have nothing else.
        if let Some(read) = read {
            assert_eq!(read.original, entry(&whole).expect("well-formed").original, "{cut}");
        }
    }
    for at in 0..whole.len() {
        for byte in [0, 1, 3, 4, 0x7f, 0xff] {
            let mut changed = whole.clone();
            changed[at] = byte;
            let _ = entry(&changed);
        }
    }
}

#[test]
fn both_tuples_are_needed() {
    let way = |kind| one_way(kind, [INSIDE, OUTSIDE], &ports(17, 1, 2), None);
    let addresses = nested(1, &[attribute(1, &INSIDE), attribute(2, &OUTSIDE)]);
    assert_eq!(entry(&message(&[way(1)])), None);
    assert_eq!(entry(&message(&[way(2)])), None);
    assert_eq!(entry(&message(&[nested(1, &[addresses]), way(2)])), None);
    assert_eq!(entry(&message(&[nested(1, &[nested(2, &ports(17, 1, 2))]), way(2)])), None);
    assert!(entry(&message(&[way(1), way(2)])).is_some());
    for short in [&[][..], &[2], &[2, 0, 0]] {
        assert_eq!(entry(short), None);
    }
}

#[test]
fn hostile_input() {
    let mut corpus = corpus("conntrack-messages");
    let payload = time_wait();
    let length = u32::try_from(16 + payload.len()).expect("short").to_ne_bytes();
    corpus.push([&length[..], &NEW.to_ne_bytes(), &[0; 10], &payload].concat());
    let tokens: [&[u8]; 6] =
        [&[8, 0, 1, 0], &[52, 0, 1, 0x80], &[28, 0, 9, 0x80], &[5, 0, 1, 0], &[6, 0, 2, 0], &[4, 0, 2, 0]];
    hostile::Input { corpus, tokens: &tokens }.run(|datagram| {
        for message in messages(datagram) {
            if let (Some(whole), Some(part)) = (entry(message.payload), entry(hostile::cut(message.payload)))
            {
                // A cut message lacks what follows the cut. If an attribute comes twice, the cut may leave only the
                // first one.
                let is_plain =
                    Attributes::new(&message.payload[REQUEST.len()..]).filter(|(kind, _)| *kind < 3).count()
                        == 2;
                assert!(!is_plain || (whole.original, whole.reply) == (part.original, part.reply));
            }
        }
    });
}
