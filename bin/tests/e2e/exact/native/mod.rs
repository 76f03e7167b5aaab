//! What only a whole machine has: programs, kernel modules, memory. Everything happens in network namespaces that the
//! tests make and remove.

mod containers;
mod crowd;
mod filtered;
mod firewalls;
mod flooded;
mod fragments;
mod fresh;
mod full;
mod gigabytes;
mod groups;
mod hashed;
mod idle;
pub mod leftovers;
mod link;
mod link_local;
mod lossy;
mod option_memory;
mod origin;
mod port_zero;
mod redirected;
mod remotes;
mod routes;
mod segments;
pub mod space;
mod unanswered;
mod wire;
