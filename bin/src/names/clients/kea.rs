//! The leases of Kea (src/lib/dhcpsrv/csv_lease_file4.h and csv_lease_file6.h). The server appends the new state of a lease
//! to the file, so the last line of an address holds.

use super::{book::Book, text};

/// The prefix of an escaped byte (a comma, or one that is not printable), which two hexadecimal digits follow
/// (src/lib/util/csv_file.cc `CSVRow::escape_tag`).
const ESCAPE: &[u8] = b"&#x";

/// Reads the names of leases. The first line names the columns; newer versions have more of them.
pub fn read(text: &[u8], book: &mut Book) {
    // The server may be writing the last line.
    let end = memchr::memrchr(b'\n', text).map_or(0, |last| last + 1);
    let mut lines = text::lines(&text[..end]);
    let Some(header) = lines.next() else { return };
    let column = |name: &[u8]| cells(header).position(|cell| cell == name);
    let (Some(address), Some(hostname)) = (column(b"address"), column(b"hostname")) else { return };
    let [lifetime, state, kind] = [&b"valid_lifetime"[..], b"state", b"lease_type"].map(column);
    for line in lines {
        let cell = |column| cells(line).nth(column);
        let has = |column: Option<usize>, values: &[&[u8]]| {
            column.and_then(cell).is_some_and(|cell| values.contains(&cell))
        };
        let (Some(address), Some(name)) = (cell(address).and_then(text::address), cell(hostname)) else {
            continue;
        };
        // The address is that of a network that a router got: lease_type, IA_PD.
        if has(kind, &[b"2"]) {
            continue;
        }
        // Kea deletes a lease by a lifetime of 0. State 1 is declined, 2 is expired, and 3 is released.
        let is_gone = has(lifetime, &[b"0"]) || has(state, &[b"1", b"2", b"3"]);
        book.set(address, &if is_gone { Vec::new() } else { unescaped(name) });
    }
}

fn cells(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b',')
}

fn unescaped(cell: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut rest = cell;
    while let Some((first, others)) = rest.split_first() {
        let (byte, after) = escaped(rest).unwrap_or((*first, others));
        content.push(byte);
        rest = after;
    }
    content
}

/// Parses an escaped byte, and returns the text that follows it.
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, after) = text.strip_prefix(ESCAPE)?.split_first_chunk::<2>()?;
    Some((text::byte(*digits)?, after))
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
    fn leases_of_ipv4() {
        let book = book(
            b"address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id\n\
              192.0.2.10,00:0c:01:02:03:04,01:00:0c:01:02:03:04,4000,1700000000,1,0,0,old,0,,0\n\
              192.0.2.10,00:0c:01:02:03:04,01:00:0c:01:02:03:04,4000,1700002000,1,1,1,laptop.example.org.,0,,0\n\
              192.0.2.11,00:0c:01:02:03:05,,4000,1700000000,1,0,0,left,0,,0\n\
              192.0.2.11,00:0c:01:02:03:05,,0,1700000000,1,0,0,left,0,,0\n\
              192.0.2.12,00:0c:01:02:03:06,,4000,1700000000,1,0,0,expired,2,,0\n\
              192.0.2.13,,,4000,1700000000,1,0,0,,1,,0\n\
              192.0.2.14,00:0c:01:02:03:07,,4000,1700000000,1,0,0,a&#x2cb&#xFF&#xg0&#x0,0,,0\n\
              192.0.2.15,00:0c:01:02:03:07,,4000\n\
              192.0.2,,,4000,1700000000,1,0,0,bad,0,,0\n\
              \xff,,,,,,,,\xff\n,\n\n",
        );
        let name = |text: &str| book.name(&address(text));
        assert_eq!(name("192.0.2.10"), b"laptop.example.org");
        assert_eq!(name("192.0.2.14"), b"a,b\xff&#xg0&#x0");
        for none in [11, 12, 13, 15] {
            assert_eq!(name(&format!("192.0.2.{none}")), b"", "{none}");
        }
    }

    #[test]
    fn leases_of_ipv6() {
        let book = book(
            b"address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source,pool_id\n\
              2001:db8::10,00:01:02,4000,1700000000,1,3000,0,7,128,0,0,phone,,0,,1,0,0\n\
              2001:db8::11,00:01:03,4000,1700000000,1,3000,0,7,128,0,0,registered,,4,,1,0,0\n\
              2001:db8:1::,00:01:02,4000,1700000000,1,3000,2,8,56,0,0,router,,0,,,,0\n",
        );
        assert_eq!(book.name(&address("2001:db8::10")), b"phone");
        assert_eq!(book.name(&address("2001:db8::11")), b"registered");
        assert_eq!(book.name(&address("2001:db8:1::")), b"");
    }

    #[test]
    fn columns_are_found_by_name() {
        assert_eq!(book(b"hostname,address\r\nx,192.0.2.1\r\n").name(&address("192.0.2.1")), b"x");
        for text in
            [&b""[..], b"address\n192.0.2.1", b"192.0.2.1,x\n192.0.2.1,x", b"\xff,address,\n192.0.2.1"]
        {
            assert_eq!(book(text).name(&address("192.0.2.1")), b"");
        }
    }

    #[test]
    fn a_line_that_is_being_written_is_left_out() {
        let whole = b"address,hostname,state\n192.0.2.1,old,0\n192.0.2.1,laptop,2\n";
        for cut in whole.len() - 19..whole.len() {
            assert_eq!(book(&whole[..cut]).name(&address("192.0.2.1")), b"old", "{cut}");
        }
        assert_eq!(book(whole).name(&address("192.0.2.1")), b"", "expired");
    }
}
