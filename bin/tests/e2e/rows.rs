//! Parses the rows of CSV reports strictly, and checks them.

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

    /// The same connection as the other end sees it.
    pub fn flipped(self) -> Self {
        Self { local: self.remote, remote: self.local, ..self }
    }

    /// Expects `rx` and `tx` payload bytes as the totals of this end.
    pub fn moved(self, owner: &Owner, rx: u64, tx: u64) -> End {
        End { flow: self, owner: owner.clone(), rx, tx, packets: None }
    }
}

/// IPv4-mapped addresses are printed as IPv4; scopes and flow labels are not printed.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    pub pid: u32,
    pub comm: String,
}

impl Owner {
    /// This process. Its name is that of its first thread; tests run in threads that have the tests' names.
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
    /// Packets received and sent. `None`: any number but zero.
    pub packets: Option<(u64, u64)>,
}

impl End {
    /// Expects exact numbers of packets too.
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
                return Some("bytes without packets".into());
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

    /// Panics unless the totals of this end's rows only grow, and the last row is the only closed one and exactly as expected.
    pub fn assert_ended(&self, rows: &[Row]) {
        self.assert_story(rows);
        let mine: Vec<&Row> = rows.iter().filter(|row| row.flow == self.flow).collect();
        let closed = mine.iter().filter(|row| row.closed).count();
        assert_eq!(closed, 1, "closed rows of {self:?}{}", listed(rows, &self.flow));
        let last = mine.last().expect("one at least");
        assert!(last.closed, "a live row after the closed one: {self:?}{}", listed(rows, &self.flow));
        if let Some(why) = self.contradiction(last) {
            panic!("the closed row of {self:?}: {why}{}", listed(rows, &self.flow));
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
            assert!(state, "TCP has a state, UDP has none: {self:?}{}", listed(rows, &self.flow));
            let kept = row.retrans.is_some() == (self.flow.proto == Proto::Tcp);
            assert!(kept, "TCP counts retransmissions, UDP does not: {self:?}{}", listed(rows, &self.flow));
        }
    }
}

/// A line behind the header.
pub enum Line {
    Row(Box<Row>),
    Sum(Sum),
}

/// A row of a sum: bytes of the interval.
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
    /// No part of the total.
    Other,
}

impl Line {
    /// Parses a line, without its end.
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
        let number = |at: usize| fields[at].parse().map_err(|_| format!("no number in field {at}: {line:?}"));
        if !shape || fields.len() != 18 || !is_utc(&fields[0]) {
            return Err(format!("a sum with other fields: {line:?}"));
        }
        let (rx, tx, rx_rate, tx_rate) = (number(10)?, number(11)?, number(14)?, number(15)?);
        Ok(Self::Sum(Sum { kind, rx, tx, rx_rate, tx_rate }))
    }
}

/// One row.
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
    /// Parses a line, without its end.
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
            return Err(format!("{} fields: {line:?}", fields.len()));
        };
        let number = |text: &String| match text.as_str() {
            "" => Ok(None),
            digits => digits.parse().map(Some).map_err(|_| format!("no number: {digits:?} in {line:?}")),
        };
        let address = |ip: &String, port: &String| -> Result<SocketAddr, String> {
            let ip: IpAddr = ip.parse().map_err(|_| format!("no address: {ip:?} in {line:?}"))?;
            Ok((ip, port.parse().map_err(|_| format!("no port: {port:?} in {line:?}"))?).into())
        };
        let flow = Flow {
            proto: match proto.as_str() {
                "tcp" => Proto::Tcp,
                "udp" => Proto::Udp,
                _ => return Err(format!("no protocol: {proto:?} in {line:?}")),
            },
            local: address(laddr, lport)?,
            remote: address(raddr, rport)?,
        };
        let owner = match number(pid)? {
            Some(pid) => Some(Owner {
                pid: u32::try_from(pid).map_err(|_| format!("no pid: {pid} in {line:?}"))?,
                comm: comm.clone(),
            }),
            None if comm.is_empty() => None,
            None => return Err(format!("a name without a pid: {line:?}")),
        };
        if !is_utc(time) || !["live", "closed"].contains(&event.as_str()) {
            return Err(format!("time or event: {line:?}"));
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

/// RFC 3339 UTC with milliseconds, `2026-11-23T12:41:52.123Z`.
fn is_utc(time: &str) -> bool {
    let shape = time.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    shape.eq(b"0000-00-00T00:00:00.000Z".iter().copied())
}

/// Splits a line by RFC 4180.
pub fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let mut field = String::new();
        if let Some(mut quoted) = rest.strip_prefix('"') {
            loop {
                let end = quoted.find('"').ok_or_else(|| format!("an open quote: {line:?}"))?;
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
            None => return Err(format!("text behind a quote: {line:?}")),
        }
    }
}

/// The newest row of a flow.
pub fn newest<'a>(rows: &'a [Row], flow: &Flow) -> Option<&'a Row> {
    rows.iter().rfind(|row| row.flow == *flow)
}

/// A flow's rows, for messages.
pub fn listed<'a>(rows: &'a [Row], flow: &'a Flow) -> impl fmt::Display + 'a {
    struct Listed<'a>(&'a [Row], &'a Flow);
    impl fmt::Display for Listed<'_> {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(out, "\nits rows:")?;
            for row in self.0.iter().filter(|row| row.flow == *self.1) {
                write!(out, "\n  {row:?}")?;
            }
            write!(out, "\n({} rows of others)", self.0.iter().filter(|row| row.flow != *self.1).count())
        }
    }
    Listed(rows, flow)
}

#[test]
fn fields_by_rfc_4180() {
    assert_eq!(fields("a,,\"b,\"\"c\"").expect("well-formed"), ["a", "", "b,\"c"]);
    assert_eq!(fields("").expect("well-formed"), [""]);
    assert!(fields("\"a").is_err() && fields("\"a\"b,c").is_err());
}
