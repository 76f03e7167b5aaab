//! Hardware addresses of neighbours, for hosts without another name: from `/proc/net/arp` for IPv4, by netlink for IPv6.

use std::io;

use super::{
    book::{Book, HostAddress},
    text,
};
use crate::sys::netlink::{Attributes, Netlink};

/// Bytes of `struct ndmsg` (include/uapi/linux/neighbour.h).
const NDMSG: usize = 12;
/// The family, in the one byte that `struct ndmsg` has for it (include/linux/socket.h).
const AF_INET6: u8 = 10;
/// Attributes of a neighbour, from the header of `struct ndmsg`.
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
/// State of a neighbour that the kernel does not ask: a multicast group, or the host itself.
const NUD_NOARP: u16 = 0x40;

/// A hardware address of Ethernet and of wireless networks.
type Mac = [u8; 6];

/// Reads the lines of `/proc/net/arp` (net/ipv4/arp.c `arp_format_neigh_entry`, v6.1).
pub fn read(text: &[u8], book: &mut Book) {
    for line in text::lines(text) {
        let mut fields = text::fields(line);
        let (address, mac) = (fields.next().and_then(text::address), fields.nth(2).and_then(mac));
        // If another field follows, the hardware address is complete.
        if let (Some(address), Some(mac), Some(_)) = (address, mac, fields.next()) {
            add(address, mac, book);
        }
    }
}

/// Asks the kernel for the neighbours of IPv6 in our network namespace.
///
/// # Errors
/// Those of [`Netlink::open`] and [`Netlink::dump`].
pub fn ask(book: &mut Book) -> io::Result<()> {
    let mut request = [0; NDMSG];
    request[0] = AF_INET6;
    Netlink::open(libc::NETLINK_ROUTE)?.dump(libc::RTM_GETNEIGH, &request, &mut |message| {
        if let Some((address, mac)) =
            neighbour(message.payload).filter(|_| message.kind == libc::RTM_NEWNEIGH)
        {
            add(address, mac, book);
        }
    })?;
    Ok(())
}

/// Parses the addresses of a neighbour from `struct ndmsg` and its attributes.
fn neighbour(payload: &[u8]) -> Option<(HostAddress, Mac)> {
    let (header, attributes) = payload.split_first_chunk::<NDMSG>()?;
    let state = u16::from_ne_bytes([header[8], header[9]]);
    let attributes = Attributes::new(attributes);
    let address = attributes.value(NDA_DST)?.try_into().ok()?;
    let mac = attributes.value(NDA_LLADDR)?.try_into().ok()?;
    (state & NUD_NOARP == 0).then_some((address, mac))
}

fn mac(field: &[u8]) -> Option<Mac> {
    let mut bytes = field.split(|byte| *byte == b':').map(|digits| text::byte(digits.try_into().ok()?));
    let mut mac = Mac::default();
    for byte in &mut mac {
        *byte = bytes.next()??;
    }
    bytes.next().is_none().then_some(mac)
}

/// Names a host by its hardware address, unless the kernel does not know that address yet.
fn add(address: HostAddress, mac: Mac, book: &mut Book) {
    if mac != Mac::default() {
        let [a, b, c, d, e, f] = mac;
        book.add(address, format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        proc::testing::address,
        sys::netlink::messages,
        testing::{corpus, hostile},
    };

    #[test]
    fn the_table_of_ipv4() {
        let mut book = Book::default();
        read(
            b"IP address       HW type     Flags       HW address            Mask     Device\n\
              192.168.1.10     0x1         0x2         AA:bb:cc:0d:ee:ff     *        br-lan\n\
              192.168.1.11     0x1         0x0         00:00:00:00:00:00     *        br-lan\n\
              192.168.1.12     0x20        0x2         80:00:00:48:fe:80:00:00 *      ib0\n\
              192.168.1.13     0x1         0x2         aa:bb:cc:dd:ee\n\
              192.168.1.14     0x1         0x2         aa:bb:cc:dd:ee:+f     *        br-lan\n\
              192.168.1.15\n\xff\n\
              192.168.1.16     0x20        0x2         80:00:00:48:fe:80",
            &mut book,
        );
        assert_eq!(book.name(&address("192.168.1.10")), b"aa:bb:cc:0d:ee:ff");
        for none in 11..17 {
            assert_eq!(book.name(&address(&format!("192.168.1.{none}"))), b"", "{none}");
        }
    }

    #[test]
    fn messages_of_the_kernel() {
        let host = address("2001:db8::7");
        let message = |state: u16, mac: &[u8]| {
            let attribute = |kind: u16, value: &[u8]| {
                let length = u16::try_from(4 + value.len()).expect("short").to_ne_bytes();
                let mut bytes = [&length[..], &kind.to_ne_bytes(), value].concat();
                bytes.resize(bytes.len().next_multiple_of(4), 0);
                bytes
            };
            let header = [&[10, 0, 0, 0, 2, 0, 0, 0][..], &state.to_ne_bytes(), &[0, 1]].concat();
            [header, attribute(NDA_DST, &host), attribute(NDA_LLADDR, mac)].concat()
        };
        let reachable = message(2, &[2, 0, 0, 0, 0, 7]);
        assert_eq!(neighbour(&reachable), Some((host, [2, 0, 0, 0, 0, 7])));
        assert_eq!(neighbour(&message(NUD_NOARP, &[0x33, 0x33, 0, 0, 0, 1])), None);
        assert_eq!(neighbour(&message(2, &[2; 8])), None, "of another kind of network");
        for cut in 0..reachable.len() - 2 {
            assert_eq!(neighbour(&reachable[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn the_kernel_answers() {
        ask(&mut Book::default()).expect("netlink");
    }

    #[test]
    fn hostile_input() {
        hostile::Input { corpus: corpus("neighbour-messages"), tokens: &[&[10, 0, 2, 0], &[20, 0, 1, 0]] }
            .run(|datagram| {
                for message in messages(datagram) {
                    let part = neighbour(hostile::cut(message.payload));
                    // Of two attributes of one kind, the first counts.
                    assert!(part.is_none() || part == neighbour(message.payload), "a part of a message");
                }
            });
    }
}
