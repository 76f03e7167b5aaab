//! What the programs keep for each socket.

use tcptop_abi::{Claim, FlowFlags, Owner};

use crate::words::Words;

/// A place that no flow has.
pub const NO_PLACE: u32 = u32::MAX;

/// What the programs keep for one socket; all zero when new.
///
/// The kernel copies a listener's to each connection that it accepts (`BPF_F_CLONE`), with the listener's cookie.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SocketState {
    /// Cookie of the socket.
    pub cookie: u64,
    /// The process that last created, connected, accepted or sent from the socket, as far as a hook saw it.
    pub owner: Owner,
    /// Place of the flow that the socket's packets count in; of UDP, the flow used last. The entry there is the socket's
    /// if it has its cookie.
    pub place: u32,
    /// Place of an entry that belongs to this socket, but in which its packets do not count: that of its listener while it
    /// listens, or that of its last connection once that one has ended. Hooks on the socket's close find it here, to write
    /// who closed it.
    pub quiet_place: u32,
    /// TCP: sequence number after the peer's FIN.
    pub fin_end: u32,
    /// TCP: 1 once a FIN of the peer arrived, in order or not. Only the ingress program writes it and `fin_end`.
    pub fin_seen: u8,
    /// `Flow::RELEASED` once the socket's last descriptor was closed.
    pub released: u8,
    /// UDP: 1 once the socket has had a second flow. TCP: 1 once a reset of the peer arrived; only the ingress program sets it.
    pub mark: u8,
    /// How `owner` got the socket: [`Claim`].
    pub claim: u8,
    /// `Owner::tgid` of the listener that the socket was accepted from; 0: unknown, or it was not accepted.
    pub listener: u32,
    /// `FlowFlags` of a TCP connection that has no flow, and the two bits below.
    pub flags: u32,
    /// TCP, untracked: payload bytes received that are counted, their lower half.
    pub untracked_rx: u32,
    /// TCP, untracked: payload bytes sent that are counted, their lower half.
    pub untracked_tx: u32,
}

/// Bit of [`SocketState::flags`]: the connection found no room for a flow, and its bytes are counted as untracked.
pub const UNTRACKED: u32 = 1 << 30;
/// Bit of [`SocketState::flags`]: the state is an entry of the hash, which must be removed.
pub const HASHED: u32 = FlowFlags::HASHED_STATE;

impl SocketState {
    /// Makes a state that is new, or a copy of a listener's, that of the socket with this cookie.
    #[inline(always)]
    pub fn begin(&mut self, cookie: u64) {
        if self.cookie != 0 {
            self.place = NO_PLACE;
            self.quiet_place = NO_PLACE;
            self.fin_seen = 0;
            self.mark = 0;
            self.released = 0;
            self.flags = 0;
            self.claim = Claim::LISTENER;
            self.listener = self.owner.tgid;
        }
        self.cookie = cookie;
    }
}

// SAFETY: `repr(C)` integers, 80 bytes without padding, alignment eight.
unsafe impl Words for SocketState {}

const _: () = assert!(size_of::<SocketState>() == 80);
