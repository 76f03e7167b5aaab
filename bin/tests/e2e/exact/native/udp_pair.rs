//! Sends datagrams of one socket from many addresses of the loopback network.

use std::{
    io::Error,
    mem::MaybeUninit,
    net::{Ipv4Addr, UdpSocket},
    os::fd::AsRawFd,
    thread,
};

use crate::{
    fd_passing::ControlBuffer,
    harness::LIMIT,
    namespace,
    rows::{End, Flow},
    traffic,
};

/// A socket that sends, and one that receives all its datagrams, in a network namespace without other traffic.
pub struct UdpPair {
    pub sender: UdpSocket,
    pub receiver: UdpSocket,
}

impl UdpPair {
    /// Opens `count` pairs in one new namespace.
    pub fn in_one_namespace(count: usize) -> Vec<Self> {
        let inside = thread::spawn(move || {
            namespace::enter_new();
            (0..count).map(|_| Self::open()).collect()
        });
        inside.join().expect("no panic")
    }

    fn open() -> Self {
        let [sender, receiver] = [(); 2].map(|()| UdpSocket::bind("0.0.0.0:0").expect("bind"));
        receiver.set_read_timeout(Some(LIMIT)).expect("SO_RCVTIMEO");
        Self { sender, receiver }
    }

    /// Returns the ports of the sender and the receiver.
    pub fn ports(&self) -> [u16; 2] {
        [&self.sender, &self.receiver].map(|socket| socket.local_addr().expect("bound").port())
    }

    /// Returns the sender's flow for an address and the receiver's, each with this many bytes.
    pub fn ends(&self, address: Ipv4Addr, bytes: u64) -> [End; 2] {
        let [near, far] = self.ports().map(|port| (address, port).into());
        traffic::ends(Flow::udp(near, far), bytes, 0)
    }

    /// Sends a datagram from this address to the same one, so that both sockets have a flow for each address.
    pub fn send(&self, address: Ipv4Addr, bytes: &[u8]) {
        let (at, mut control) =
            (libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) }, ControlBuffer::default());
        let mut to = libc::sockaddr_in { sin_addr: at, ..traffic::raw_v4(self.ports()[1]) };
        let mut data = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        // SAFETY: all zeros are an empty message.
        let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        message.msg_name = (&raw mut to).cast();
        message.msg_namelen = traffic::V4_LENGTH;
        message.msg_iov = &raw mut data;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: at, ipi_addr: at };
        let length = u32::try_from(size_of_val(&info)).expect("small");
        // SAFETY: `control` has room for the header and `info`, and both are written before the call. Everything that the
        // message points to outlives the call.
        let sent = unsafe {
            let space = libc::CMSG_SPACE(length) as usize;
            assert!(size_of::<ControlBuffer>() >= space);
            message.msg_controllen = space as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::IPPROTO_IP;
            (*header).cmsg_type = libc::IP_PKTINFO;
            (*header).cmsg_len = libc::CMSG_LEN(length) as _;
            libc::CMSG_DATA(header).cast::<libc::in_pktinfo>().write_unaligned(info);
            libc::sendmsg(self.sender.as_raw_fd(), &raw const message, 0)
        };
        assert_eq!(usize::try_from(sent).ok(), Some(bytes.len()), "sendmsg: {}", Error::last_os_error());
    }
}
