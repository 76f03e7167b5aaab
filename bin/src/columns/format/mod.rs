//! Writes numbers, moments and addresses as text.

pub mod address;
pub mod time;
pub mod units;
pub mod width;
