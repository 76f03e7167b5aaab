//! Lets aya copy the records into and out of maps.

use aya::Pod;

use crate::{Control, Flow, Places, Stats};

// SAFETY: `repr(C)` integers only, every bit pattern valid, no implicit padding (asserted in `layout`).
unsafe impl Pod for Flow {}
// SAFETY: as above.
unsafe impl Pod for Control {}
// SAFETY: as above.
unsafe impl Pod for Places {}
// SAFETY: as above.
unsafe impl Pod for Stats {}
