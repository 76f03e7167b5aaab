//! The flows that the kernel told of, by identity.

use std::collections::HashMap;

use crate::{collector::FlowId, conn::Connection};

/// TCP by cookie alone: with tens of thousands of connections, the unused room of a hash table counts.
#[derive(Debug, Default)]
pub struct Flows {
    tcp: HashMap<u64, Box<Connection>>,
    udp: HashMap<FlowId, Box<Connection>>,
}

impl Flows {
    /// One of them.
    pub fn get(&self, id: &FlowId) -> Option<&Connection> {
        let found = match id {
            FlowId::Tcp(cookie) => self.tcp.get(cookie),
            FlowId::Udp { .. } => self.udp.get(id),
        };
        found.map(|connection| &**connection)
    }

    /// Likewise, to be changed.
    pub fn get_mut(&mut self, id: &FlowId) -> Option<&mut Connection> {
        let found = match id {
            FlowId::Tcp(cookie) => self.tcp.get_mut(cookie),
            FlowId::Udp { .. } => self.udp.get_mut(id),
        };
        found.map(|connection| &mut **connection)
    }

    /// Puts one in that is not there.
    pub fn insert(&mut self, id: FlowId, connection: Box<Connection>) -> &mut Connection {
        match id {
            FlowId::Tcp(cookie) => self.tcp.entry(cookie).or_insert(connection),
            FlowId::Udp { .. } => self.udp.entry(id).or_insert(connection),
        }
    }

    /// Takes one out.
    pub fn remove(&mut self, id: &FlowId) -> Option<Box<Connection>> {
        match id {
            FlowId::Tcp(cookie) => self.tcp.remove(cookie),
            FlowId::Udp { .. } => self.udp.remove(id),
        }
    }

    /// All, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Connection> {
        self.tcp.values().chain(self.udp.values()).map(|connection| &**connection)
    }

    /// Those of UDP, in no order.
    pub fn udp(&self) -> impl Iterator<Item = (&FlowId, &Connection)> {
        self.udp.iter().map(|(id, connection)| (id, &**connection))
    }

    /// How many there are of TCP and of UDP.
    pub fn counts(&self) -> (usize, usize) {
        (self.tcp.len(), self.udp.len())
    }
}
