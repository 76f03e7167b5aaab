//! Helpers for tests of several modules: random numbers, and hostile input for parsers.
//!
//! A test named `hostile_input` takes a [`corpus`] for its parser, and [`hostile::Input`] damages it. `cargo test`
//! spends a twentieth of a second on each such test, besides the corpus; `ci/fuzz` runs the same tests for as long as
//! the user asks.

mod corpus;
pub mod hostile;
mod mutate;
mod random;

pub use corpus::corpus;
pub use random::Random;
