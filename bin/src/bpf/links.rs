//! Watches the links by which the programs are attached. Somebody may detach one (`bpftool link detach`) while tcptop runs.
//! Then its program does not run any more, and only a query of the link shows it.

use std::{
    mem,
    os::fd::{AsFd, OwnedFd},
};

use super::{explain::explain_at, hooks::RELEASE_PROGRAM, programs::Link};
use crate::{collector::Detached, error::Error};

/// The links, in the order in which they were attached.
pub struct Links {
    cgroup: OwnedFd,
    links: Vec<Link>,
    /// Which of the optional links is checked next.
    turn: usize,
}

impl Links {
    /// Takes the links of programs that are attached to this cgroup.
    pub const fn new(cgroup: OwnedFd, links: Vec<Link>) -> Self {
        Self { cgroup, links, turn: 0 }
    }

    /// Returns true if the hook that sees the end of sockets is attached.
    pub fn see_releases(&self) -> bool {
        self.links.iter().any(|link| link.hook.program == RELEASE_PROGRAM)
    }

    /// Attaches again the hooks that somebody has detached. Checks every required link, and one of the optional links in turn.
    /// If one of these is detached, checks all links.
    ///
    /// # Errors
    /// A required program cannot be attached again.
    pub fn reattach(&mut self) -> Result<Vec<Detached>, Error> {
        let mut detached = Vec::new();
        if self.are_attached() {
            return Ok(detached);
        }
        for mut link in mem::take(&mut self.links) {
            let hook = link.hook;
            if !link.is_attached() {
                let again = link.attach_again(self.cgroup.as_fd());
                detached.push(Detached { what: hook.name(), lost: hook.lost.filter(|_| again.is_err()) });
                match again {
                    Ok(()) => {}
                    Err(error) if hook.lost.is_none() => {
                        let why = explain_at(error, Some(self.cgroup.as_fd()));
                        return Err(Error::Detached(hook.name(), Box::new(why)));
                    }
                    // Go on without this hook, as on a kernel that does not have it. Its program is freed.
                    Err(_) => continue,
                }
            }
            self.links.push(link);
        }
        Ok(detached)
    }

    /// Returns true if every required link, and the optional one whose turn it is, is attached.
    fn are_attached(&mut self) -> bool {
        let is_needed = |link: &&Link| link.hook.lost.is_none();
        let others: Vec<&Link> = self.links.iter().filter(|link| !is_needed(link)).collect();
        self.turn = (self.turn + 1) % others.len().max(1);
        self.links.iter().filter(is_needed).chain(others.get(self.turn).copied()).all(Link::is_attached)
    }
}
