//! A network device whose other end is the test. The test writes the packets that arrive at the device, and reads those that
//! leave it.

use std::{
    fs::File,
    io::{Read, Write},
    net::{Ipv4Addr, UdpSocket},
    os::fd::AsRawFd,
};

use crate::traffic;

/// `struct ifreq` of netdevice(7).
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    value: [u8; 24],
}

/// Requests of ioctl(2), include/uapi/linux/sockios.h.
const SIOCSIFFLAGS: libc::Ioctl = 0x8914;
const SIOCSIFADDR: libc::Ioctl = 0x8916;
const SIOCSIFNETMASK: libc::Ioctl = 0x891c;
const IFF_TUN: i16 = 1;
const IFF_NO_PI: i16 = 0x1000;

/// A TUN device in the network namespace of the thread that created it. It is removed when dropped.
pub struct Tun(File);

impl Tun {
    /// Creates a device with this name and address, in a network of 24 bits. Returns `None` if the kernel has no TUN devices.
    pub fn new(name: &str, address: Ipv4Addr) -> Option<Self> {
        let file = File::options().read(true).write(true).open("/dev/net/tun").ok()?;
        let request = |value: &[u8]| {
            let mut request = InterfaceRequest { name: [0; 16], value: [0; 24] };
            request.name[..name.len()].copy_from_slice(name.as_bytes());
            request.value[..value.len()].copy_from_slice(value);
            request
        };
        let call = |fd: i32, number, value: &[u8]| {
            let mut request = request(value);
            // SAFETY: the kernel reads and writes an ifreq, and `request` has its size.
            let result = unsafe { libc::ioctl(fd, number, &raw mut request) };
            assert_eq!(result, 0, "{name}: {}", std::io::Error::last_os_error());
        };
        call(file.as_raw_fd(), libc::TUNSETIFF, &(IFF_TUN | IFF_NO_PI).to_ne_bytes());
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        for (number, address) in [(SIOCSIFADDR, address), (SIOCSIFNETMASK, Ipv4Addr::new(255, 255, 255, 0))] {
            // `struct sockaddr_in`: family, port, address.
            let family = u16::try_from(libc::AF_INET).expect("small").to_ne_bytes();
            call(socket.as_raw_fd(), number, &[&family[..], &[0, 0], &address.octets()].concat());
        }
        let up = i16::try_from(libc::IFF_UP | libc::IFF_RUNNING).expect("low bits");
        call(socket.as_raw_fd(), SIOCSIFFLAGS, &up.to_ne_bytes());
        Some(Self(file))
    }

    /// Lets a packet arrive at the device.
    pub fn arrive(&mut self, packet: &[u8]) {
        self.0.write_all(packet).expect("the device is up");
    }

    /// Waits until an IPv4 packet leaves, and returns its length.
    pub fn leave(&mut self) -> usize {
        let mut packet = [0; 2048];
        loop {
            traffic::readable(self.0.as_raw_fd(), "a packet");
            let length = self.0.read(&mut packet).expect("a packet");
            // The host also sends IPv6 solicitations of its own.
            if packet[0] >> 4 == 4 {
                return length;
            }
        }
    }
}

/// An address and a port.
pub type Endpoint = (Ipv4Addr, u16);

/// Returns a UDP datagram as an IPv4 packet.
pub fn datagram(from: Endpoint, to: Endpoint, payload: usize) -> Vec<u8> {
    let length = u16::try_from(8 + payload).expect("fits");
    let mut udp = [from.1.to_be_bytes(), to.1.to_be_bytes(), length.to_be_bytes(), [0, 0]].concat();
    udp.resize(8 + payload, 0);
    packet(17, from.0, to.0, &udp)
}

/// Returns a TCP segment as an IPv4 packet. `flags` are control bits of RFC 9293 section 3.1.
pub fn segment(from: Endpoint, to: Endpoint, flags: u8, [seq, ack]: [u32; 2], payload: usize) -> Vec<u8> {
    let mut tcp = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
    tcp.extend([seq.to_be_bytes(), ack.to_be_bytes()].concat());
    tcp.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.resize(20 + payload, 0);
    let length = u16::try_from(tcp.len()).expect("fits").to_be_bytes();
    let pseudo = [&from.0.octets()[..], &to.0.octets(), &[0, 6], &length, &tcp].concat();
    tcp[16..18].copy_from_slice(&checksum(&pseudo));
    packet(6, from.0, to.0, &tcp)
}

fn packet(protocol: u8, from: Ipv4Addr, to: Ipv4Addr, transport: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + transport.len()).expect("fits").to_be_bytes();
    let mut header = vec![0x45, 0, length[0], length[1], 0, 0, 0x40, 0, 64, protocol, 0, 0];
    header.extend(from.octets());
    header.extend(to.octets());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum);
    [&header, transport].concat()
}

/// Computes the Internet checksum: RFC 1071.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words =
        bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).expect("folded")).to_be_bytes()
}
