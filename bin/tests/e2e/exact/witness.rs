//! The second witness: the kernel's own totals of a socket that is still open, by `TCP_INFO` of tcp(7).

use std::os::fd::AsRawFd;

use crate::{harness::eventually, rows::End, traffic::Pair};

/// This witness's name in the line of a case.
pub const TCP_INFO: &str = "TCP_INFO";

/// `struct tcp_info` of include/uapi/linux/tcp.h, as long as it was in Linux 5.4.
pub struct Info([u8; 232]);

impl Info {
    pub fn of(socket: &impl AsRawFd) -> Self {
        let mut info = Self([0; 232]);
        let mut length = libc::socklen_t::try_from(info.0.len()).expect("small");
        let (fd, to) = (socket.as_raw_fd(), info.0.as_mut_ptr().cast());
        // SAFETY: the kernel writes `length` bytes at most.
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

    /// The peer took data that came with the SYN.
    pub fn syn_data(&self) -> bool {
        const TCPI_OPT_SYN_DATA: u8 = 32;
        self.0[5] & TCPI_OPT_SYN_DATA != 0
    }

    /// `tcpi_bytes_acked`: a SYN and a FIN of ours that were acknowledged count 1 each.
    fn acked(&self) -> u64 {
        self.long(120)
    }

    /// `tcpi_bytes_received`: the peer's FIN counts 1.
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

    /// `tcpi_rcv_ooopack`: segments that came before their turn.
    pub fn out_of_order(&self) -> u32 {
        self.int(224)
    }

    /// `tcpi_snd_wnd`: bytes that the peer would take beyond what it has acknowledged.
    pub fn window(&self) -> u32 {
        self.int(228)
    }

    /// FINs of ours that were acknowledged, and FINs of the peer. A socket in CLOSE is taken for one that was not reset.
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

/// Panics unless the socket's totals become what is expected of this end. `syn`: 1 on the side that connected.
pub fn agrees(socket: &impl AsRawFd, end: &End, syn: u64) {
    eventually(&format!("TCP_INFO agrees with {end:?}"), || {
        let info = Info::of(socket);
        let (fin, peers_fin) = info.fins();
        let (received, acked) = (info.received() - peers_fin, info.acked().checked_sub(syn + fin)?);
        ((received, acked, info.sent_once()) == (end.rx, end.tx, end.tx)).then_some(())
    });
}

/// The same for both ends: the client's, and the server's.
pub fn agree(pair: &Pair, [client, server]: &[End; 2]) {
    agrees(&*pair.client, client, 1);
    agrees(&*pair.server, server, 0);
}
