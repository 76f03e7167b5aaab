//! The state that the programs keep for each socket.

use tcptop_abi::{ClaimCode, FlowFlags, Owner};

use crate::words::Words;

/// Stands for no place: the socket has no flow.
pub const NO_PLACE: u32 = u32::MAX;

/// The state that the programs keep for one socket. A new one is all zero.
///
/// The kernel copies a listener's state to each connection that it accepts (`BPF_F_CLONE`), with the listener's cookie.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SocketState {
    /// Cookie of the socket.
    pub cookie: u64,
    /// The process that last created, connected, accepted or sent from the socket, if a hook saw it.
    pub owner: Owner,
    /// Place of the flow in which the socket's packets count. UDP: of the flow used last. The entry belongs to the socket only
    /// if it has the socket's cookie.
    pub place: u32,
    /// Place of an entry that belongs to this socket, but in which its packets do not count: the listener's entry while the
    /// socket listens, or the entry of its last connection once that has ended. The hook on close(2) writes into that entry
    /// who closed the socket.
    pub quiet_place: u32,
    /// TCP: sequence number after the peer's FIN, valid if `fin_seen` is 1.
    pub fin_end: u32,
    /// TCP: 1 once a FIN from the peer has arrived, in order or not. Only the ingress program writes it and `fin_end`.
    pub fin_seen: u8,
    /// `Flow::RELEASED` once the socket's last descriptor was closed, else 0.
    pub released: u8,
    /// See [`SocketState::had_other_flow`] and [`SocketState::reset_seen`].
    mark: u8,
    /// How `owner` got the socket: [`ClaimCode`].
    pub claim: u8,
    /// `Owner::tgid` of the listener from which the socket was accepted; 0: unknown, or not accepted.
    pub listener: u32,
    /// `FlowFlags` of a TCP connection that has no flow, and the two bits below.
    pub flags: u32,
    /// TCP, untracked: the lower half of the number of payload bytes received that are counted.
    pub untracked_rx: u32,
    /// TCP, untracked: the lower half of the number of payload bytes sent that are counted.
    pub untracked_tx: u32,
}

/// Bit of [`SocketState::flags`]: the connection found no room for a flow, and its bytes are counted as untracked.
pub const UNTRACKED: u32 = 1 << 30;
/// Bit of [`SocketState::flags`]: the state is a hash entry, which a program must remove.
pub const HASHED: u32 = FlowFlags::HASHED_STATE;

impl SocketState {
    /// UDP: returns true if the socket has had a second flow.
    #[inline(always)]
    pub const fn had_other_flow(&self) -> bool {
        self.mark != 0
    }

    /// UDP: records that the socket has a second flow.
    #[inline(always)]
    pub const fn note_other_flow(&mut self) {
        self.mark = 1;
    }

    /// TCP: returns true if a reset from the peer has arrived.
    #[inline(always)]
    pub const fn reset_seen(&self) -> bool {
        self.mark != 0
    }

    /// TCP: records that a reset from the peer has arrived. Only the ingress program calls it.
    #[inline(always)]
    pub const fn note_reset(&mut self) {
        self.mark = 1;
    }

    /// TCP: forgets the peer's FIN and reset of an earlier connection of this socket.
    #[inline(always)]
    pub const fn forget_ending(&mut self) {
        self.fin_seen = 0;
        self.mark = 0;
    }

    /// Turns a new state, or a copy of a listener's, into that of the socket with this cookie.
    #[inline(always)]
    pub fn begin(&mut self, cookie: u64) {
        if self.cookie != 0 {
            self.place = NO_PLACE;
            self.quiet_place = NO_PLACE;
            self.fin_seen = 0;
            self.mark = 0;
            self.released = 0;
            self.flags = 0;
            self.claim = ClaimCode::BY_LISTENER;
            self.listener = self.owner.tgid;
        }
        self.cookie = cookie;
    }
}

// SAFETY: `repr(C)` integers, 80 bytes without padding, alignment eight.
unsafe impl Words for SocketState {}

// If you add a field, change the size here and in the comment above, and place the field so that no padding arises.
const _: () = assert!(size_of::<SocketState>() == 80);
