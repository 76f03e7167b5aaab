//! The manual page and the completions.
