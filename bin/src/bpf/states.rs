//! The hash in which the kernel programs keep the state of sockets without storage, by socket cookie. The programs remove its
//! entries, except for a connection whose end no hook sees. Userspace removes that one.

use aya::maps::{HashMap, Map, MapData};

use crate::error::Error;

/// The value, `SocketState` of kern/src/state.rs. Only the kernel programs read it.
type SocketStateWords = [u64; 10];

/// The map `STATE_BY_COOKIE`.
pub struct SocketStates(HashMap<MapData, u64, SocketStateWords>);

impl SocketStates {
    /// Takes the map.
    ///
    /// # Errors
    /// The map is of another kind.
    pub fn new(map: Map) -> Result<Self, Error> {
        map.try_into().map(Self).map_err(Error::Map)
    }

    /// Removes the entries of these sockets, if they exist.
    pub fn remove(&mut self, cookies: impl IntoIterator<Item = u64>) {
        for cookie in cookies {
            // A program may have removed the entry meanwhile.
            let _ = self.0.remove(&cookie);
        }
    }
}
