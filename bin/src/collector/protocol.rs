//! Transport protocols.

/// Transport protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Udp,
    /// Another protocol, by its number in the IP header (RFC 791, RFC 8200).
    Other(u8),
}

/// Numbers and names of other protocols (<https://www.iana.org/assignments/protocol-numbers>).
const NAMES: [(u8, &str); 12] = [
    (1, "icmp"),
    (2, "igmp"),
    (4, "ipip"),
    (33, "dccp"),
    (41, "ipv6"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "icmpv6"),
    (89, "ospf"),
    (132, "sctp"),
    (136, "udplite"),
];

impl Protocol {
    /// Returns the protocol with this number in the IP header.
    pub const fn from_number(number: u8) -> Self {
        match number {
            tcptop_abi::IPPROTO_TCP => Self::Tcp,
            tcptop_abi::IPPROTO_UDP => Self::Udp,
            number => Self::Other(number),
        }
    }

    /// Returns the name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Other(number) => {
                NAMES.iter().find(|(known, _)| *known == number).map_or("other", |(_, name)| name)
            }
        }
    }
}
