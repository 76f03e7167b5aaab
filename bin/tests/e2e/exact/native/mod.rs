//! What only a whole machine has.

mod gigabytes;
