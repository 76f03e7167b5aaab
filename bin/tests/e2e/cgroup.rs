//! Creates cgroups of version 2 for tests. It mounts the tree itself, because a host need not have mounted it.

use std::{
    ffi::CString,
    fs,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use crate::{harness::Scratch, privilege::done};

/// A cgroup below the root. The calling thread gets its own mount namespace for it. Dropping it removes the cgroup.
pub struct Cgroup {
    mount: Scratch,
    path: PathBuf,
    pub directory: OwnedFd,
}

/// Runs the test in a thread that has its own mount namespace.
pub fn inside(cgroup: &'static str, test: impl FnOnce(&Cgroup) + Send + 'static) {
    thread::spawn(|| test(&Cgroup::new(cgroup))).join().expect("the test in its thread");
}

impl Cgroup {
    fn new(name: &str) -> Self {
        let mount = Scratch::new(name);
        let target = CString::new(mount.0.as_os_str().as_bytes()).expect("no NUL");
        let (none, data) = (std::ptr::null(), std::ptr::null());
        // SAFETY: all strings end with NUL and outlive the calls.
        unsafe {
            done(libc::unshare(libc::CLONE_NEWNS).into()).expect("a namespace");
            done(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, data).into())
                .expect("the mounts can be made private");
            done(libc::mount(c"x".as_ptr(), target.as_ptr(), c"cgroup2".as_ptr(), 0, data).into())
                .expect("cgroup2");
        }
        let path = mount.0.join(format!("tcptop-e2e-{}-{name}", std::process::id()));
        fs::create_dir(&path).expect("a cgroup");
        let directory = fs::File::open(&path).expect("a directory").into();
        Self { mount, path, directory }
    }

    /// Returns the root of the tree.
    pub fn root(&self) -> &Path {
        &self.mount.0
    }

    /// Creates the cgroups of a path below this one, and moves the process into the innermost.
    pub fn take(&self, below: &str, pid: u32) {
        let path = self.path.join(below);
        fs::create_dir_all(&path).expect("cgroups");
        fs::write(path.join("cgroup.procs"), pid.to_string()).expect("the process can be moved");
    }

    /// Creates the cgroups of a path below this one, and starts the command's process in the innermost.
    pub fn begin_in(&self, below: &str, command: &mut Command) {
        let path = self.path.join(below);
        fs::create_dir_all(&path).expect("cgroups");
        let procs = fs::File::options().write(true).open(path.join("cgroup.procs")).expect("a cgroup");
        // SAFETY: the closure makes one system call, on a descriptor that it owns.
        unsafe {
            command.pre_exec(move || {
                let moved = libc::write(procs.as_raw_fd(), c"0".as_ptr().cast(), 1);
                if moved == 1 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            })
        };
    }

    /// Removes the cgroups of a path below this one. They must have no processes.
    pub fn remove(&self, below: &str) {
        let path = self.path.join(below);
        remove(&path);
        assert!(!path.exists(), "{}", path.display());
    }

    /// Makes the command's process see this cgroup as the root.
    pub fn make_root_of(&self, command: &mut Command) {
        let directory = self.directory.as_raw_fd();
        // SAFETY: the closure makes system calls only, on its own data and on a descriptor that the child inherits.
        unsafe {
            command.pre_exec(move || {
                let procs = libc::openat(directory, c"cgroup.procs".as_ptr(), libc::O_WRONLY);
                if procs < 0 || libc::write(procs, c"0".as_ptr().cast(), 1) != 1 {
                    return Err(std::io::Error::last_os_error());
                }
                libc::close(procs);
                let data = std::ptr::null();
                done(libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWCGROUP).into())?;
                done(libc::mount(c"x".as_ptr(), c"/sys/fs".as_ptr(), c"cgroup2".as_ptr(), 0, data).into())
            })
        };
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        remove(&self.path);
        let target = CString::new(self.mount.0.as_os_str().as_bytes()).expect("no NUL");
        // SAFETY: the string ends with NUL.
        unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
    }
}

/// Removes a cgroup and those below it, with their files.
fn remove(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|of| of.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(path);
}
