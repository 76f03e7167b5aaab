//! Exactness tests that need more than the machines of `ci/matrix` have: other programs, kernel modules or memory. They run in
//! network namespaces, which they create and remove.

mod containers;
mod crowd;
mod filtered;
mod firewalls;
mod flooded;
mod fragments;
mod full;
mod gigabytes;
mod groups;
mod hashed;
mod idle;
pub mod leftovers;
mod link;
mod link_local;
mod lossy;
pub mod netns;
mod new_remotes;
mod option_memory;
mod port_zero;
mod redirected;
mod remotes;
mod routes;
mod segments;
mod udp_pair;
mod unanswered;
mod wire;
