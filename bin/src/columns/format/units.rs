//! Formats numbers for people: sizes, rates, round-trip times and durations. All arithmetic is in integers, rounded
//! half up.

use std::time::Duration;

/// How sizes and rates are written on a screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NumberFormat {
    /// All digits, without a suffix.
    pub raw: bool,
    /// Rates in bits, with powers of 1000. Otherwise rates are in bytes, with powers of 1024.
    pub bits: bool,
}

/// Suffixes of the powers of 1024, from the first.
const SUFFIXES: [u8; 6] = *b"KMGTPE";

/// Appends a number in digits.
pub fn decimal(number: u64, out: &mut Vec<u8>) {
    padded(number, 1, out);
}

/// Appends a number with at least `digits` digits, padded with zeros.
pub fn padded(mut number: u64, digits: usize, out: &mut Vec<u8>) {
    // u64::MAX has 20 digits.
    let mut text = [b'0'; 20];
    let mut at = text.len();
    while number > 0 || text.len() - at < digits {
        at -= 1;
        let rest = tenth(number);
        text[at] += u8::try_from(number - rest * 10).unwrap_or_default();
        number = rest;
    }
    out.extend_from_slice(&text[at..]);
}

/// Divides a number by ten, rounding down. Code built for size divides with the processor's instruction, or with a
/// function if the processor has none. Rows consist mostly of numbers, so numbers of 32 bits are multiplied by 2^35 /
/// 10 instead, which is exact for them.
fn tenth(number: u64) -> u64 {
    if number <= u32::MAX.into() { (number * 0xcccc_cccd) >> 35 } else { number / 10 }
}

/// Appends a number of bytes in powers of 1024: `0` to `1023`, then one decimal below ten (`1.5K`) and none above
/// (`12M`, `1023K`). At most five characters.
pub fn size(bytes: u64, out: &mut Vec<u8>) {
    if bytes < 1024 {
        return decimal(bytes, out);
    }
    for (shift, suffix) in (10..).step_by(10).zip(SUFFIXES) {
        let (whole, rest, half) = (bytes >> shift, bytes & ((1 << shift) - 1), 1_u64 << (shift - 1));
        // rest < 2^60, so ten times it fits.
        let tenths = whole * 10 + ((rest * 10 + half) >> shift);
        let rounded = whole + u64::from(rest >= half);
        if tenths < 100 {
            one_decimal(tenths, out);
        } else if rounded < 1024 {
            decimal(rounded, out);
        } else {
            continue;
        }
        return out.push(suffix);
    }
}

/// Appends a rate, given in bytes per second, in the chosen format.
pub fn rate(bytes: u64, format: NumberFormat, out: &mut Vec<u8>) {
    match format {
        NumberFormat { raw: false, bits: false } => size(bytes, out),
        NumberFormat { raw: false, bits: true } => bits(bytes.saturating_mul(8), out),
        NumberFormat { raw: true, bits: false } => decimal(bytes, out),
        NumberFormat { raw: true, bits: true } => decimal(bytes.saturating_mul(8), out),
    }
}

/// Appends a number of bits in powers of 1000: `0` to `999`, then one decimal below ten (`1.5k`) and none above (`12M`,
/// `999k`). At most four characters.
fn bits(bits: u64, out: &mut Vec<u8>) {
    if bits < 1000 {
        return decimal(bits, out);
    }
    let mut unit = 1_u64;
    for suffix in *b"kMGTPE" {
        unit *= 1000;
        let (whole, rest) = (bits / unit, bits % unit);
        // A tenth of the unit is a whole number, and the rest has no more than 18 digits.
        let tenths = whole * 10 + (rest + unit / 20) / (unit / 10);
        let rounded = whole + u64::from(rest >= unit / 2);
        if tenths < 100 {
            one_decimal(tenths, out);
        } else if rounded < 1000 {
            decimal(rounded, out);
        } else {
            continue;
        }
        return out.push(suffix);
    }
}

/// Appends a round-trip time, given in microseconds: `0.25ms`, `12ms`, `1.2s`, `75s`. At most six characters. A time
/// that would round to zero is `0.01ms`.
pub fn rtt(us: u64, out: &mut Vec<u8>) {
    let (hundredths_ms, ms, tenths_s) = ((us + 5) / 10, (us + 500) / 1000, (us + 50_000) / 100_000);
    if hundredths_ms < 1000 {
        two_decimals(hundredths_ms.max(1), out);
        out.push(b'm');
    } else if ms < 1000 {
        decimal(ms, out);
        out.push(b'm');
    } else if tenths_s < 100 {
        one_decimal(tenths_s, out);
    } else {
        decimal((us + 500_000) / 1_000_000, out);
    }
    out.push(b's');
}

/// Appends a duration, given in milliseconds: `20ms`, `1.50s`, `59.9s`, `3m05s`, `2h03m`, `12d04h`. At most eight
/// characters, up to nearly thirty years.
pub fn lasted(ms: u64, out: &mut Vec<u8>) {
    let seconds = ms / 1000;
    let (many, few, marks) = match seconds {
        0 => {
            decimal(ms, out);
            return out.extend_from_slice(b"ms");
        }
        1..60 => return self::seconds(Duration::from_millis(ms), out),
        60..3_600 => (seconds / 60, seconds % 60, *b"ms"),
        3_600..86_400 => (seconds / 3_600, seconds / 60 % 60, *b"hm"),
        _ => (seconds / 86_400, seconds / 3_600 % 24, *b"dh"),
    };
    decimal(many, out);
    out.push(marks[0]);
    padded(few, 2, out);
    out.push(marks[1]);
}

/// Appends a duration in seconds: `0.25s`, `1.00s`, `60.0s`.
pub fn seconds(time: Duration, out: &mut Vec<u8>) {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX - 50);
    let hundredths = (ms + 5) / 10;
    if hundredths < 1000 {
        two_decimals(hundredths, out);
    } else {
        one_decimal((ms + 50) / 100, out);
    }
    out.push(b's');
}

fn one_decimal(tenths: u64, out: &mut Vec<u8>) {
    decimal(tenths / 10, out);
    out.push(b'.');
    decimal(tenths % 10, out);
}

fn two_decimals(hundredths: u64, out: &mut Vec<u8>) {
    decimal(hundredths / 100, out);
    out.push(b'.');
    padded(hundredths % 100, 2, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn decimals() {
        for number in [0, 7, 10, 999, 65_535, 4_294_967_296, u64::MAX] {
            assert_eq!(text(|out| decimal(number, out)), number.to_string());
        }
        for number in (0..1 << 33).step_by(65_521).chain(u64::from(u32::MAX) - 20..1 << 32) {
            assert_eq!(tenth(number), number / 10);
        }
        assert_eq!(text(|out| padded(7, 3, out)), "007");
        assert_eq!(text(|out| padded(0, 2, out)), "00");
        assert_eq!(text(|out| padded(2026, 3, out)), "2026");
    }

    #[test]
    fn rates() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1.0k"),
            (1049, "1.0k"),
            (1050, "1.1k"),
            (9_949, "9.9k"),
            (9_950, "10k"),
            (10_499, "10k"),
            (10_500, "11k"),
            (999_499, "999k"),
            (999_500, "1.0M"),
            (100_000_000, "100M"),
            (2_500_000_000, "2.5G"),
            (999_999_999_999_999_999, "1.0E"),
            (u64::MAX, "18E"),
        ];
        for (number, expected) in cases {
            assert_eq!(text(|out| bits(number, out)), expected, "{number}");
        }
        let format = |raw, bits| NumberFormat { raw, bits };
        assert_eq!(text(|out| rate(1500, format(false, false), out)), "1.5K");
        assert_eq!(text(|out| rate(1500, format(false, true), out)), "12k");
        assert_eq!(text(|out| rate(1500, format(true, false), out)), "1500");
        assert_eq!(text(|out| rate(1500, format(true, true), out)), "12000");
    }

    #[test]
    fn sizes() {
        const K: u64 = 1 << 10;
        const M: u64 = 1 << 20;
        const G: u64 = 1 << 30;
        let cases = [
            (0, "0"),
            (1, "1"),
            (999, "999"),
            (1023, "1023"),
            (1024, "1.0K"),
            (1075, "1.0K"),
            (1076, "1.1K"),
            (1536, "1.5K"),
            (10_188, "9.9K"),
            (10_189, "10K"), // 9.9502K
            (10 * K, "10K"),
            (12 * K + 511, "12K"),
            (12 * K + 512, "13K"),
            (1023 * K, "1023K"),
            (1023 * K + 511, "1023K"),
            (1023 * K + 512, "1.0M"),
            (1_048_535, "1.0M"), // 1023.96K
            (M - 1, "1.0M"),
            (M, "1.0M"),
            (12 * M, "12M"),
            (1023 * M + 600 * K, "1.0G"),
            (G, "1.0G"),
            (5 * G / 2, "2.5G"),
            (1 << 40, "1.0T"),
            (1 << 50, "1.0P"),
            ((1 << 60) - 1, "1.0E"),
            (1 << 60, "1.0E"),
            (3 << 59, "1.5E"),
            (u64::MAX, "16E"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(text(|out| size(bytes, out)), expected, "{bytes}");
        }
    }

    #[test]
    fn sizes_never_need_more_than_five_characters_and_never_shrink() {
        let mut bytes = 1_u64;
        while bytes < u64::MAX / 2 {
            for near in [bytes - 1, bytes, bytes + 1] {
                let shown = text(|out| size(near, out));
                assert!((1..=5).contains(&shown.len()), "{near} {shown}");
            }
            bytes += bytes / 37 + 1;
        }
    }

    #[test]
    fn round_trip_times() {
        let cases = [
            (1, "0.01ms"),
            (14, "0.01ms"),
            (15, "0.02ms"),
            (250, "0.25ms"),
            (1_500, "1.50ms"),
            (9_994, "9.99ms"),
            (9_995, "10ms"),
            (12_345, "12ms"),
            (999_499, "999ms"),
            (999_500, "1.0s"),
            (1_249_999, "1.2s"),
            (9_949_999, "9.9s"),
            (9_950_000, "10s"),
            (75_400_000, "75s"),
            (u32::MAX.into(), "4295s"),
        ];
        for (us, expected) in cases {
            assert_eq!(text(|out| rtt(us, out)), expected, "{us}");
        }
    }

    #[test]
    fn how_long_something_lasted() {
        let cases = [
            (0, "0ms"),
            (999, "999ms"),
            (1_234, "1.23s"),
            (59_940, "59.9s"),
            (60_000, "1m00s"),
            (3_599_999, "59m59s"),
            (3_600_000, "1h00m"),
            (86_399_999, "23h59m"),
            (86_400_000, "1d00h"),
            (9_999 * 86_400_000, "9999d00h"),
        ];
        for (ms, expected) in cases {
            assert_eq!(text(|out| lasted(ms, out)), expected, "{ms}");
        }
    }

    #[test]
    fn lengths_of_time() {
        let cases = [(0, "0.00s"), (100, "0.10s"), (1_003, "1.00s"), (9_994, "9.99s"), (9_995, "10.0s")];
        for (ms, expected) in cases {
            assert_eq!(text(|out| seconds(Duration::from_millis(ms), out)), expected, "{ms}");
        }
        assert_eq!(text(|out| seconds(Duration::from_secs(3600), out)), "3600.0s");
        assert!(!text(|out| seconds(Duration::MAX, out)).is_empty());
    }
}
