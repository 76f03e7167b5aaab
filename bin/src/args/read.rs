//! Values of arguments: what each of them accepts. `None`: not this.

use std::{ffi::OsStr, net::IpAddr, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

use tcptop_abi::COMM_LEN;

use super::traffic::{CollectorName, TrafficKind};
use crate::{
    columns::{self, Column, time::Form},
    conn::TcpState,
    view::{Network, Order, Pattern},
};

/// Where `--output` leads.
pub enum Destination {
    Stdout,
    File(PathBuf),
}

/// A number in digits, and nothing else: `parse` takes a sign as well.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A list whose parts `read` accepts, with commas in between; one part at least.
pub fn list<T>(given: &OsStr, read: fn(&str) -> Option<T>) -> Option<Vec<T>> {
    given.to_str()?.split(',').map(read).collect()
}

/// One of these words.
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

/// `auto`, `bpf` or `diag`.
pub fn collector(given: &OsStr) -> Option<CollectorName> {
    word(given, &[("auto", CollectorName::Auto), ("bpf", CollectorName::Bpf), ("diag", CollectorName::Diag)])
}

/// Digits with at most one point; 0.1 to 3600. What is finer than a nanosecond is dropped.
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

/// 1 or more. A number beyond 64 bits never ends, like the largest one.
pub fn reports(given: &OsStr) -> Option<u64> {
    let text = given.to_str()?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX)).filter(|count| *count > 0)
}

/// A whole number.
pub fn rows(given: &OsStr) -> Option<usize> {
    digits(given.to_str()?)
}

/// A process id.
pub fn pid(text: &str) -> Option<u32> {
    digits(text).filter(|pid| *pid > 0)
}

/// Names with `*`; bytes, like the names of processes. The kernel keeps fifteen: what is longer is cut here too.
pub fn patterns(given: &OsStr) -> Option<Vec<Pattern>> {
    let parts = given.as_encoded_bytes().split(|byte| *byte == b',');
    let pattern = |part: &[u8]| {
        let literal = memchr::memchr(b'*', part).unwrap_or(part.len());
        let kept = if literal < COMM_LEN { part } else { &part[..COMM_LEN - 1] };
        (!part.is_empty()).then(|| Pattern(kept.to_vec()))
    };
    parts.map(pattern).collect()
}

/// Ports and ranges of them.
pub fn ports(given: &OsStr) -> Option<Vec<RangeInclusive<u16>>> {
    list(given, |text| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (digits(first)?, digits(last)?);
        (first <= last).then_some(first..=last)
    })
}

/// An address, or one with a length in bits. What is behind these bits does not matter.
pub fn network(text: &str) -> Option<Network> {
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

/// A TCP state as the column has it, in any case, with dashes too.
pub fn state(text: &str) -> Option<TcpState> {
    TcpState::named(&text.to_ascii_uppercase().replace('-', "_"))
}

/// A column by its name.
pub fn column(text: &str) -> Option<columns::Id> {
    Column::named(text).map(|column| column.id)
}

/// A column to sort by.
pub fn order(given: &OsStr) -> Option<Order> {
    let text = given.to_str()?;
    let (name, reversed) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    Some(Order { column: column(name)?, reversed })
}

/// A column to make groups by.
pub fn group(given: &OsStr) -> Option<columns::Id> {
    let id = match given.to_str()? {
        "process" => columns::Id::Pid,
        "remote" => columns::Id::RemoteAddress,
        name => column(name)?,
    };
    columns::grouped(id).map(|_| id)
}

/// The only value of `--closed`.
pub fn only(given: &OsStr) -> Option<bool> {
    (given == "only").then_some(true)
}

/// How moments are written.
pub fn time(given: &OsStr) -> Option<Form> {
    match given.to_str()? {
        "utc" => Some(Form::Utc),
        "local" => Some(Form::Local),
        "epoch" => Some(Form::Epoch),
        _ => None,
    }
}

/// A name, or `-`. A name that begins with a dash is taken for an option whose predecessor lacks its value.
pub fn file(given: &OsStr) -> Option<Destination> {
    match given.as_encoded_bytes() {
        b"" => None,
        b"-" => Some(Destination::Stdout),
        [b'-', ..] => None,
        _ => Some(Destination::File(given.into())),
    }
}

/// Bytes, with K, M or G in powers of 1024; 1024 or more.
pub fn size(given: &OsStr) -> Option<u64> {
    let text = given.to_str()?;
    let shift = match text.as_bytes().last()? {
        b'K' | b'k' => 10,
        b'M' | b'm' => 20,
        b'G' | b'g' => 30,
        _ => 0,
    };
    let number: u64 = digits(if shift > 0 { &text[..text.len() - 1] } else { text })?;
    number.checked_mul(1 << shift).filter(|size| *size >= 1024)
}

/// 999 at most.
pub fn keep(given: &OsStr) -> Option<u32> {
    digits(given.to_str()?).filter(|keep| *keep <= 999)
}

/// Seconds from 1 on.
pub fn udp_timeout(given: &OsStr) -> Option<Duration> {
    interval(given).filter(|time| *time >= Duration::from_secs(1))
}

/// Entries of the kernel's table.
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
            ("99999999999999999999", None),
            ("99999999999999G", None),
            ("10MB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(size(text.as_ref()), expected, "{text}");
        }
    }

    #[test]
    fn names_have_fifteen_bytes() {
        let cut = |text: &str| {
            let patterns = patterns(text.as_ref()).expect("names");
            String::from_utf8(patterns[0].0.clone()).expect("ASCII")
        };
        assert_eq!(cut("systemd-resolved"), "systemd-resolve");
        assert_eq!(cut("systemd-resolve"), "systemd-resolve");
        assert_eq!(cut("systemd-resolved*"), "systemd-resolve");
        assert_eq!(cut("systemd*ed"), "systemd*ed");
        assert_eq!(patterns("a,,b".as_ref()), None);
    }

    #[test]
    fn lists_of_ports() {
        assert_eq!(ports("80,443,8000-8100".as_ref()), Some(vec![80..=80, 443..=443, 8000..=8100]));
        assert_eq!(ports("0-65535".as_ref()), Some(vec![0..=65535]));
        for text in ["", ",", "80,", "65536", "2-1", "1-", "-1", "a", "80 ,443", "1-2-3"] {
            assert_eq!(ports(text.as_ref()), None, "{text}");
        }
    }

    #[test]
    fn networks() {
        for text in
            ["10.0.0.0/8", "::/0", "2001:db8::1", "192.0.2.1", "0.0.0.0/0", "::ffff:10.0.0.0/104", "[::1]"]
        {
            assert!(network(text).is_some(), "{text}");
        }
        for text in
            ["", "10.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "localhost", "fe80::1%eth0"]
        {
            assert_eq!(network(text), None, "{text}");
        }
        assert_eq!(network("10.0.0.0/8"), network("::ffff:10.0.0.0/104"));
    }

    #[test]
    fn states_in_any_spelling() {
        for text in ["ESTABLISHED", "established", "time-wait", "Time_Wait"] {
            assert!(state(text).is_some(), "{text}");
        }
        assert_eq!(state("open"), None);
    }
}
