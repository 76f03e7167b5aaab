//! The leases of ISC's DHCP server, dhcpd.leases(5). The server appends the new state of a lease to the file, so the last
//! block of an address holds.

use super::{
    book::{Book, HostAddress},
    text,
};

/// A block that has begun.
struct Lease {
    address: HostAddress,
    name: Vec<u8>,
    is_active: bool,
}

/// Reads the name that the client of each active lease has sent. Ignores blocks without an end:
///
/// ```text
/// lease 192.0.2.7 {
///   binding state active;
///   client-hostname "laptop";
/// }
/// ```
pub fn read(text: &[u8], book: &mut Book) {
    let mut lease: Option<Lease> = None;
    for line in text::lines(text) {
        // Blocks within a lease are indented.
        if let Some(rest) = line.strip_prefix(b"lease ") {
            let address = text::fields(rest).next().and_then(text::address);
            lease = address.map(|address| Lease { address, name: Vec::new(), is_active: true });
        } else if line.starts_with(b"}") {
            if let Some(Lease { address, name, is_active }) = lease.take() {
                book.set(address, if is_active { &name } else { b"" });
            }
        } else if let Some(lease) = &mut lease {
            let statement = line.trim_ascii();
            if let Some(state) = statement.strip_prefix(b"binding state ") {
                lease.is_active = state == b"active;";
            } else if let Some(name) = statement.strip_prefix(b"client-hostname ") {
                lease.name = unquoted(name).unwrap_or_default();
            }
        }
    }
}

/// The content of the string in quotes with which `text` begins. The server writes a byte as three octal digits if it is
/// not printable (common/print.c `quotify_string`, 4.4).
fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut content = Vec::new();
    loop {
        let (byte, after) = match rest {
            [b'"', ..] => return Some(content),
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                ((a & 3) << 6 | (b & 7) << 3 | c & 7, after)
            }
            [b'\\', byte, after @ ..] | [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        content.push(byte);
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::testing::address;

    fn book(text: &[u8]) -> Book {
        let mut book = Book::default();
        read(text, &mut book);
        book
    }

    #[test]
    fn the_last_block_holds() {
        let book = book(
            br#"# The format of this file is documented in the dhcpd.leases(5) manual page.
# This lease file was written by isc-dhcp-4.4.3-P1
authoring-byte-order little-endian;
server-duid "\000\001\000\001%>\347\000\000\026>\336\233\260";

lease 192.0.2.10 {
  starts 0 2024/10/20 09:58:13;
  ends 0 2024/10/20 10:03:13;
  binding state active;
  next binding state free;
  rewind binding state free;
  hardware ethernet 00:16:3e:ef:a9:c1;
  uid "\001\000\026>\357\251\301";
  client-hostname "old";
}
lease 192.0.2.10 {
  binding state active;
  next binding state free;
  set vendor-class-identifier = "x{";
  client-hostname "new";
  on expiry {
    set x = "y";
  }
}
lease 192.0.2.11 {
  binding state active;
  client-hostname "left";
}
lease 192.0.2.11 {
  binding state free;
  client-hostname "left";
}
lease 192.0.2.12 {
  client-hostname "stateless";
}
lease 192.0.2.13 {
  binding state active;
}
failover peer "x" state {
  my state normal at 0 2024/10/20 10:03:13;
}
lease 192.0.2.14 {
  binding state active;
  client-hostname "unfinished";
"#,
        );
        let name = |text: &str| book.name(&address(text));
        assert_eq!((name("192.0.2.10"), name("192.0.2.12")), (&b"new"[..], &b"stateless"[..]));
        assert_eq!(
            (name("192.0.2.11"), name("192.0.2.13"), name("192.0.2.14")),
            (&b""[..], &b""[..], &b""[..])
        );
    }

    #[test]
    fn strange_names_and_garbage() {
        let book = book(
            b"client-hostname \"outside\";\n}\n\
              lease 192.0.2.1 {\n  client-hostname \"a\\\"\\\\\\033\\377\xfe\";\n}\n\
              lease 192.0.2.2 {\n  client-hostname \"open\n}\n\
              lease 192.0.2.3 {\n  client-hostname bare;\n}\n\
              lease 192.0.2.4 {\n  client-hostname \"\\\n}\n\
              lease 192.0.2 {\n  client-hostname \"bad\";\n}\nlease \nlease",
        );
        assert_eq!(book.name(&address("192.0.2.1")), b"a\"\\\x1b\xff\xfe");
        for none in 2..5 {
            assert_eq!(book.name(&address(&format!("192.0.2.{none}"))), b"", "{none}");
        }
    }
}
