//! Creates a process with a pid that the test chooses.

/// `struct clone_args` of include/uapi/linux/sched.h, up to `set_tid_size` (v5.5).
#[repr(C, align(8))]
#[derive(Default)]
struct Arguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
}

/// Creates a child with this name, and with this pid in the PID namespace of this process's children. The child has no open
/// files, and lives until this process dies.
pub fn spawn(pid: libc::pid_t, name: &str) {
    let name = std::ffi::CString::new(name).expect("no NUL");
    let arguments = Arguments {
        exit_signal: u64::try_from(libc::SIGCHLD).expect("positive"),
        set_tid: (&raw const pid).addr() as u64,
        set_tid_size: 1,
        ..Arguments::default()
    };
    // SAFETY: the arguments and the pid that they point to outlive the call. This process has one thread, so no other thread can
    // leave a lock or a half-written value in the child's memory.
    let child = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<Arguments>()) };
    assert!(child >= 0, "clone3 with pid {pid}: {}", std::io::Error::last_os_error());
    if child == 0 {
        // SAFETY: the name ends with NUL, and the other calls take no pointer.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::prctl(libc::PR_SET_NAME, name.as_ptr());
            libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0);
            loop {
                libc::pause();
            }
        }
    }
    let comm = || std::fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
    crate::harness::eventually("the child has its name", || {
        (comm().trim_end() == name.to_str().ok()?).then_some(())
    });
}
