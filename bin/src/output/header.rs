//! The first line of a text report: time, interval, number of connections, and rates.

use crate::{
    columns::{
        Frame,
        format::{time, units, width},
    },
    conn::{Forwarding, Report, Traffic, per_second},
};

/// Separator between two parts.
const GAP: &[u8] = b"  ";

/// Bytes moved since the start.
#[derive(Clone, Copy, Default)]
pub struct Sums {
    total: Traffic,
    forwarded: Traffic,
    shown: Traffic,
}

impl Sums {
    /// Adds the bytes of an interval.
    pub fn add(&mut self, report: &Report<'_>, shown: Option<Traffic>) {
        self.total += report.total;
        self.forwarded += report.forwarding.map_or_else(Traffic::default, |forwarding| forwarding.moved);
        self.shown += shown.unwrap_or_default();
    }
}

/// Appends the line without a newline. `shown` is what the rows moved, if a filter left some out. `sums` adds the bytes
/// since the start. If the line does not fit `room`, parts are left out in this order: other packets, the interval,
/// UDP, TCP, forwarded connections, full tables and untracked bytes, lost records, the sum, what is shown, then the
/// rates.
pub fn header(
    report: &Report<'_>,
    shown: Option<Traffic>,
    sums: Option<Sums>,
    frame: &Frame<'_>,
    room: Option<usize>,
    out: &mut Vec<u8>,
) {
    let mut line = Line { text: Vec::new(), parts: Vec::new() };
    line.part(0, |out| time::short(frame.time, frame.time_format, out));
    line.part(10, |out| {
        out.extend_from_slice(b"interval ");
        units::seconds(report.interval, out);
    });
    if !report.forwarding.is_some_and(|forwarding| forwarding.alone) {
        line.part(8, |out| count(b"TCP ", report.tcp as u64, out));
        line.part(9, |out| count(b"UDP ", report.udp as u64, out));
        line.part(1, |out| rate(b"RX ", report.total.rx, frame, out));
        line.part(2, |out| rate(b"TX ", report.total.tx, frame, out));
        if let Some(sums) = sums {
            line.part(4, |out| sum(b"sum", sums.total, frame, out));
        }
    }
    if let Some(Forwarding { count: flows, moved, .. }) = report.forwarding {
        line.part(7, |out| {
            count(b"FWD ", flows as u64, out);
            rate(b" RX ", moved.rx, frame, out);
            rate(b" TX ", moved.tx, frame, out);
            if let Some(sums) = sums {
                sum(b" sum", sums.forwarded, frame, out);
            }
        });
    }
    if let Some(shown) = shown {
        line.part(3, |out| {
            rate(b"shown RX ", shown.rx, frame, out);
            rate(b" TX ", shown.tx, frame, out);
            if let Some(sums) = sums {
                sum(b" sum", sums.shown, frame, out);
            }
        });
    }
    if report.other.sum() > 0 {
        line.part(11, |out| rate(b"other ", report.other.sum(), frame, out));
    }
    if report.untracked.sum() > 0 {
        line.part(6, |out| {
            out.extend_from_slice(b"untracked ");
            size(report.untracked.sum(), frame, out);
        });
    }
    if report.lost > 0 {
        line.part(5, |out| count(b"lost ", report.lost, out));
    }
    if report.full > 0 {
        line.part(6, |out| count(b"table full ", report.full, out));
    }
    line.fit(room.unwrap_or(usize::MAX));

    let start = out.len();
    for part in &line.parts {
        if out.len() > start {
            out.extend_from_slice(GAP);
        }
        out.extend_from_slice(&line.text[part.start..part.end]);
    }
    width::cut(out, start, room.unwrap_or(usize::MAX));
}

/// The parts of the line, in ASCII.
struct Line {
    text: Vec<u8>,
    parts: Vec<Part>,
}

/// One part. The part with the highest rank is left out first.
struct Part {
    rank: u8,
    start: usize,
    end: usize,
}

impl Line {
    fn part(&mut self, rank: u8, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.text.len();
        write(&mut self.text);
        self.parts.push(Part { rank, start, end: self.text.len() });
    }

    fn fit(&mut self, room: usize) {
        while self.parts.len() > 1 {
            let used: usize = self.parts.iter().map(|part| part.end - part.start + GAP.len()).sum();
            if used - GAP.len() <= room {
                break;
            }
            let last = self.parts.iter().map(|part| part.rank).max();
            self.parts.retain(|part| Some(part.rank) != last);
        }
    }
}

fn count(label: &[u8], number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(label);
    units::decimal(number, out);
}

fn rate(label: &[u8], bytes: u64, frame: &Frame<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(label);
    units::rate(per_second(bytes, frame.interval), frame.numbers, out);
    out.extend_from_slice(if frame.numbers.bits { b"bit/s" } else { b"/s" });
}

fn sum(label: &[u8], moved: Traffic, frame: &Frame<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(label);
    for (label, bytes) in [(b" RX ", moved.rx), (b" TX ", moved.tx)] {
        out.extend_from_slice(label);
        size(bytes, frame, out);
    }
}

fn size(bytes: u64, frame: &Frame<'_>, out: &mut Vec<u8>) {
    if frame.numbers.raw { units::decimal(bytes, out) } else { units::size(bytes, out) }
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    fn line(report: &Report<'_>, room: Option<usize>) -> String {
        shown(report, None, room)
    }

    fn shown(report: &Report<'_>, shown: Option<Traffic>, room: Option<usize>) -> String {
        let mut out = Vec::new();
        let names = samples::names();
        header(report, shown, None, &samples::frame(report, &names), room, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn parts_by_rank() {
        let records = samples::records();
        let mut report = samples::report(&records);
        let whole = "12:41:52Z  interval 1.00s  TCP 12  UDP 3  RX 12M/s  TX 987K/s";
        assert_eq!(line(&report, None), whole);
        assert_eq!(line(&report, Some(whole.len())), whole);
        assert_eq!(line(&report, Some(whole.len() - 1)), "12:41:52Z  TCP 12  UDP 3  RX 12M/s  TX 987K/s");
        assert_eq!(line(&report, Some(40)), "12:41:52Z  TCP 12  RX 12M/s  TX 987K/s");
        let part = Some(Traffic { rx: 5_000, tx: 120 });
        assert_eq!(shown(&report, part, None), format!("{whole}  shown RX 4.9K/s TX 120/s"));
        report.untracked = Traffic { rx: 5_000, tx: 120 };
        report.lost = 3;
        report.other = Traffic { rx: 100, tx: 20 };
        assert_eq!(line(&report, None), format!("{whole}  other 120/s  untracked 5.0K  lost 3"));
        assert_eq!(line(&report, Some(40)), "12:41:52Z  RX 12M/s  TX 987K/s  lost 3");
        assert_eq!(line(&report, Some(20)), "12:41:52Z  RX 12M/s");
        assert_eq!(line(&report, Some(9)), "12:41:52Z");
        assert_eq!(line(&report, Some(5)), "12:4…");
        assert_eq!(line(&report, Some(0)), "");
    }

    #[test]
    fn sums_since_the_start() {
        let records = samples::records();
        let report = samples::report(&records);
        let (shown, names) = (Some(Traffic { rx: 5_000, tx: 120 }), samples::names());
        let mut sums = Sums::default();
        let mut line = |shown, room| {
            sums.add(&report, shown);
            let mut out = Vec::new();
            header(&report, shown, Some(sums), &samples::frame(&report, &names), room, &mut out);
            String::from_utf8(out).expect("UTF-8")
        };
        let whole = "12:41:52Z  interval 1.00s  TCP 12  UDP 3  RX 12M/s  TX 987K/s";
        assert_eq!(line(None, None), format!("{whole}  sum RX 12M TX 987K"));
        assert_eq!(
            line(shown, None),
            format!("{whole}  sum RX 24M TX 1.9M  shown RX 4.9K/s TX 120/s sum RX 4.9K TX 120")
        );
        assert_eq!(
            line(shown, Some(80)),
            "12:41:52Z  RX 12M/s  TX 987K/s  shown RX 4.9K/s TX 120/s sum RX 9.8K TX 240"
        );
        assert_eq!(line(None, Some(58)), "12:41:52Z  TCP 12  RX 12M/s  TX 987K/s  sum RX 48M TX 3.9M");
    }

    #[test]
    fn what_is_passed_on_stands_apart() {
        let records = samples::records();
        let mut report = samples::report(&records);
        let forwarding = Forwarding { count: 40, moved: Traffic { rx: 2048, tx: 7 }, alone: false };
        report.forwarding = Some(forwarding);
        let whole = "12:41:52Z  interval 1.00s  TCP 12  UDP 3  RX 12M/s  TX 987K/s  FWD 40 RX 2.0K/s TX 7/s";
        assert_eq!(line(&report, None), whole);
        assert_eq!(line(&report, Some(60)), "12:41:52Z  RX 12M/s  TX 987K/s  FWD 40 RX 2.0K/s TX 7/s");
        report.forwarding = Some(Forwarding { alone: true, ..forwarding });
        assert_eq!(line(&report, None), "12:41:52Z  interval 1.00s  FWD 40 RX 2.0K/s TX 7/s");
    }
}
