//! Reads a second source of the numbers: the kernel's own totals of a socket that is still open, by `TCP_INFO` of tcp(7).

use std::os::fd::AsRawFd;

use crate::{harness::eventually, rows::End, traffic::Pair};

/// The name of this source in the line of a case.
pub const TCP_INFO: &str = "TCP_INFO";

/// `struct tcp_info` of include/uapi/linux/tcp.h, with the length that it had in Linux 5.4.
pub struct Info([u8; 232]);

impl Info {
    pub fn of(socket: &impl AsRawFd) -> Self {
        let mut info = Self([0; 232]);
        let mut length = libc::socklen_t::try_from(info.0.len()).expect("small");
        let (fd, to) = (socket.as_raw_fd(), info.0.as_mut_ptr().cast());
        // SAFETY: the kernel writes at most `length` bytes.
        let result = unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, to, &raw mut length) };
        assert_eq!(
            (result, length as usize),
            (0, info.0.len()),
            "TCP_INFO: {}",
            std::io::Error::last_os_error()
        );
        info
    }

    fn int(&self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.0[offset..offset + 4].try_into().expect("four bytes"))
    }

    fn long(&self, offset: usize) -> u64 {
        u64::from_ne_bytes(self.0[offset..offset + 8].try_into().expect("eight bytes"))
    }

    /// `tcpi_state`, of include/net/tcp_states.h.
    pub fn state(&self) -> u8 {
        self.0[0]
    }

    /// Returns whether the peer accepted data of the SYN.
    pub fn syn_data(&self) -> bool {
        const TCPI_OPT_SYN_DATA: u8 = 32;
        self.0[5] & TCPI_OPT_SYN_DATA != 0
    }

    /// `tcpi_bytes_acked`. An acknowledged SYN or FIN of this end counts as 1 byte.
    fn acked(&self) -> u64 {
        self.long(120)
    }

    /// `tcpi_bytes_received`. The peer's FIN counts as 1 byte.
    fn received(&self) -> u64 {
        self.long(128)
    }

    /// `tcpi_segs_in` and `tcpi_segs_out`.
    pub fn segments(&self) -> (u32, u32) {
        (self.int(140), self.int(136))
    }

    /// `tcpi_bytes_sent` without `tcpi_bytes_retrans`: payload only.
    pub fn sent_once(&self) -> u64 {
        self.long(200) - self.sent_again()
    }

    /// `tcpi_bytes_retrans`.
    pub fn sent_again(&self) -> u64 {
        self.long(208)
    }

    /// `tcpi_rcv_ooopack`: segments that arrived out of order.
    pub fn out_of_order(&self) -> u32 {
        self.int(224)
    }

    /// `tcpi_snd_wnd`: the send window.
    pub fn window(&self) -> u32 {
        self.int(228)
    }

    /// Returns the number of acknowledged FINs of this end, and of the peer's FINs. A socket in CLOSE must not have been reset.
    fn fins(&self) -> (u64, u64) {
        const FIN_WAIT2: u8 = 5;
        const CLOSE: u8 = 7;
        const CLOSE_WAIT: u8 = 8;
        const LAST_ACK: u8 = 9;
        const CLOSING: u8 = 11;
        match self.state() {
            FIN_WAIT2 => (1, 0),
            CLOSE_WAIT | LAST_ACK | CLOSING => (0, 1),
            CLOSE => (1, 1),
            _ => (0, 0),
        }
    }
}

/// Waits until the socket's totals are those expected of this end. `syn` is 1 on the side that connected.
pub fn assert_end_agrees(socket: &impl AsRawFd, end: &End, syn: u64) {
    eventually(&format!("TCP_INFO agrees with {end:?}"), || {
        let info = Info::of(socket);
        let (fin, peers_fin) = info.fins();
        let (received, acked) = (info.received() - peers_fin, info.acked().checked_sub(syn + fin)?);
        ((received, acked, info.sent_once()) == (end.rx, end.tx, end.tx)).then_some(())
    });
}

/// Waits until the totals of both sockets are those expected of the client's end and the server's.
pub fn assert_ends_agree(pair: &Pair, [client, server]: &[End; 2]) {
    assert_end_agrees(&*pair.client, client, 1);
    assert_end_agrees(&*pair.server, server, 0);
}
