//! Sets up IPsec by policy (RFC 4301) on the loopback of a network namespace. Its sockets send ESP (RFC 4303), with keys that
//! protect nothing.

use std::{
    fs, io,
    net::{Ipv4Addr, UdpSocket},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// How packets are put into others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The transport header behind an ESP header.
    Transport,
    /// The whole packet in another one.
    Tunnel,
    /// The same in UDP (RFC 3948), as behind a translator of addresses.
    InUdp,
}

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const IPPROTO_ESP: u8 = 50;
const PORT: u16 = 4500;
/// Of include/uapi/linux/udp.h.
const UDP_ENCAP_ESPINUDP: u16 = 2;

/// Messages and attributes of include/uapi/linux/xfrm.h.
const XFRM_MSG_NEWSA: u16 = 0x10;
const XFRM_MSG_NEWPOLICY: u16 = 0x13;
const XFRMA_ALG_CRYPT: u16 = 2;
const XFRMA_ENCAP: u16 = 4;
const XFRMA_TMPL: u16 = 5;

/// Bytes of a structure, each field put where it belongs.
struct Record(Vec<u8>);

impl Record {
    fn new(size: usize) -> Self {
        Self(vec![0; size])
    }

    fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn address(self, at: usize) -> Self {
        self.put(at, &HERE.octets())
    }

    /// `struct xfrm_lifetime_cfg`: without end.
    fn unlimited(self, at: usize) -> Self {
        self.put(at, &[0xff; 32])
    }

    /// `struct xfrm_id`.
    fn id(self, at: usize) -> Self {
        self.address(at).put(at + 16, &0x1000u32.to_be_bytes()).put(at + 20, &[IPPROTO_ESP])
    }

    fn family(self, at: usize) -> Self {
        let family = u16::try_from(libc::AF_INET).expect("small");
        self.put(at, &family.to_ne_bytes())
    }

    /// `struct xfrm_selector`: from and to this host.
    fn selector(self, at: usize) -> Self {
        self.address(at).address(at + 16).family(at + 40).put(at + 42, &[32, 32])
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(4 + value.len()).expect("small");
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

impl Mode {
    fn number(self) -> u8 {
        u8::from(self == Self::Tunnel)
    }

    /// `struct xfrm_usersa_info`.
    fn association(self) -> Vec<u8> {
        let mut name = b"ecb(cipher_null)".to_vec();
        // Its key has no bits.
        name.resize(68, 0);
        let record = Record::new(224)
            .selector(0)
            .id(56)
            .address(80)
            .unlimited(96)
            .put(208, &1u32.to_ne_bytes())
            .family(212)
            .put(214, &[self.number()])
            .attribute(XFRMA_ALG_CRYPT, &name);
        if self != Self::InUdp {
            return record.0;
        }
        let template = Record::new(24)
            .put(0, &UDP_ENCAP_ESPINUDP.to_ne_bytes())
            .put(2, &PORT.to_be_bytes())
            .put(4, &PORT.to_be_bytes());
        record.attribute(XFRMA_ENCAP, &template.0).0
    }

    /// `struct xfrm_userpolicy_info` of a direction.
    fn policy(self, direction: u8) -> Vec<u8> {
        let template = Record::new(64)
            .id(0)
            .family(24)
            .address(28)
            .put(44, &1u32.to_ne_bytes())
            .put(48, &[self.number()])
            .put(52, &[0xff; 12]);
        Record::new(168)
            .selector(0)
            .unlimited(56)
            .put(152, &10u32.to_ne_bytes())
            .put(160, &[direction])
            .attribute(XFRMA_TMPL, &template.0)
            .0
    }

    /// The same of a policy that lets the packets in which others are come in as they are.
    fn bypass() -> Vec<u8> {
        let record = Record::new(168).selector(0).put(32, &PORT.to_be_bytes()).put(34, &[0xff; 2]);
        let record = record.put(44, &[libc::IPPROTO_UDP.to_le_bytes()[0]]).unlimited(56);
        record.put(152, &1u32.to_ne_bytes()).0
    }
}

/// One request, and its answer.
fn ask(socket: &OwnedFd, kind: u16, body: &[u8]) -> io::Result<()> {
    const HEADER: usize = 16;
    const FLAGS: u16 = 1 | 4 | 0x400; // NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE
    let length = u32::try_from(HEADER + body.len()).expect("small");
    let mut message = Record::new(HEADER)
        .put(0, &length.to_ne_bytes())
        .put(4, &kind.to_ne_bytes())
        .put(6, &FLAGS.to_ne_bytes())
        .0;
    message.extend_from_slice(body);
    let mut answer = [0u8; 512];
    // SAFETY: buffers of the lengths given.
    let received = unsafe {
        let sent = libc::send(socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0);
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0)
    };
    assert!(received >= 20, "an answer");
    let code = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) }
}

/// The socket that takes what comes in UDP, while it is open.
pub struct Ipsec(#[expect(dead_code, reason = "only held")] Option<UdpSocket>);

/// From now on, what this namespace's sockets send to each other leaves in ESP. `None`: the kernel has no IPsec.
pub fn begin(mode: Mode) -> Option<Ipsec> {
    // What comes out of a packet is routed once more, from and to this host.
    let settings =
        [("disable_xfrm", "0"), ("disable_policy", "0"), ("route_localnet", "1"), ("accept_local", "1")];
    for (name, value) in settings {
        fs::write(format!("/proc/sys/net/ipv4/conf/lo/{name}"), value).ok()?;
    }
    // SAFETY: no pointer is passed.
    let fd =
        unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_XFRM) };
    if fd < 0 {
        return None;
    }
    // SAFETY: just opened, nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    match ask(&socket, XFRM_MSG_NEWSA, &mode.association()) {
        Err(error) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => return None,
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => return None,
        answer => answer.expect("an association"),
    }
    let receiver = (mode == Mode::InUdp).then(|| {
        let socket = UdpSocket::bind((HERE, PORT)).expect("bind");
        let encapsulation = i32::from(UDP_ENCAP_ESPINUDP);
        crate::traffic::set_option(socket.as_raw_fd(), libc::IPPROTO_UDP, libc::UDP_ENCAP, &encapsulation);
        socket
    });
    if mode == Mode::InUdp {
        ask(&socket, XFRM_MSG_NEWPOLICY, &Mode::bypass()).expect("a policy");
    }
    // In and out.
    for direction in 0..2 {
        ask(&socket, XFRM_MSG_NEWPOLICY, &mode.policy(direction)).expect("a policy");
    }
    Some(Ipsec(receiver))
}
