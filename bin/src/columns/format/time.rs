//! Formats moments: RFC 3339 for machines, hours and minutes for people.

use std::time::Duration;

use super::units::{decimal, padded};
use crate::sys::zone;

const DAY: u64 = 86_400;

/// How moments are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// RFC 3339, in UTC.
    Utc,
    /// RFC 3339, in the zone of `TZ`, /etc/localtime or /etc/TZ, with its offset.
    #[default]
    Local,
    /// Seconds since the Unix epoch.
    Epoch,
}

/// Appends a moment with milliseconds, which are cut and not rounded: `2026-11-23T12:41:52.123Z`,
/// `2026-11-23T13:41:52.123+01:00`, `1795437712.123`.
pub fn stamp(since_epoch: Duration, format: TimeFormat, out: &mut Vec<u8>) {
    let seconds = since_epoch.as_secs();
    let ms = u64::from(since_epoch.subsec_millis());
    if format == TimeFormat::Epoch {
        return fields(&[(seconds, 1, b'.'), (ms, 3, 0)], out);
    }
    let offset = offset(seconds, format);
    let local = seconds.saturating_add_signed(offset);
    let (year, month, day) = civil(local / DAY);
    let of_day = local % DAY;
    fields(
        &[
            (year, 4, b'-'),
            (month, 2, b'-'),
            (day, 2, b'T'),
            (of_day / 3600, 2, b':'),
            (of_day / 60 % 60, 2, b':'),
            (of_day % 60, 2, b'.'),
            (ms, 3, 0),
        ],
        out,
    );
    if format == TimeFormat::Utc {
        return out.push(b'Z');
    }
    out.push(if offset < 0 { b'-' } else { b'+' });
    let minutes = offset.unsigned_abs() / 60;
    fields(&[(minutes / 60, 2, b':'), (minutes % 60, 2, 0)], out);
}

/// Appends a moment for a screen: `13:41:52`, in UTC `12:41:52Z`, or seconds since the epoch.
pub fn short(since_epoch: Duration, format: TimeFormat, out: &mut Vec<u8>) {
    let seconds = since_epoch.as_secs();
    if format == TimeFormat::Epoch {
        return decimal(seconds, out);
    }
    let of_day = seconds.saturating_add_signed(offset(seconds, format)) % DAY;
    let mark = if format == TimeFormat::Utc { b'Z' } else { 0 };
    fields(&[(of_day / 3600, 2, b':'), (of_day / 60 % 60, 2, b':'), (of_day % 60, 2, mark)], out);
}

/// Width of what [`short`] appends, in columns.
pub const fn width(format: TimeFormat) -> usize {
    match format {
        TimeFormat::Local => 8,
        TimeFormat::Utc => 9,
        // Until the year 2286.
        TimeFormat::Epoch => 10,
    }
}

/// Seconds east of UTC.
fn offset(seconds: u64, format: TimeFormat) -> i64 {
    if format == TimeFormat::Local { zone::offset(seconds).unwrap_or(0).into() } else { 0 }
}

/// Appends numbers, each padded to its digits and followed by its mark; 0 means no mark.
fn fields(fields: &[(u64, usize, u8)], out: &mut Vec<u8>) {
    for (number, digits, mark) in fields {
        padded(*number, *digits, out);
        if *mark != 0 {
            out.push(*mark);
        }
    }
}

/// Converts days since the epoch to year, month and day of the Gregorian calendar: `civil_from_days` of
/// <https://howardhinnant.github.io/date_algorithms.html>. Its years begin in March, so that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc_text(seconds: u64, ms: u64) -> String {
        let mut out = Vec::new();
        stamp(Duration::from_millis(seconds * 1000 + ms), TimeFormat::Utc, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn moments_as_date_prints_them() {
        // Captured from `date -u -d @N +%FT%T`.
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_795_437_712, "2026-11-23T12:41:52.000Z"),
            (1_798_761_599, "2026-12-31T23:59:59.000Z"),
            (1_798_761_600, "2027-01-01T00:00:00.000Z"),
            (2_147_483_648, "2038-01-19T03:14:08.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(utc_text(seconds, 0), expected);
        }
    }

    #[test]
    fn milliseconds_are_cut() {
        assert_eq!(utc_text(1_795_437_712, 123), "2026-11-23T12:41:52.123Z");
        let mut out = Vec::new();
        stamp(Duration::new(1_795_437_712, 999_999_999), TimeFormat::Utc, &mut out);
        assert_eq!(out, b"2026-11-23T12:41:52.999Z");
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut previous = civil(0);
        for days in 1..146_097 + 365 {
            let (year, month, day) = civil(days);
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            let expected = match previous {
                (y, 12, 31) => (y + 1, 1, 1),
                // Whether a day is the last of February depends on the year of `previous`, which is this year.
                (y, m, d) if d == length[usize::try_from(m).expect("month") - 1] => (y, m + 1, 1),
                (y, m, d) => (y, m, d + 1),
            };
            assert_eq!((year, month, day), expected);
            previous = expected;
        }
    }

    #[test]
    fn other_forms() {
        let moment = Duration::from_millis(1_795_437_712_005);
        let text = |write: fn(Duration, TimeFormat, &mut Vec<u8>), format| {
            let mut out = Vec::new();
            write(moment, format, &mut out);
            String::from_utf8(out).expect("ASCII")
        };
        assert_eq!(text(stamp, TimeFormat::Epoch), "1795437712.005");
        assert_eq!(text(short, TimeFormat::Epoch), "1795437712");
        assert_eq!(text(short, TimeFormat::Utc), "12:41:52Z");
        // The zone depends on the host, but the moment must be the same.
        let local = text(stamp, TimeFormat::Local);
        assert_eq!(local.len(), "2026-11-23T13:41:52.005+01:00".len(), "{local}");
        assert!(local.contains(":52.005"), "{local}");
        assert_eq!(text(short, TimeFormat::Local), local[11..19]);
        for format in [TimeFormat::Epoch, TimeFormat::Utc, TimeFormat::Local] {
            assert_eq!(text(short, format).len(), width(format));
        }
    }
}
