//! kcmp(2): what two threads have in common.

/// Returns true if the two threads with these ids share one table of descriptors. Returns `None` if one of them is gone, this
/// process may not ask, or the kernel has no kcmp(2) (`CONFIG_KCMP`).
pub fn same_descriptors(one: u32, other: u32) -> Option<bool> {
    /// `KCMP_FILES` of include/uapi/linux/kcmp.h.
    const FILES: libc::c_long = 2;
    let id = |id: u32| libc::c_long::from(libc::pid_t::try_from(id).unwrap_or(-1));
    // SAFETY: numbers only; the last two are for other kinds of comparison.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, id(one), id(other), FILES, 0, 0) };
    // kcmp(2) returns 0 for the same table, and 1 or 2 for the order of two different ones.
    (order >= 0).then_some(order == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_a_table_until_one_leaves() {
        let me = std::process::id();
        if same_descriptors(me, me).is_none() {
            // The kernel has no kcmp(2), or forbids it.
            return;
        }
        assert_eq!(same_descriptors(me, me), Some(true));
        let answers = std::thread::spawn(move || {
            // SAFETY: the call has no arguments.
            let thread = unsafe { libc::syscall(libc::SYS_gettid) };
            let thread = u32::try_from(thread).expect("an id");
            let before = same_descriptors(me, thread);
            // SAFETY: the call gets no pointer, and the other threads keep their descriptors.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0);
            (before, same_descriptors(me, thread))
        });
        assert_eq!(answers.join().expect("no panic"), (Some(true), Some(false)));
        assert_eq!(same_descriptors(me, u32::MAX), None);
    }
}
