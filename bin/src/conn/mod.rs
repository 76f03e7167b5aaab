//! What is known of each connection: who, where, how much, how fast.

mod connection;
mod listeners;
mod names;
mod record;
mod report;
mod state;
mod table;

pub use connection::{Connection, OwnerSource};
pub use record::{ConnectionKey, ConnectionRecord, Process, Protocol};
pub use report::{Report, Traffic, per_second};
pub use state::TcpState;
pub use table::Table;
