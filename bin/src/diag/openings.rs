//! Which side opened each connection that exists: for collectors that begin to watch it later.

use std::{collections::HashMap, io};

use tcptop_abi::Endpoints;

use super::{payload, request::States, source::Tables};
use crate::collector::Opening;

/// Which side opened each TCP connection of this network namespace: [`Opening::Active`] or [`Opening::Passive`]. Those of
/// which the kernel does not tell it are not there: before 4.19, none is.
///
/// # Errors
/// The kernel has no sock_diag (`EPROTONOSUPPORT`) or no tcp_diag (`ENOENT`).
pub fn openings() -> io::Result<HashMap<Endpoints, Opening>> {
    let mut openings = HashMap::new();
    Tables::open()?.dump(States::CONNECTED, &mut |message| {
        if let Some(opening) = payload::opening(message) {
            openings.insert(message.ends, opening);
        }
    })?;
    Ok(openings)
}
