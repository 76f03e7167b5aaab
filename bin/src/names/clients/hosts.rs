//! Hosts files, hosts(5): `/etc/hosts`, and those that odhcpd and OpenWrt make for dnsmasq.

use std::net::Ipv6Addr;

use super::{book::Book, text};

/// Reads the first name of each line, and uses the first line of each address. odhcpd lists its leases in comments, but the
/// lines below them have the same names (odhcpd src/statefiles.c `statefiles_write_state6`).
pub fn read(text: &[u8], book: &mut Book) {
    for line in text::lines(text) {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let mut fields = text::fields(line);
        let (Some(address), Some(name)) = (fields.next().and_then(text::address), fields.next()) else {
            continue;
        };
        // Lists of blocked domains use such addresses.
        let host = Ipv6Addr::from(address).to_canonical();
        if !host.is_loopback() && !host.is_unspecified() {
            book.add(address, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::testing::address;

    #[test]
    fn first_names() {
        let mut book = Book::default();
        read(
            b"127.0.0.1\tlocalhost\n\
              127.0.1.1\trouter.lan\trouter\n\
              ::1     ip6-localhost ip6-loopback\n\
              0.0.0.0 ads.example\n\
              192.0.2.1   nas.lan nas   # the first\r\n\
              192.0.2.1   other\n\
              #192.0.2.2  hidden\n\
              192.0.2.3\n\
              192.0.2.4 # none\n\
              192.0.2.300 bad\n\
              \xff\xfe \xff\n\
              2001:db8::5 \xff\xfe\n\
              2001:db8::6 last",
            &mut book,
        );
        let name = |text: &str| book.name(&address(text));
        assert_eq!(name("192.0.2.1"), b"nas.lan");
        assert_eq!((name("2001:db8::5"), name("2001:db8::6")), (&b"\xff\xfe"[..], &b"last"[..]));
        for none in ["127.0.0.1", "127.0.1.1", "::1", "0.0.0.0", "192.0.2.2", "192.0.2.3", "192.0.2.4"] {
            assert_eq!(name(none), b"", "{none}");
        }
    }

    #[test]
    fn odhcpd_of_openwrt() {
        let mut book = Book::default();
        // Older versions write leases as comments into /tmp/hosts/odhcpd. Newer ones write only hosts, to a file each interface.
        read(
            b"# br-lan 00010001aabbccdd001122334455 1 phone 1700000000 3e8 128 fd00::3e8/128\n\
              fd00::3e8\tphone.lan\tphone\n\
              # br-lan 0003000100aabbccddee 5 broken\\x20x 1700000000 4 128 fd00::4/128\n\
              # br-lan 001122334455 ipv4 tablet 1700000000 c0a80164 32 192.168.1.100/32\n\
              192.168.1.100\ttablet\n",
            &mut book,
        );
        assert_eq!(book.name(&address("fd00::3e8")), b"phone.lan");
        assert_eq!(book.name(&address("192.168.1.100")), b"tablet");
        assert_eq!(book.name(&address("fd00::4")), b"", "odhcpd refuses this name");
    }
}
