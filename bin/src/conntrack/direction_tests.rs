use tcptop_abi::mapped;

use super::*;
use crate::conntrack::tuple::Tuple;

const INSIDE: MappedAddress = mapped([192, 168, 1, 10]);
const SERVER: MappedAddress = mapped([192, 168, 1, 80]);
const ROUTER: MappedAddress = mapped([203, 0, 113, 1]);
const OUTSIDE: MappedAddress = mapped([198, 51, 100, 7]);
const OTHER: MappedAddress = mapped([198, 51, 100, 8]);

fn host() -> Host {
    Host::with(&[ROUTER, mapped([192, 168, 1, 1])], &[mapped([192, 168, 1, 255])])
}

fn entry(original: [TupleEnd; 2], reply: [TupleEnd; 2]) -> Entry {
    let tuple = |[(source, sport), (destination, dport)]: [TupleEnd; 2]| Tuple {
        source,
        destination,
        sport,
        dport,
        other: 0,
    };
    Entry { protocol: 6, original: tuple(original), reply: tuple(reply), ..Entry::default() }
}

#[test]
fn a_translated_source_is_near() {
    let entry = entry([(INSIDE, 1000), (OUTSIDE, 443)], [(OUTSIDE, 443), (ROUTER, 2000)]);
    let expected = Ends {
        near: (INSIDE, 1000),
        far: (OUTSIDE, 443),
        translated: Some((ROUTER, 2000)),
        sent_to: None,
        answers: false,
        forwarded: true,
    };
    assert_eq!(forwarded(&entry, &host()), Some(expected));
}

#[test]
fn a_translated_port_is_a_translation() {
    let entry = entry([(OTHER, 1000), (OUTSIDE, 443)], [(OUTSIDE, 443), (OTHER, 2000)]);
    assert_eq!(forwarded(&entry, &host()).and_then(|ends| ends.translated), Some((OTHER, 2000)));
}

#[test]
fn of_a_translated_destination_the_real_one_is_near() {
    let entry = entry([(OUTSIDE, 1000), (ROUTER, 443)], [(SERVER, 8443), (OUTSIDE, 1000)]);
    let expected = Ends {
        near: (SERVER, 8443),
        far: (OUTSIDE, 1000),
        translated: Some((ROUTER, 443)),
        sent_to: None,
        answers: true,
        forwarded: true,
    };
    assert_eq!(forwarded(&entry, &host()), Some(expected));
}

#[test]
fn of_a_hairpin_the_source_is_near() {
    let entry = entry([(INSIDE, 1000), (ROUTER, 443)], [(SERVER, 8443), (ROUTER, 2000)]);
    let expected = Ends {
        near: (INSIDE, 1000),
        far: (SERVER, 8443),
        translated: Some((ROUTER, 2000)),
        sent_to: Some((ROUTER, 443)),
        answers: false,
        forwarded: true,
    };
    assert_eq!(forwarded(&entry, &host()), Some(expected));
}

#[test]
fn without_translation_the_private_end_is_near() {
    let plain = |source, destination| {
        let (source, destination) = ((source, 1000), (destination, 443));
        forwarded(&entry([source, destination], [destination, source]), &host())
    };
    let expected = |near, far, answers| {
        Some(Ends { near, far, translated: None, sent_to: None, answers, forwarded: true })
    };
    assert_eq!(plain(INSIDE, OUTSIDE), expected((INSIDE, 1000), (OUTSIDE, 443), false));
    assert_eq!(plain(OUTSIDE, SERVER), expected((SERVER, 443), (OUTSIDE, 1000), true));
    assert_eq!(plain(INSIDE, SERVER), expected((INSIDE, 1000), (SERVER, 443), false));
    assert_eq!(plain(OTHER, OUTSIDE), expected((OTHER, 1000), (OUTSIDE, 443), false));
}

#[test]
fn what_this_host_sends_or_receives_is_not_forwarded() {
    let host = host();
    let plain = |source, destination| {
        let (source, destination) = ((source, 1000), (destination, 443));
        entry([source, destination], [destination, source])
    };
    for (source, destination) in [
        (ROUTER, OUTSIDE),
        (OUTSIDE, ROUTER),
        (mapped([192, 168, 1, 1]), INSIDE),
        (mapped([127, 0, 0, 1]), mapped([127, 0, 0, 53])),
        (INSIDE, mapped([255; 4])),
        (INSIDE, mapped([192, 168, 1, 255])),
        (INSIDE, mapped([224, 0, 0, 251])),
        (mapped([0; 4]), mapped([255; 4])),
    ] {
        assert_eq!(forwarded(&plain(source, destination), &host), None, "{source:?} {destination:?}");
    }
    // A firewall rule redirects this connection to a server of this host.
    let redirected = entry([(INSIDE, 1000), (OUTSIDE, 53)], [(mapped([192, 168, 1, 1]), 53), (INSIDE, 1000)]);
    assert_eq!(forwarded(&redirected, &host), None);
    // A rule redirects a connection to this host to another host, so this one forwards it.
    assert!(forwarded(&entry([(INSIDE, 1), (ROUTER, 2)], [(SERVER, 2), (INSIDE, 1)]), &host).is_some());
}

#[test]
fn own_flows_have_the_ends_of_their_sockets() {
    let host = host();
    let ends = |near, far, answers| {
        Some(Ends { near, far, translated: None, sent_to: None, answers, forwarded: false })
    };
    let out = entry([(ROUTER, 1000), (OUTSIDE, 53)], [(OUTSIDE, 53), (ROUTER, 1000)]);
    assert_eq!(own(&out, &host), ends((ROUTER, 1000), (OUTSIDE, 53), false));
    let into = entry([(INSIDE, 1000), (OUTSIDE, 53)], [(mapped([192, 168, 1, 1]), 5353), (INSIDE, 1000)]);
    assert_eq!(own(&into, &host), ends((mapped([192, 168, 1, 1]), 5353), (INSIDE, 1000), true));
    let both = entry([(ROUTER, 1), (ROUTER, 2)], [(ROUTER, 2), (ROUTER, 1)]);
    assert_eq!(own(&both, &host), ends((ROUTER, 1), (ROUTER, 2), false));
    assert_eq!(own(&entry([(INSIDE, 1), (OUTSIDE, 2)], [(OUTSIDE, 2), (INSIDE, 1)]), &host), None);
}
