//! What only a whole machine has.
