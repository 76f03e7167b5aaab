//! The first line of a text report: when, how long, how many, how much.

use super::{time, units, width};
use crate::{
    conn::{Report, per_second},
    sys::clock::TimeOfDay,
};

/// Space between two parts.
const GAP: &[u8] = b"  ";

/// Appends the line, without its end. On a screen of `room` columns parts are left out until it fits: the interval,
/// UDP, TCP, full tables, untracked bytes, lost records, then the rates.
pub fn header(report: &Report, clock: TimeOfDay, room: Option<usize>, out: &mut Vec<u8>) {
    let mut line = Line { text: Vec::new(), parts: Vec::new() };
    line.part(0, |out| time::of_day(clock, out));
    line.part(7, |out| {
        out.extend_from_slice(b"interval ");
        units::seconds(report.interval, out);
    });
    line.part(5, |out| count(b"TCP ", report.tcp as u64, out));
    line.part(6, |out| count(b"UDP ", report.udp as u64, out));
    line.part(1, |out| rate(b"RX ", per_second(report.total.rx, report.interval), out));
    line.part(2, |out| rate(b"TX ", per_second(report.total.tx, report.interval), out));
    if report.untracked.sum() > 0 {
        line.part(4, |out| {
            out.extend_from_slice(b"untracked ");
            units::size(report.untracked.sum(), out);
        });
    }
    if report.lost > 0 {
        line.part(3, |out| count(b"lost ", report.lost, out));
    }
    if report.full > 0 {
        line.part(4, |out| count(b"table full ", report.full, out));
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

/// The parts of the line, ASCII.
struct Line {
    text: Vec<u8>,
    parts: Vec<Part>,
}

/// One part; what has the highest rank is left out first.
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

fn rate(label: &[u8], bytes: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(label);
    units::size(bytes, out);
    out.extend_from_slice(b"/s");
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};
    use crate::conn::Traffic;

    fn line(report: &Report, room: Option<usize>) -> String {
        let mut out = Vec::new();
        header(report, TimeOfDay { hour: 13, minute: 41, second: 52 }, room, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn parts_by_rank() {
        let records = samples::records();
        let mut report = samples::report(&records);
        let whole = "13:41:52  interval 1.00s  TCP 12  UDP 3  RX 12M/s  TX 987K/s";
        assert_eq!(line(&report, None), whole);
        assert_eq!(line(&report, Some(whole.len())), whole);
        assert_eq!(line(&report, Some(whole.len() - 1)), "13:41:52  TCP 12  UDP 3  RX 12M/s  TX 987K/s");
        assert_eq!(line(&report, Some(40)), "13:41:52  TCP 12  RX 12M/s  TX 987K/s");
        report.untracked = Traffic { rx: 5_000, tx: 120 };
        report.lost = 3;
        assert_eq!(line(&report, None), format!("{whole}  untracked 5.0K  lost 3"));
        assert_eq!(line(&report, Some(40)), "13:41:52  RX 12M/s  TX 987K/s  lost 3");
        assert_eq!(line(&report, Some(20)), "13:41:52  RX 12M/s");
        assert_eq!(line(&report, Some(8)), "13:41:52");
        assert_eq!(line(&report, Some(5)), "13:4…");
        assert_eq!(line(&report, Some(0)), "");
    }
}
