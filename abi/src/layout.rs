//! Compile-time proof that both sides see the same bytes: sizes, and the offsets where padding could hide.

use core::mem::{align_of, offset_of, size_of};

use crate::{
    Control, Counters, DataEvent, Endpoints, Flow, Owner, ReleaseEvent, Socket, StateEvent, Stats,
    TcptopEvent, UdpKey,
};

const _: () = {
    assert!(size_of::<Counters>() == 40);
    assert!(size_of::<Endpoints>() == 36);
    assert!(size_of::<Owner>() == 28);
    assert!(size_of::<Socket>() == 32);
    assert!(size_of::<UdpKey>() == 32);
    assert!(size_of::<Flow>() == 152 && align_of::<Flow>() == 8);
    assert!(offset_of!(Flow, tx_seq) == 48);
    assert!(offset_of!(Flow, owner) == 72);
    assert!(offset_of!(Flow, ends) == 100);
    assert!(offset_of!(Flow, state) == 136);
    assert!(offset_of!(Flow, began) == 144);
    assert!(size_of::<Stats>() == 40);
    assert!(size_of::<Control>() == 8);
    assert!(size_of::<DataEvent>() == 32);
    assert!(size_of::<StateEvent>() == 168);
    assert!(offset_of!(StateEvent, old_state) == 152);
    assert!(size_of::<ReleaseEvent>() == 40);
    assert!(offset_of!(TcptopEvent<ReleaseEvent>, data) == 8);
    assert!(size_of::<TcptopEvent>() == 176 && align_of::<TcptopEvent>() == 8);
    assert!(offset_of!(TcptopEvent, data) == 8);
    assert!(offset_of!(TcptopEvent<DataEvent>, data) == 8);
    assert!(offset_of!(TcptopEvent<StateEvent>, data) == 8);
};
