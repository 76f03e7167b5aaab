//! The leases of dnsmasq (src/lease.c `lease_update_file`, 2.93).

use super::{book::Book, text};

/// Reads the names of lines `expiry mac address name client-id`. IPv6 lines have `iaid` and `duid` in the places of `mac`
/// and `client-id`. A star means no name. Other lines, such as `duid …` and `vendorclass …`, have fewer fields.
pub fn read(text: &[u8], book: &mut Book) {
    for line in text::lines(text) {
        let mut fields = text::fields(line);
        let mut next = || fields.next();
        let (Some(expiry), Some(_), Some(address), Some(name), Some(_)) =
            (next(), next(), next(), next(), next())
        else {
            // dnsmasq may be writing this line.
            continue;
        };
        let Some(address) = text::address(address) else { continue };
        if expiry.iter().all(u8::is_ascii_digit) {
            book.set(address, if name == b"*" { b"" } else { name });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::testing::address;

    #[test]
    fn leases() {
        let mut book = Book::default();
        read(
            b"1700003600 00:11:22:33:44:55 192.168.1.100 laptop 01:00:11:22:33:44:55\n\
              0 aa:bb:cc:dd:ee:ff 192.168.1.101 tv *\n\
              1700003600 00:11:22:33:44:66 192.168.1.102 * *\n\
              1700003600 06-00:11:22:33:44:77 192.168.1.103 \xff\x1b[31m ff:00\n\
              1700003600 00:11:22:33:44:88 192.168.1.104 pho\n\
              soon 00:11:22:33:44:99 192.168.1.105 bad *\n\
              1700003600 00:11:22:33:44:99 192.168.1 bad *\n\
              duid 00:01:00:01:2a:bb:cc:dd:00:11:22:33:44:55\n\
              1700003600 1122867 fd00::64 laptop 00:01:00:01:aa\n\
              1700003600 T1122868 fd00::65 tablet 00:01:00:01:bb\n\
              vendorclass 192.168.1.101 61:62\n\
              agent-info 192.168.1.101 01:02\n\
              \n\x00\xff 192.168.1.106",
            &mut book,
        );
        let name = |text: &str| book.name(&address(text));
        assert_eq!((name("192.168.1.100"), name("192.168.1.101")), (&b"laptop"[..], &b"tv"[..]));
        assert_eq!(name("192.168.1.103"), b"\xff\x1b[31m", "bytes stay as they are");
        assert_eq!((name("fd00::64"), name("fd00::65")), (&b"laptop"[..], &b"tablet"[..]));
        for none in [102, 104, 105, 106] {
            assert_eq!(name(&format!("192.168.1.{none}")), b"", "{none}");
        }
    }
}
