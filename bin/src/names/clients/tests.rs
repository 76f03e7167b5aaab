//! Tests the sources together: which one has precedence, and when they are read.

use std::time::Duration;

use super::{Clients, Reader, book::Book, dnsmasq, hosts, isc, kea, neighbours};
use crate::{
    proc::testing::{Tree, address},
    testing::{corpus, hostile},
};

/// All sources that name 192.0.2.1, the best first.
const SOURCES: [(&str, &[u8]); 8] = [
    ("tmp/dhcp.leases", b"1 00:00:00:00:00:01 192.0.2.1 openwrt *\n"),
    ("var/lib/misc/dnsmasq.leases", b"1 00:00:00:00:00:01 192.0.2.1 debian *\n"),
    ("tmp/hosts/odhcpd.hosts.lan", b"192.0.2.1\todhcpd.lan\todhcpd\n"),
    ("var/lib/dhcp/dhcpd.leases", b"lease 192.0.2.1 {\n  client-hostname \"isc\";\n}\n"),
    ("var/lib/kea/kea-leases4.csv", b"address,hostname\n192.0.2.1,kea\n"),
    ("etc/hosts", b"192.0.2.1 hosts\n"),
    ("proc/net/arp", b"192.0.2.1 0x1 0x2 00:00:00:00:00:01 * br-lan\n"),
    ("none", b""),
];

fn name(tree: &Tree, host: &str) -> Vec<u8> {
    let mut clients = Clients::new(&tree.path(""));
    clients.refresh(Duration::ZERO);
    clients.name(&address(host)).to_vec()
}

#[test]
fn the_best_source_wins() {
    let tree = Tree::new();
    for (file, text) in SOURCES {
        tree.file(file, text);
    }
    let names = ["openwrt", "debian", "odhcpd.lan", "isc", "kea", "hosts", "00:00:00:00:00:01", ""];
    for (expected, (file, _)) in names.iter().zip(SOURCES) {
        assert_eq!(name(&tree, "192.0.2.1"), expected.as_bytes());
        std::fs::remove_file(tree.path(file)).expect("ours");
    }
}

#[test]
fn a_host_without_a_name_in_its_lease_has_another() {
    let tree = Tree::new();
    tree.file("tmp/dhcp.leases", b"1 00:00:00:00:00:01 192.0.2.1 * *\n");
    tree.file("proc/net/arp", b"192.0.2.1 0x1 0x2 00:00:00:00:00:01 * br-lan\n");
    assert_eq!(name(&tree, "192.0.2.1"), b"00:00:00:00:00:01");
    tree.file("tmp/hosts/dhcp.cfg01411c", b"# auto-generated config file\n192.0.2.1 printer.lan printer\n");
    assert_eq!(name(&tree, "192.0.2.1"), b"printer.lan");
}

#[test]
fn kea_moves_older_leases() {
    let tree = Tree::new();
    let header = "address,valid_lifetime,hostname\n";
    let file = |end: &str, lines: &str| {
        let name = format!("var/lib/kea/kea-leases4.csv{end}");
        tree.file(&name, [header, lines].concat().as_bytes());
    };
    file(".2", "192.0.2.1,9,first\n192.0.2.2,9,older\n192.0.2.3,9,left\n");
    file(".1", "192.0.2.1,9,second\n");
    file("", "192.0.2.1,9,third\n192.0.2.3,0,left\n");
    let names = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|host| name(&tree, host));
    assert_eq!(names, [b"third".to_vec(), b"older".to_vec(), Vec::new()]);
}

#[test]
fn the_sources_are_read_every_ten_seconds() {
    let tree = Tree::new();
    let host = address("192.0.2.1");
    let mut clients = Clients::new(&tree.path(""));
    assert_eq!(clients.name(&host), b"", "the sources were not read yet");
    let steps = [(0, "a", "a"), (9_999, "b", "a"), (10_000, "b", "b"), (19_999, "c", "b"), (5_000, "c", "b")];
    for (now, written, shown) in steps {
        tree.file("etc/hosts", format!("192.0.2.1 {written}\n").as_bytes());
        clients.refresh(Duration::from_millis(now));
        assert_eq!(clients.name(&host), shown.as_bytes(), "{now}");
    }
    std::fs::remove_file(tree.path("etc/hosts")).expect("ours");
    clients.refresh(Duration::from_secs(60));
    assert_eq!(clients.name(&host), b"", "no source has it any more");
}

#[test]
fn long_names_are_cut() {
    let tree = Tree::new();
    let line = format!("1 00:00:00:00:00:01 192.0.2.1 {} *\n", "x".repeat(200));
    tree.file("tmp/dhcp.leases", line.as_bytes());
    assert_eq!(name(&tree, "192.0.2.1"), [b'x'; 63]);
}

#[test]
fn the_real_tree_can_be_read() {
    let mut clients = Clients::new("/".as_ref());
    clients.refresh(Duration::ZERO);
    assert_eq!(clients.name(&address("127.0.0.1")), b"");
}

#[test]
fn hostile_input() {
    // Servers may be writing to these files. Hosts files get their names only when they are complete.
    let readers: [(Reader, bool); 5] = [
        (dnsmasq::read, true),
        (isc::read, true),
        (kea::read, true),
        (neighbours::read, true),
        (hosts::read, false),
    ];
    let mut given = [corpus("leases"), corpus("hosts")].concat();
    given.extend(SOURCES.map(|(_, text)| text.to_vec()));
    let tokens: [&[u8]; 10] = [
        b"lease 192.0.2.1 {\n",
        b"}\n",
        b"  client-hostname \"",
        b"\";\n",
        b"&#x",
        b"&#xff",
        b"address,hostname\n",
        b"\n192.0.2.1 ",
        b"\\377",
        b"00:00:00:00:00:01",
    ];
    hostile::Input { corpus: given, tokens: &tokens }.run(|text| {
        for (read, may_be_cut) in readers {
            let names = |text: &[u8]| {
                let mut book = Book::default();
                book.begin();
                read(text, &mut book);
                book.names()
            };
            let names_of_all = names(text);
            assert!(names_of_all.values().all(|name| (1..=63).contains(&name.len())));
            if !may_be_cut {
                continue;
            }
            let length = hostile::cut(text).len();
            let is_end = |byte: &u8| *byte == b'\n';
            let begin = text[..length].iter().rposition(is_end).map_or(0, |last| last + 1);
            let end = text[length..].iter().position(is_end).map_or(text.len(), |more| length + more + 1);
            let of_part = names(&text[..length]);
            let is_known = of_part == names(&text[..begin]) || of_part == names(&text[..end]);
            assert!(is_known, "a cut line must not give another name");
        }
    });
}
