//! kcmp(2): what two threads have in common.

/// Whether two threads, by their ids, have the same table of descriptors. `None`: one of them is gone, this process may
/// not ask, or the kernel has no kcmp(2) (`CONFIG_KCMP`).
pub fn same_descriptors(one: u32, other: u32) -> Option<bool> {
    /// `KCMP_FILES` of include/uapi/linux/kcmp.h.
    const FILES: libc::c_long = 2;
    let id = |id: u32| libc::c_long::from(libc::pid_t::try_from(id).unwrap_or(-1));
    // SAFETY: numbers only; the last two are for other kinds of comparison.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, id(one), id(other), FILES, 0, 0) };
    // Different ones are told by their order.
    (order >= 0).then_some(order == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_and_itself() {
        let me = std::process::id();
        assert!(matches!(same_descriptors(me, me), Some(true) | None));
        assert_eq!(same_descriptors(me, u32::MAX), None);
    }
}
