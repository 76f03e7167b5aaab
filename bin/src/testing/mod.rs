//! What tests of several rooms share: noise, and hostile input for parsers.
//!
//! A test named `hostile_input` gives its parser a [`corpus`] and lets [`hostile::Input`] damage it. `cargo test` spends a
//! twentieth of a second on each such test, besides the corpus; `ci/fuzz` runs the same tests for as long as one likes.

mod corpus;
pub mod hostile;
mod mutate;
mod random;

pub use corpus::corpus;
pub use random::Random;
