//! What is known of each connection: who, where, how much, how fast.

mod connection;
mod foremost;
mod listeners;
mod owner;
mod record;
mod report;
mod table;

pub use connection::Connection;
pub use foremost::foremost;
pub use owner::{Identified, OwnerSource};
pub use record::{ConnectionRecord, Opener};
pub use report::{Report, per_second};
pub use table::{Beside, Forwarding, Table};

pub use crate::collector::{ConnectionKey, Forwarded, Process, Protocol, TcpState, Traffic};
