//! The table of all connections, and the reports that are made from it.

mod connection;
mod extra;
mod foremost;
mod history;
mod listeners;
mod owner;
mod record;
mod report;
mod table;

pub use connection::Connection;
pub use extra::{Extra, Keep, Queues};
pub use foremost::foremost;
pub use history::{Decay, History};
pub use owner::{ConnectionOwner, Identified, OwnerSource};
pub use record::{ConnectionRecord, Opener};
pub use report::{Report, per_second};
pub use table::{ConnectionTable, Forwarding, WatchedBeside};

pub use crate::collector::{ConnectionKey, Forwarded, Process, Protocol, Reason, TcpState, Traffic};
