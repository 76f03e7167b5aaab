//! Sets up IPsec policies (RFC 4301) on the loopback of a network namespace. The sockets there then send ESP (RFC 4303)
//! with the null cipher, which encrypts nothing.

use std::{
    fs, io,
    net::{Ipv4Addr, UdpSocket},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// How ESP encloses a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The ESP header stands before the transport header.
    Transport,
    /// Another packet encloses the whole packet.
    Tunnel,
    /// ESP in transport mode is sent in UDP (RFC 3948), as behind NAT.
    InUdp,
}

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const IPPROTO_ESP: u8 = 50;
const PORT: u16 = 4500;
/// The value of include/uapi/linux/udp.h.
const UDP_ENCAP_ESPINUDP: u16 = 2;

/// Messages and attributes of include/uapi/linux/xfrm.h.
const XFRM_MSG_NEWSA: u16 = 0x10;
const XFRM_MSG_NEWPOLICY: u16 = 0x13;
const XFRMA_ALG_CRYPT: u16 = 2;
const XFRMA_ENCAP: u16 = 4;
const XFRMA_TMPL: u16 = 5;

/// The bytes of a structure. A test writes each field at its offset.
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

    /// Writes a `struct xfrm_lifetime_cfg` without limits.
    fn unlimited(self, at: usize) -> Self {
        self.put(at, &[0xff; 32])
    }

    /// Writes a `struct xfrm_id`.
    fn id(self, at: usize) -> Self {
        self.address(at).put(at + 16, &0x1000u32.to_be_bytes()).put(at + 20, &[IPPROTO_ESP])
    }

    fn family(self, at: usize) -> Self {
        let family = u16::try_from(libc::AF_INET).expect("it fits");
        self.put(at, &family.to_ne_bytes())
    }

    /// Writes a `struct xfrm_selector` for packets from and to this host.
    fn selector(self, at: usize) -> Self {
        self.address(at).address(at + 16).family(at + 40).put(at + 42, &[32, 32])
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(4 + value.len()).expect("it fits");
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

    /// Returns a `struct xfrm_usersa_info` and its attributes.
    fn association(self) -> Vec<u8> {
        let mut name = b"ecb(cipher_null)".to_vec();
        // `struct xfrm_algo` has 64 bytes for the name, and then the length of the key, which is zero.
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

    /// Returns a `struct xfrm_userpolicy_info` and its attributes for one direction.
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

    /// Returns a policy that lets the enclosing UDP packets in although they are not ESP.
    fn bypass() -> Vec<u8> {
        let record = Record::new(168).selector(0).put(32, &PORT.to_be_bytes()).put(34, &[0xff; 2]);
        let record = record.put(44, &[libc::IPPROTO_UDP.to_le_bytes()[0]]).unlimited(56);
        record.put(152, &1u32.to_ne_bytes()).0
    }
}

/// Sends a request, and returns the kernel's answer.
fn ask(socket: &OwnedFd, kind: u16, body: &[u8]) -> io::Result<()> {
    const HEADER: usize = 16;
    const FLAGS: u16 = 1 | 4 | 0x400; // NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE
    let length = u32::try_from(HEADER + body.len()).expect("it fits");
    let mut message = Record::new(HEADER)
        .put(0, &length.to_ne_bytes())
        .put(4, &kind.to_ne_bytes())
        .put(6, &FLAGS.to_ne_bytes())
        .0;
    message.extend_from_slice(body);
    let mut answer = [0u8; 512];
    // SAFETY: both buffers have the lengths that the calls get.
    let received = unsafe {
        let sent = libc::send(socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0);
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0)
    };
    assert!(received >= 20, "the answer has {received} bytes");
    let code = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) }
}

/// IPsec of a namespace. It holds the socket that receives ESP in UDP.
pub struct Ipsec(#[expect(dead_code, reason = "it only keeps the socket open")] Option<UdpSocket>);

/// Makes this namespace's sockets send ESP to each other from now on. Returns `None` if the kernel has no IPsec.
pub fn begin(mode: Mode) -> Option<Ipsec> {
    // The kernel routes the enclosed packet again. That one comes from this host and goes to this host.
    let settings =
        [("disable_xfrm", "0"), ("disable_policy", "0"), ("route_localnet", "1"), ("accept_local", "1")];
    for (name, value) in settings {
        fs::write(format!("/proc/sys/net/ipv4/conf/lo/{name}"), value).ok()?;
    }
    // SAFETY: the call gets no pointer.
    let fd =
        unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_XFRM) };
    if fd < 0 {
        return None;
    }
    // SAFETY: the descriptor was just opened, and nothing else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    match ask(&socket, XFRM_MSG_NEWSA, &mode.association()) {
        Err(error) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => return None,
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => return None,
        answer => answer.expect("XFRM_MSG_NEWSA"),
    }
    let receiver = (mode == Mode::InUdp).then(|| {
        let socket = UdpSocket::bind((HERE, PORT)).expect("bind");
        let encapsulation = i32::from(UDP_ENCAP_ESPINUDP);
        crate::traffic::set_option(socket.as_raw_fd(), libc::IPPROTO_UDP, libc::UDP_ENCAP, &encapsulation);
        socket
    });
    if mode == Mode::InUdp {
        ask(&socket, XFRM_MSG_NEWPOLICY, &Mode::bypass()).expect("XFRM_MSG_NEWPOLICY");
    }
    // XFRM_POLICY_IN and XFRM_POLICY_OUT.
    for direction in 0..2 {
        ask(&socket, XFRM_MSG_NEWPOLICY, &mode.policy(direction)).expect("XFRM_MSG_NEWPOLICY");
    }
    Some(Ipsec(receiver))
}
