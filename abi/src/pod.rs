//! Lets aya copy the records out of maps.

use aya::Pod;

use crate::{Control, Flow, Socket, Stats, UdpKey};

// SAFETY: `repr(C)` integers only, every bit pattern valid, no implicit padding (asserted in `layout`).
unsafe impl Pod for Flow {}
// SAFETY: as above.
unsafe impl Pod for Control {}
// SAFETY: as above.
unsafe impl Pod for Socket {}
// SAFETY: as above.
unsafe impl Pod for Stats {}
// SAFETY: as above.
unsafe impl Pod for UdpKey {}
