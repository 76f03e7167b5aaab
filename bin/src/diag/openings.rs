//! Finds out which side opened each existing connection, for collectors that did not see its handshake.

use std::{collections::HashMap, io};

use tcptop_abi::Endpoints;

use super::{payload, request::StateSet, source::SocketDumps};
use crate::collector::ObservedOpening;

/// Returns which side opened each TCP connection of this network namespace: [`ObservedOpening::Active`] or
/// [`ObservedOpening::Passive`]. Connections for which the kernel does not report it are left out; before 4.19, these are all.
///
/// # Errors
/// The kernel has no sock_diag (`EPROTONOSUPPORT`) or no tcp_diag (`ENOENT`).
pub fn openings() -> io::Result<HashMap<Endpoints, ObservedOpening>> {
    let mut openings = HashMap::new();
    SocketDumps::open()?.dump(StateSet::CONNECTED, &mut |message| {
        if let Some(opening) = payload::opening(message) {
            openings.insert(message.ends, opening);
        }
    })?;
    Ok(openings)
}
