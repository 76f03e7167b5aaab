//! Parsers for the values of arguments. Each returns `None` for a value that it does not accept.

use std::{
    ffi::OsStr, net::IpAddr, ops::RangeInclusive, os::unix::ffi::OsStrExt, path::PathBuf, str::FromStr,
    time::Duration,
};

use tcptop_abi::COMM_LEN;

use super::{
    services,
    traffic::{CollectorName, TrafficKind},
};
use crate::{
    columns::{self, Column, TimeFormat},
    conn::{Opener, TcpState},
    names,
    view::{Choice, Network, Order, Pattern},
};

/// Where `--output` sends the reports.
pub enum Destination {
    Stdout,
    File(PathBuf),
}

/// Parses a number that consists of digits only; `str::parse` would also accept a sign.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Parses a number of any size. A number beyond `largest` counts as `largest`.
fn unlimited<T: TryFrom<u64>>(text: &str, largest: T) -> Option<T> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().ok().and_then(|number: u64| number.try_into().ok()).unwrap_or(largest))
}

/// Splits a comma-separated list; it has one item at least. The flag marks an empty item. An error message names the
/// whole list in its place, since an empty item would say nothing.
fn items(given: &OsStr) -> Vec<(&OsStr, bool)> {
    let items = given.as_bytes().split(|byte| *byte == b',').map(OsStr::from_bytes);
    items.map(|item| if item.is_empty() { (given, true) } else { (item, false) }).collect()
}

/// Parses a list with `read`. The error is the first item that `read` refuses.
pub fn list<T>(given: &OsStr, read: fn(&OsStr) -> Option<T>) -> Result<Vec<T>, &OsStr> {
    let mut list = Vec::new();
    for (item, is_empty) in items(given) {
        list.push(read(item).filter(|_| !is_empty).ok_or(item)?);
    }
    Ok(list)
}

/// Parses a list in which `!` or `^` in front of an item excludes what it matches.
pub fn choice<T>(given: &OsStr, read: fn(&OsStr) -> Option<T>) -> Result<Choice<T>, &OsStr> {
    let mut choice = Choice::default();
    for (item, is_empty) in items(given) {
        let rest = item.as_bytes().strip_prefix(b"!").or_else(|| item.as_bytes().strip_prefix(b"^"));
        let test = read(rest.map_or(item, OsStr::from_bytes)).filter(|_| !is_empty).ok_or(item)?;
        if rest.is_some() { &mut choice.none } else { &mut choice.any }.push(test);
    }
    Ok(choice)
}

/// Looks a word up in a table.
fn word<T: Copy>(given: &OsStr, words: &[(&str, T)]) -> Option<T> {
    words.iter().find(|(word, _)| given == *word).map(|(_, meaning)| *meaning)
}

/// `local`, `forwarded` or `all`.
pub fn traffic(given: &OsStr) -> Option<TrafficKind> {
    word(
        given,
        &[("local", TrafficKind::Local), ("forwarded", TrafficKind::Forwarded), ("all", TrafficKind::All)],
    )
}

/// `out` or `in`.
pub fn direction(given: &OsStr) -> Option<Opener> {
    word(given, &[("out", Opener::Local), ("in", Opener::Remote)])
}

/// `auto`, `bpf` or `diag`.
pub fn collector(given: &OsStr) -> Option<CollectorName> {
    word(given, &[("auto", CollectorName::Auto), ("bpf", CollectorName::Bpf), ("diag", CollectorName::Diag)])
}

/// Seconds from 0.1 to 3600, in digits with at most one point. Digits below a nanosecond are dropped.
pub fn interval(given: &OsStr) -> Option<Duration> {
    let text = given.to_str()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = nanos.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    let interval = Duration::new(whole, nanos);
    (Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&interval).then_some(interval)
}

/// A number of reports, 1 or more. A number beyond 64 bits counts as the largest one, which is never reached.
pub fn reports(given: &OsStr) -> Option<u64> {
    unlimited(given.to_str()?, u64::MAX).filter(|count| *count > 0)
}

/// A number of rows. A number too large to count means all rows.
pub fn rows(given: &OsStr) -> Option<usize> {
    unlimited(given.to_str()?, usize::MAX)
}

/// A process id up to the kernel's limit (`PID_MAX_LIMIT`, include/linux/threads.h, v6.12).
pub fn pid(given: &OsStr) -> Option<u32> {
    digits(given.to_str()?).filter(|pid| (1..=4_194_304).contains(pid))
}

/// A pattern for names of processes, in bytes as the names are. The kernel keeps fifteen bytes of a name, so a longer
/// pattern is cut too.
pub fn name(given: &OsStr) -> Option<Pattern> {
    let name = given.as_bytes();
    let literal = memchr::memchr(b'*', name).unwrap_or(name.len());
    let kept = if literal < COMM_LEN { name } else { &name[..COMM_LEN - 1] };
    (!name.is_empty()).then(|| Pattern(kept.to_vec()))
}

/// A pattern for other names.
pub fn pattern(given: &OsStr) -> Option<Pattern> {
    (!given.is_empty()).then(|| Pattern(given.as_bytes().to_vec()))
}

/// A user, by number or by a name of /etc/passwd, or a pattern for names. A user may have several names, of which the column
/// shows one. Therefore the filter gets the number that belongs to a name.
pub fn user(given: &OsStr) -> Option<Pattern> {
    let name = given.as_bytes();
    if name.contains(&b'*') {
        return pattern(given);
    }
    let number: u32 = given.to_str().and_then(digits).or_else(|| names::uid_of(name))?;
    Some(Pattern(number.to_string().into_bytes()))
}

/// A port, a range, or the name of a port in /etc/services.
pub fn ports(given: &OsStr) -> Option<RangeInclusive<u16>> {
    let text = given.to_str()?;
    let range = || {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (digits(first)?, digits(last)?);
        (first <= last).then_some(first..=last)
    };
    let named = || services::port(text).map(|port| port..=port);
    range().or_else(named)
}

/// An address, or a network with its length in bits. Bits beyond the length are ignored.
pub fn network(given: &OsStr) -> Option<Network> {
    let text = given.to_str()?;
    let (address, length) =
        text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let address = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
    let (bytes, most) = match address.parse().ok()? {
        IpAddr::V4(v4) => (v4.to_ipv6_mapped().octets(), 32),
        IpAddr::V6(v6) => (v6.octets(), 128),
    };
    let length: u32 = length.map_or(Some(most), digits)?;
    (length <= most).then(|| Network::new(bytes, 128 - most + length))
}

/// A TCP state as the column shows it, in any case, with `-` or `_`.
pub fn state(given: &OsStr) -> Option<TcpState> {
    TcpState::named(&given.to_str()?.to_ascii_uppercase().replace('-', "_"))
}

/// A column by its name.
pub fn column(given: &OsStr) -> Option<columns::ColumnId> {
    Column::named(given.to_str()?).map(|column| column.id)
}

/// A column to sort by; `-` in front reverses the order.
pub fn order(given: &OsStr) -> Option<Order> {
    let text = given.to_str()?;
    let (name, reversed) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    Some(Order { column: column(name.as_ref())?, reversed })
}

/// Names that only `--by` knows, and the columns that they stand for.
pub const GROUP_ALIASES: [(&str, columns::ColumnId); 2] =
    [("process", columns::ColumnId::Pid), ("remote", columns::ColumnId::RemoteAddress)];

/// A column to group by.
pub fn group(given: &OsStr) -> Option<columns::ColumnId> {
    let alias = GROUP_ALIASES.into_iter().find(|(alias, _)| given == *alias);
    let id = alias.map_or_else(|| column(given), |(_, id)| Some(id))?;
    columns::grouped(id).map(|_| id)
}

/// The only value of `--closed`.
pub fn only(given: &OsStr) -> Option<bool> {
    (given == "only").then_some(true)
}

/// How moments are written.
pub fn time(given: &OsStr) -> Option<TimeFormat> {
    match given.to_str()? {
        "utc" => Some(TimeFormat::Utc),
        "local" => Some(TimeFormat::Local),
        "epoch" => Some(TimeFormat::Epoch),
        _ => None,
    }
}

/// The name of a file, or of standard output. A name that begins with a dash is refused, because it is probably an
/// option that follows an `--output` without a value.
pub fn file(given: &OsStr) -> Option<Destination> {
    match given.as_encoded_bytes() {
        b"" => None,
        b"-" | b"/dev/stdout" | b"/dev/fd/1" | b"/proc/self/fd/1" => Some(Destination::Stdout),
        [b'-', ..] => None,
        _ => Some(Destination::File(given.into())),
    }
}

/// A size of 1024 bytes or more; K, M and G are powers of 1024. Sizes beyond 64 bits count as the largest one, which no
/// file reaches.
pub fn size(given: &OsStr) -> Option<u64> {
    scaled(given.to_str()?).filter(|size| *size >= 1024)
}

/// A whole number; K, M and G are powers of 1024.
fn scaled(text: &str) -> Option<u64> {
    let shift = match text.as_bytes().last()? {
        b'K' | b'k' => 10,
        b'M' | b'm' => 20,
        b'G' | b'g' => 30,
        _ => 0,
    };
    let number: u64 = unlimited(if shift > 0 { &text[..text.len() - 1] } else { text }, u64::MAX)?;
    Some(number.saturating_mul(1 << shift))
}

/// A rate in bytes per second; K, M and G are powers of 1024.
pub fn rate(given: &OsStr) -> Option<u64> {
    scaled(given.to_str()?)
}

/// A number of log files, 999 at most.
pub fn keep(given: &OsStr) -> Option<u32> {
    digits(given.to_str()?).filter(|keep| *keep <= 999)
}

/// A time of at least 1 second.
pub fn udp_timeout(given: &OsStr) -> Option<Duration> {
    interval(given).filter(|time| *time >= Duration::from_secs(1))
}

/// The number of entries in the kernel's table.
pub fn flows(given: &OsStr) -> Option<u32> {
    digits(given.to_str()?).filter(|flows| (1024..=262_144).contains(flows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            ("1024", Some(1024)),
            ("1K", Some(1024)),
            ("10m", Some(10 << 20)),
            ("3G", Some(3 << 30)),
            ("1023", None),
            ("0G", None),
            ("K", None),
            ("", None),
            ("1.5M", None),
            ("+5M", None),
            ("99999999999999999999", Some(u64::MAX)),
            ("99999999999999G", Some(u64::MAX)),
            ("10MB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(size(text.as_ref()), expected, "{text}");
        }
    }

    #[test]
    fn names_have_fifteen_bytes() {
        let cut = |text: &str| {
            let pattern = name(text.as_ref()).expect("a name");
            String::from_utf8(pattern.0).expect("ASCII")
        };
        assert_eq!(cut("systemd-resolved"), "systemd-resolve");
        assert_eq!(cut("systemd-resolve"), "systemd-resolve");
        assert_eq!(cut("systemd-resolved*"), "systemd-resolve");
        assert_eq!(cut("systemd*ed"), "systemd*ed");
        assert_eq!(choice("a,,b".as_ref(), name), Err("a,,b".as_ref()));
    }

    #[test]
    fn lists_of_ports() {
        let read = |text: &'static str| choice(text.as_ref(), ports);
        let expected = Choice { any: vec![80..=80, 8000..=8100], none: vec![443..=443, 22..=22] };
        assert_eq!(read("80,!443,8000-8100,^22"), Ok(expected));
        assert_eq!(read("0-65535"), Ok(Choice { any: vec![0..=65535], none: vec![] }));
        for (text, bad) in [
            ("", ""),
            (",", ","),
            ("80,", "80,"),
            ("22,65536", "65536"),
            ("2-1", "2-1"),
            ("1-", "1-"),
            ("-1", "-1"),
            ("80 ,443", "80 "),
            ("1-2-3", "1-2-3"),
            ("22,!,23", "!"),
            ("!!22", "!!22"),
        ] {
            assert_eq!(read(text), Err(bad.as_ref()), "{text}");
        }
    }

    #[test]
    fn networks() {
        for text in
            ["10.0.0.0/8", "::/0", "2001:db8::1", "192.0.2.1", "0.0.0.0/0", "::ffff:10.0.0.0/104", "[::1]"]
        {
            assert!(network(text.as_ref()).is_some(), "{text}");
        }
        for text in
            ["", "10.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "localhost", "fe80::1%eth0"]
        {
            assert_eq!(network(text.as_ref()), None, "{text}");
        }
        assert_eq!(network("10.0.0.0/8".as_ref()), network("::ffff:10.0.0.0/104".as_ref()));
    }

    #[test]
    fn states_in_any_spelling() {
        for text in ["ESTABLISHED", "established", "time-wait", "Time_Wait"] {
            assert!(state(text.as_ref()).is_some(), "{text}");
        }
        assert_eq!(state("open".as_ref()), None);
    }
}
