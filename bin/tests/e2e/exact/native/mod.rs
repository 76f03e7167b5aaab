//! What only a whole machine has: programs, kernel modules, memory. Everything happens in network namespaces that the
//! tests make and remove.

mod containers;
mod fragments;
mod gigabytes;
mod groups;
mod link;
mod link_local;
mod lossy;
mod remotes;
mod space;
mod wire;
