//! The links by which the programs are attached, while tcptop runs. Somebody may detach one (`bpftool link detach`). Then its
//! program does not run any more, and nothing but the link tells.

use std::{
    mem,
    os::fd::{AsFd, OwnedFd},
};

use super::{hooks::RELEASE_PROGRAM, host::explain_at, programs::Link};
use crate::{collector::Detached, error::Error};

/// The links, in the order in which they were attached.
pub struct Links {
    cgroup: OwnedFd,
    links: Vec<Link>,
    /// Which of the links that tcptop can do without is looked at next.
    turn: usize,
}

impl Links {
    /// Of programs that are attached to this cgroup.
    pub const fn new(cgroup: OwnedFd, links: Vec<Link>) -> Self {
        Self { cgroup, links, turn: 0 }
    }

    /// Whether the end of sockets is seen.
    pub fn see_releases(&self) -> bool {
        self.links.iter().any(|link| link.hook.program == RELEASE_PROGRAM)
    }

    /// Attaches again what somebody has detached. Looks at the links that tcptop cannot do without, and at one of the others in
    /// turn. If one of these is gone, looks at all.
    ///
    /// # Errors
    /// A program that tcptop cannot do without cannot be attached again.
    pub fn mend(&mut self) -> Result<Vec<Detached>, Error> {
        let mut detached = Vec::new();
        if self.seem_whole() {
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
                    // Like a hook that this kernel does not have. Its program is freed.
                    Err(_) => continue,
                }
            }
            self.links.push(link);
        }
        Ok(detached)
    }

    fn seem_whole(&mut self) -> bool {
        let is_needed = |link: &&Link| link.hook.lost.is_none();
        let others: Vec<&Link> = self.links.iter().filter(|link| !is_needed(link)).collect();
        self.turn = (self.turn + 1) % others.len().max(1);
        self.links.iter().filter(is_needed).chain(others.get(self.turn).copied()).all(Link::is_attached)
    }
}
