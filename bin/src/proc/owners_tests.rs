//! Tests the search for the owners of sockets, with a made-up /proc.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::{process, thread};

use super::*;
use crate::proc::pids::pids;
use crate::proc::testing::Tree;

fn find(tree: &Tree, hints: &[u32], wanted: &[u64]) -> Owners {
    let root = tree.path("");
    let pids = pids(&root).expect("descriptors");
    Owners::find(&root, hints, &pids, wanted.to_vec()).expect("descriptors")
}

fn pid(owners: &Owners, inode: u64) -> Option<u32> {
    owners.process(inode).map(|process| process.pid)
}

#[test]
fn inodes_among_other_descriptors() {
    let tree = Tree::new();
    tree.process(100, "one", &["/dev/null", "socket:[11]", "pipe:[12]", "anon_inode:[eventpoll]"]);
    tree.process(200, "two", &["socket:[12]", "socket:[13]", "socket:[junk]"]);
    tree.process(2, "kthreadd", &[]);
    let owners = find(&tree, &[], &[13, 12, 11, 11, 0, 99]);
    assert_eq!(
        [11, 12, 13, 99, 0].map(|inode| pid(&owners, inode)),
        [Some(100), Some(200), Some(200), None, None]
    );
    assert_eq!(owners.process(11).map(|process| process.name().to_vec()), Some(b"one".to_vec()));
    assert_eq!(owners.common([12, 13].into_iter()), owners.process(12));
    assert_eq!(owners.common([11, 12].into_iter()), None);
    assert_eq!(owners.common([12, 99].into_iter()), None);
    assert_eq!(owners.common([].into_iter()), None);
}

#[test]
fn shared_sockets_go_to_the_lowest_pid_but_not_to_init() {
    let tree = Tree::new();
    tree.process(1, "init", &["socket:[5]", "socket:[6]"]);
    tree.process(300, "server", &["socket:[5]", "socket:[7]"]);
    tree.process(301, "worker", &["socket:[5]", "socket:[7]"]);
    let owners = find(&tree, &[], &[5, 6, 7]);
    assert_eq!([5, 6, 7].map(|inode| pid(&owners, inode)), [Some(300), Some(1), Some(300)]);
    let hinted = find(&tree, &[301, 999], &[7]);
    assert_eq!(pid(&hinted, 7), Some(301));
}

#[test]
fn a_holder_that_ended_is_no_owner() {
    let tree = Tree::new();
    tree.process(100, "gone", &["socket:[11]"]);
    fs::remove_file(tree.path("100/stat")).expect("the process was in /proc");
    assert_eq!(pid(&find(&tree, &[], &[11]), 11), None);
}

#[test]
fn a_process_whose_main_thread_has_exited() {
    let tree = Tree::new();
    tree.process(100, "main", &[]);
    tree.thread(100, 100, &[]);
    tree.thread(100, 104, &["/dev/null", "socket:[11]"]);
    tree.process(200, "other", &["socket:[12]"]);
    let owners = find(&tree, &[], &[11, 12, 13]);
    assert_eq!([11, 12, 13].map(|inode| pid(&owners, inode)), [Some(100), Some(200), None]);
    assert_eq!(owners.process(11).map(|process| process.name().to_vec()), Some(b"main".to_vec()));
}

#[test]
fn a_table_of_a_thread_s_own_is_searched_where_it_is_known_to_be_one() {
    let tree = Tree::new();
    tree.process(100, "main", &["socket:[10]"]);
    tree.thread(100, 100, &["socket:[10]"]);
    tree.thread(100, 103, &["socket:[10]"]);
    tree.thread(100, 104, &["socket:[11]"]);
    let root = tree.path("");
    let search = |same: threads::Same| {
        let mut owners = Owners { holders: vec![(11, 0)], ..Owners::default() };
        let mut missing = 1;
        owners
            .search_threads(&root, &mut [(100, DescriptorTable::Shown)], &mut missing, same)
            .expect("descriptors");
        (owners.holders[0].1, missing)
    };
    assert_eq!(search(|_, tid| Some(tid == 103)), (100, 0));
    assert_eq!(search(|_, _| Some(true)), (0, 1));
    assert_eq!(search(|_, _| None), (0, 1));
}

#[test]
fn threads_are_left_alone_when_nothing_is_missing() {
    let tree = Tree::new();
    tree.process(100, "main", &[]);
    tree.thread(100, 100, &[]);
    tree.thread(100, 104, &["socket:[11]"]);
    tree.process(200, "other", &["socket:[11]"]);
    assert_eq!(pid(&find(&tree, &[], &[11]), 11), Some(200));
}

/// A thread of this process has its own table of descriptors. The test searches the real /proc.
#[test]
fn a_live_thread_with_its_own_table() {
    let (sender, receiver) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        // SAFETY: the call gets no pointer, and the other threads keep their descriptors.
        let result = unsafe { libc::unshare(libc::CLONE_FILES) };
        assert_eq!(result, 0, "unshare: {}", io::Error::last_os_error());
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let link = format!("/proc/thread-self/fd/{}", socket.as_raw_fd());
        let link = fs::read_link(link).expect("open");
        sender
            .send(inode(link.as_os_str().as_bytes(), b"socket").expect("a socket"))
            .expect("the test waits");
        let _ = released.recv();
    });
    let wanted = receiver.recv().expect("a socket");
    let me = process::id();
    let owners = Owners::find(Path::new("/proc"), &[], &[me], vec![wanted]).expect("descriptors");
    let has_kcmp = crate::sys::kcmp::same_descriptors(me, me).is_some();
    assert_eq!(pid(&owners, wanted), has_kcmp.then_some(me));
    drop(release);
    thread.join().expect("a thread of ours");
}
