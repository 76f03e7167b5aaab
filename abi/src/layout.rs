//! Checks at compile time that both sides see the same bytes: sizes, and the offsets where padding could hide. If you add a
//! field, change the size here, and place the field so that no padding arises.

use core::mem::{align_of, offset_of, size_of};

use crate::{
    Control, Counters, DataEvent, Endpoints, Flow, Owner, OwnerEvent, Places, StateEvent, Stats, TcptopEvent,
    UdpKey,
};

const _: () = {
    assert!(size_of::<Counters>() == 40);
    assert!(size_of::<Endpoints>() == 36);
    assert!(size_of::<Owner>() == 40 && align_of::<Owner>() == 8);
    assert!(size_of::<UdpKey>() == 32);
    assert!(size_of::<Flow>() == 184 && align_of::<Flow>() == 8);
    assert!(offset_of!(Flow, tx_base) == 48);
    assert!(offset_of!(Flow, state) == 64);
    assert!(offset_of!(Flow, owner) == 72);
    assert!(offset_of!(Flow, ends) == 112);
    assert!(offset_of!(Flow, claim) == 67);
    assert!(offset_of!(Flow, interface) == 148);
    assert!(offset_of!(Flow, began) == 152);
    assert!(size_of::<Stats>() == 80);
    assert!(size_of::<Control>() == 12);
    assert!(size_of::<Places>() == 24);
    assert!(size_of::<DataEvent>() == 4);
    assert!(size_of::<StateEvent>() == 4);
    assert!(size_of::<OwnerEvent>() == 4);
    assert!(size_of::<TcptopEvent>() == 8 && align_of::<TcptopEvent>() == 4);
    assert!(offset_of!(TcptopEvent, data) == 4);
};
