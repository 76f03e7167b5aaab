//! Compile-time proof that both sides see the same bytes: sizes, and the offsets where padding could hide.

use core::mem::{align_of, offset_of, size_of};

use crate::{Counters, DataEvent, Endpoints, Flow, Owner, Socket, StateEvent, Stats, TcptopEvent, UdpKey};

const _: () = {
    assert!(size_of::<Counters>() == 40);
    assert!(size_of::<Endpoints>() == 36);
    assert!(size_of::<Owner>() == 28);
    assert!(size_of::<Socket>() == 32);
    assert!(size_of::<UdpKey>() == 32);
    assert!(size_of::<Flow>() == 96 && align_of::<Flow>() == 8);
    assert!(offset_of!(Flow, flags) == 40);
    assert!(offset_of!(Flow, state) == 52);
    assert!(offset_of!(Flow, ends) == 56);
    assert!(offset_of!(Flow, pad) == 92);
    assert!(size_of::<Stats>() == 40);
    assert!(size_of::<DataEvent>() == 136);
    assert!(size_of::<StateEvent>() == 136);
    assert!(offset_of!(StateEvent, flow) == 8 && offset_of!(StateEvent, owner) == 104);
    assert!(offset_of!(StateEvent, old_state) == 132);
    assert!(size_of::<TcptopEvent>() == 144 && align_of::<TcptopEvent>() == 8);
    assert!(offset_of!(TcptopEvent, data) == 8);
};
