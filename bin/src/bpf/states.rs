//! What the kernel programs keep for sockets without storage, a hash by socket cookie. They remove its entries; a connection
//! whose end no hook sees leaves one behind.

use aya::maps::{HashMap, Map, MapData};

use crate::error::Error;

/// A value, which only the kernel programs read: `SocketState` of kern/src/state.rs.
type Value = [u64; 10];

/// The hash.
pub struct States(HashMap<MapData, u64, Value>);

impl States {
    /// Of the map `STATE_BY_COOKIE`.
    ///
    /// # Errors
    /// It is a map of another kind.
    pub fn new(map: Map) -> Result<Self, Error> {
        map.try_into().map(Self).map_err(Error::Map)
    }

    /// Removes the entries of these sockets, as far as they are there.
    pub fn remove(&mut self, cookies: impl IntoIterator<Item = u64>) {
        for cookie in cookies {
            // A program may have removed it meanwhile.
            let _ = self.0.remove(&cookie);
        }
    }
}
