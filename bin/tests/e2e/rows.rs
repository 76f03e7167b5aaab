//! Parses the rows of CSV reports strictly, and compares them with what a test expects.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// The header line.
pub const HEADER: &str = "time,event,proto,laddr,lport,raddr,rport,pid,comm,state,rx_bytes,tx_bytes,rx_packets,tx_packets,rx_rate,tx_rate,rtt_us,retrans";

/// Identifies a flow in rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    pub proto: Proto,
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proto {
    Tcp,
    Udp,
}

impl Flow {
    pub fn tcp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { proto: Proto::Tcp, local: canonical(local), remote: canonical(remote) }
    }

    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { proto: Proto::Udp, ..Self::tcp(local, remote) }
    }

    /// Returns the same connection as the other end sees it.
    pub fn flipped(self) -> Self {
        Self { local: self.remote, remote: self.local, ..self }
    }

    /// Expects `rx` and `tx` payload bytes as the totals of this end.
    pub fn moved(self, owner: &Owner, rx: u64, tx: u64) -> End {
        End { flow: self, owner: owner.clone(), rx, tx, packets: None }
    }
}

/// Returns the address as tcptop prints it: IPv4-mapped addresses as IPv4, without scope and flow label.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    pub pid: u32,
    pub comm: String,
}

impl Owner {
    /// Returns this process. Its name is the name of its main thread. Tests run in other threads, which have their
    /// names.
    pub fn me() -> Self {
        Self::of(std::process::id())
    }

    pub fn of(pid: u32) -> Self {
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).expect("the process is alive");
        Self { pid, comm: comm.trim_end().into() }
    }
}

/// The expected values of one end of a connection.
#[derive(Clone, Debug)]
pub struct End {
    pub flow: Flow,
    pub owner: Owner,
    pub rx: u64,
    pub tx: u64,
    /// Packets received and sent. `None` allows any number, but not zero in a direction that has bytes.
    pub packets: Option<(u64, u64)>,
}

impl End {
    /// Also expects exactly these numbers of packets.
    pub fn packets(self, rx: u64, tx: u64) -> Self {
        Self { packets: Some((rx, tx)), ..self }
    }

    /// Returns why a row differs from the expectation.
    fn contradiction(&self, row: &Row) -> Option<String> {
        let bytes = (row.rx_bytes, row.tx_bytes);
        let packets = (row.rx_packets.unwrap_or(0), row.tx_packets.unwrap_or(0));
        if bytes != (Some(self.rx), Some(self.tx)) {
            return Some(format!("bytes are {bytes:?}, not {:?}", (self.rx, self.tx)));
        }
        match self.packets {
            Some(exact) if exact != packets => {
                return Some(format!("packets are {packets:?}, not {exact:?}"));
            }
            None if self.rx > 0 && packets.0 == 0 || self.tx > 0 && packets.1 == 0 => {
                return Some("a direction has bytes and no packets".into());
            }
            _ => {}
        }
        (row.owner.as_ref() != Some(&self.owner))
            .then(|| format!("the owner is {:?}, not {:?}", row.owner, self.owner))
    }

    /// Returns true if the newest row of this end is live and as expected.
    pub fn is_live_in(&self, rows: &[Row]) -> bool {
        newest(rows, &self.flow).is_some_and(|row| !row.closed && self.contradiction(row).is_none())
    }

    /// Returns true if this end has a closed row.
    pub fn is_closed_in(&self, rows: &[Row]) -> bool {
        rows.iter().any(|row| row.closed && row.flow == self.flow)
    }

    /// Panics unless the totals of this end's rows only grow, and exactly the last row is closed and is as expected.
    pub fn assert_ended(&self, rows: &[Row]) {
        self.assert_story(rows);
        let mine: Vec<&Row> = rows.iter().filter(|row| row.flow == self.flow).collect();
        let closed = mine.iter().filter(|row| row.closed).count();
        assert_eq!(closed, 1, "there must be one closed row of {self:?}{}", listed(rows, &self.flow));
        let last = mine.last().expect("one row is closed");
        assert!(last.closed, "a live row follows the closed one: {self:?}{}", listed(rows, &self.flow));
        if let Some(why) = self.contradiction(last) {
            panic!("the closed row of {self:?} is wrong: {why}{}", listed(rows, &self.flow));
        }
        let state = if self.flow.proto == Proto::Tcp { "CLOSE" } else { "" };
        assert_eq!(last.state, state, "{self:?}{}", listed(rows, &self.flow));
    }

    /// Panics unless this end's totals only grow.
    fn assert_story(&self, rows: &[Row]) {
        let (mut totals, mut packets) = ((None, None), (None, None));
        for row in rows.iter().filter(|row| row.flow == self.flow) {
            let now = (row.rx_bytes, row.tx_bytes);
            let now_packets = (row.rx_packets, row.tx_packets);
            let grows = now.0 >= totals.0 && now.1 >= totals.1;
            let grow = now_packets.0 >= packets.0 && now_packets.1 >= packets.1;
            assert!(grows && grow, "totals shrink: {self:?}{}", listed(rows, &self.flow));
            (totals, packets) = (now, now_packets);
            let state = row.state.is_empty() == (self.flow.proto == Proto::Udp);
            assert!(state, "TCP rows have a state, UDP rows have none: {self:?}{}", listed(rows, &self.flow));
            let kept = row.retrans.is_some() == (self.flow.proto == Proto::Tcp);
            assert!(kept, "TCP counts retransmissions, UDP does not: {self:?}{}", listed(rows, &self.flow));
        }
    }
}

/// A line that follows the header.
pub enum Line {
    Row(Box<Row>),
    Sum(Sum),
}

/// A row with a sum: the bytes that moved in the interval.
pub struct Sum {
    pub kind: Kind,
    pub rx: u64,
    pub tx: u64,
    pub rx_rate: u64,
    pub tx_rate: u64,
}

/// The part of the traffic that a sum covers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Total,
    Untracked,
    /// Packets of other protocols, which are not part of the total.
    Other,
}

impl Line {
    /// Parses a line without its newline.
    pub fn parse(line: &str) -> Result<Self, String> {
        let fields = fields(line)?;
        let event = fields.get(1).map_or("", String::as_str);
        let kind = match event {
            "total" => Kind::Total,
            "untracked" => Kind::Untracked,
            "other" => Kind::Other,
            _ => return Row::parse(line).map(|row| Self::Row(Box::new(row))),
        };
        let filled = [0, 1, 10, 11, 14, 15];
        let shape = fields.iter().enumerate().all(|(at, field)| field.is_empty() != filled.contains(&at));
        let number = |at: usize| fields[at].parse().map_err(|_| format!("field {at} is no number: {line:?}"));
        if !shape || fields.len() != 18 || !is_utc(&fields[0]) {
            return Err(format!("a row of a sum fills other fields: {line:?}"));
        }
        let (rx, tx, rx_rate, tx_rate) = (number(10)?, number(11)?, number(14)?, number(15)?);
        Ok(Self::Sum(Sum { kind, rx, tx, rx_rate, tx_rate }))
    }
}

/// A row of a connection.
#[derive(Clone, Debug)]
pub struct Row {
    pub time: String,
    pub closed: bool,
    pub flow: Flow,
    pub owner: Option<Owner>,
    pub state: String,
    pub rx_bytes: Option<u64>,
    pub tx_bytes: Option<u64>,
    pub rx_packets: Option<u64>,
    pub tx_packets: Option<u64>,
    pub rx_rate: Option<u64>,
    pub tx_rate: Option<u64>,
    pub rtt_us: Option<u64>,
    pub retrans: Option<u64>,
}

impl Row {
    /// Parses a line without its newline.
    pub fn parse(line: &str) -> Result<Self, String> {
        let fields = fields(line)?;
        let [
            time,
            event,
            proto,
            laddr,
            lport,
            raddr,
            rport,
            pid,
            comm,
            state,
            rx_bytes,
            tx_bytes,
            rx_packets,
            tx_packets,
            rx_rate,
            tx_rate,
            rtt_us,
            retrans,
        ] = fields.as_slice()
        else {
            return Err(format!("a row has {} fields: {line:?}", fields.len()));
        };
        let number = |text: &String| match text.as_str() {
            "" => Ok(None),
            digits => digits.parse().map(Some).map_err(|_| format!("{digits:?} is no number: {line:?}")),
        };
        let address = |ip: &String, port: &String| -> Result<SocketAddr, String> {
            let ip: IpAddr = ip.parse().map_err(|_| format!("{ip:?} is no address: {line:?}"))?;
            Ok((ip, port.parse().map_err(|_| format!("{port:?} is no port: {line:?}"))?).into())
        };
        let flow = Flow {
            proto: match proto.as_str() {
                "tcp" => Proto::Tcp,
                "udp" => Proto::Udp,
                _ => return Err(format!("{proto:?} is no protocol: {line:?}")),
            },
            local: address(laddr, lport)?,
            remote: address(raddr, rport)?,
        };
        let owner = match number(pid)? {
            Some(pid) => Some(Owner {
                pid: u32::try_from(pid).map_err(|_| format!("{pid} is no pid: {line:?}"))?,
                comm: comm.clone(),
            }),
            None if comm.is_empty() => None,
            None => return Err(format!("a row has a process name and no pid: {line:?}")),
        };
        if !is_utc(time) || !["live", "closed"].contains(&event.as_str()) {
            return Err(format!("the time or the event is wrong: {line:?}"));
        }
        Ok(Self {
            time: time.clone(),
            closed: event == "closed",
            flow,
            owner,
            state: state.clone(),
            rx_bytes: number(rx_bytes)?,
            tx_bytes: number(tx_bytes)?,
            rx_packets: number(rx_packets)?,
            tx_packets: number(tx_packets)?,
            rx_rate: number(rx_rate)?,
            tx_rate: number(tx_rate)?,
            rtt_us: number(rtt_us)?,
            retrans: number(retrans)?,
        })
    }
}

/// Returns whether this is a time of RFC 3339 in UTC with milliseconds, such as `2026-11-23T12:41:52.123Z`.
fn is_utc(time: &str) -> bool {
    let shape = time.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    shape.eq(b"0000-00-00T00:00:00.000Z".iter().copied())
}

/// Splits a line into fields as RFC 4180 says.
pub fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let mut field = String::new();
        if let Some(mut quoted) = rest.strip_prefix('"') {
            loop {
                let end = quoted.find('"').ok_or_else(|| format!("a quote is not closed: {line:?}"))?;
                field.push_str(&quoted[..end]);
                quoted = &quoted[end + 1..];
                let Some(more) = quoted.strip_prefix('"') else { break };
                field.push('"');
                quoted = more;
            }
            rest = quoted;
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            field.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None if rest.is_empty() => return Ok(fields),
            None => return Err(format!("text follows a closing quote: {line:?}")),
        }
    }
}

/// Returns the newest row of a flow.
pub fn newest<'a>(rows: &'a [Row], flow: &Flow) -> Option<&'a Row> {
    rows.iter().rfind(|row| row.flow == *flow)
}

/// Lists the rows of a flow for a message.
pub fn listed<'a>(rows: &'a [Row], flow: &'a Flow) -> impl fmt::Display + 'a {
    struct Listed<'a>(&'a [Row], &'a Flow);
    impl fmt::Display for Listed<'_> {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(out, "\nthe rows of this flow:")?;
            for row in self.0.iter().filter(|row| row.flow == *self.1) {
                write!(out, "\n  {row:?}")?;
            }
            write!(out, "\n({} rows of other flows)", self.0.iter().filter(|row| row.flow != *self.1).count())
        }
    }
    Listed(rows, flow)
}

#[test]
fn lines_are_split_as_rfc_4180_says() {
    assert_eq!(fields("a,,\"b,\"\"c\"").expect("well-formed"), ["a", "", "b,\"c"]);
    assert_eq!(fields("").expect("well-formed"), [""]);
    assert!(fields("\"a").is_err() && fields("\"a\"b,c").is_err());
}
