//! Parses text reports: the rates in the header, and the rows.

/// A text report with the default columns and `--bytes`.
#[derive(Debug)]
pub struct TextReport {
    /// The bytes per second that the header says were received and sent.
    pub total: (u64, u64),
    pub rows: Vec<Entry>,
}

/// A row of a text report. A cell with `-` counts as zero.
#[derive(Debug)]
pub struct Entry {
    /// The first cell, which begins with a minus if the connection ended.
    pub proto: String,
    pub local: String,
    pub remote: String,
    /// Bytes per second.
    pub rx_rate: u64,
    pub tx_rate: u64,
    pub rx: u64,
    pub tx: u64,
}

impl TextReport {
    /// Parses the reports of one run, which are separated by blank lines.
    pub fn all(text: &str) -> Vec<Self> {
        text.split("\n\n").map(Self::parse).collect()
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let header = lines.next().expect("a header");
        let rate = |name: &str| {
            let part = header.split("  ").find_map(|part| part.strip_prefix(name)?.strip_suffix("/s"));
            part.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no {name} in {header:?}"))
        };
        let total = (rate("RX "), rate("TX "));
        let titles: Vec<&str> = lines.next().expect("titles").split_whitespace().collect();
        assert_eq!(titles[..4], ["PROTO", "LOCAL", "REMOTE", "PID"], "{text}");
        assert_eq!(titles[titles.len() - 5..], ["RX/s", "TX/s", "RX", "TX", "RTT"], "{text}");
        Self { total, rows: lines.map(Entry::parse).collect() }
    }

    /// Panics unless the rates of the rows add up to the rate in the header. Each rate is rounded, so the sum may
    /// differ by half a byte for each row.
    pub fn assert_adds_up(&self) {
        let sum = |rate: fn(&Entry) -> u64| self.rows.iter().map(rate).sum::<u64>();
        let rows = (sum(|row| row.rx_rate), sum(|row| row.tx_rate));
        let most = u64::try_from(self.rows.len()).expect("it fits") / 2 + 1;
        let alike = |one: u64, other: u64| one.abs_diff(other) <= most;
        assert!(
            alike(rows.0, self.total.0) && alike(rows.1, self.total.1),
            "the header has {:?} bytes per second, its {} rows together {rows:?}: {self:?}",
            self.total,
            self.rows.len()
        );
    }

    /// Returns the rows that have this port at either end.
    pub fn of(&self, port: u16) -> Vec<&Entry> {
        let suffix = format!(":{port}");
        let has = |row: &&Entry| row.local.ends_with(&suffix) || row.remote.ends_with(&suffix);
        self.rows.iter().filter(has).collect()
    }
}

impl Entry {
    fn parse(line: &str) -> Self {
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert!(cells.len() >= 10, "{line:?}");
        // The name of a process may have spaces, so count cells from the end.
        let number = |from_end: usize| match cells[cells.len() - from_end] {
            "-" => 0,
            digits => digits.parse().unwrap_or_else(|_| panic!("{digits:?} is no number: {line:?}")),
        };
        Self {
            proto: cells[0].into(),
            local: cells[1].into(),
            remote: cells[2].into(),
            rx_rate: number(5),
            tx_rate: number(4),
            rx: number(3),
            tx: number(2),
        }
    }

    /// Returns whether the connection has ended.
    pub fn ended(&self) -> bool {
        self.proto.starts_with('-')
    }
}
