//! Tests sockets of threads that outlive the main thread of their process, or that have their own table of descriptors.
//! The sockets are older than tcptop, so it finds their owners only in /proc.

use std::{fs, io, process, thread, time::Duration};

use crate::{executor::Executor, harness::Tcptop, helper::Helper, rows::Flow};

/// Ends the main thread of a helper. Another thread obeys from then on.
pub fn retire(executor: Executor) -> ! {
    thread::spawn(|| {
        let fd = format!("/proc/{}/fd", process::id());
        while fs::read_dir(&fd).is_ok_and(|mut descriptors| descriptors.next().is_some()) {
            thread::sleep(Duration::from_millis(1));
        }
        go_on(executor)
    });
    // SAFETY: exit(2) ends only this thread, which owns nothing that another thread uses.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("the thread has exited")
}

/// Makes another thread of a helper obey from now on. That thread has its own table of descriptors.
pub fn part(executor: Executor) -> ! {
    let thread = thread::spawn(|| {
        // SAFETY: the call gets no pointer, and all descriptors stay open in both tables.
        let result = unsafe { libc::unshare(libc::CLONE_FILES) };
        assert_eq!(result, 0, "unshare: {}", io::Error::last_os_error());
        go_on(executor)
    });
    let Err(_) = thread.join();
    process::exit(1)
}

fn go_on(mut executor: Executor) -> ! {
    println!();
    executor.obey();
    process::exit(0)
}

/// Checks that tcptop finds the owner of an older connection in a server that has obeyed `order`.
fn check_owner_after(order: &str, name: &str) {
    let (mut server, mut client) = (Helper::new(name), Helper::new("thread-client"));
    if order == "part" {
        server.tell(order);
    }
    let address = server.tell("listen 127.0.0.1:0");
    let local = client.tell(&format!("connect {address}"));
    server.tell("accept");
    client.tell("send 2000");
    server.tell("receive 2000");
    if order == "retire" {
        server.tell(order);
    }
    let flow = Flow::tcp(local.parse().expect("an address"), address.parse().expect("an address"));

    let tcptop = Tcptop::start();
    server.tell("send 300");
    client.tell("receive 300");
    let expected = [flow.moved(&client.owner, 300, 2_000), flow.flipped().moved(&server.owner, 2_000, 300)];
    tcptop.expect_live(&expected);
    client.tell("close");
    server.tell("close");
    tcptop.finish(&expected);
}

#[test]
fn the_main_thread_has_exited() {
    check_owner_after("retire", "retired-server");
}

#[test]
fn a_thread_has_descriptors_of_its_own() {
    /// `KCMP_FILES` of include/uapi/linux/kcmp.h.
    const FILES: libc::c_long = 2;
    let me = libc::c_long::from(libc::pid_t::try_from(process::id()).expect("a pid"));
    // SAFETY: the call gets numbers only.
    if unsafe { libc::syscall(libc::SYS_kcmp, me, me, FILES, 0, 0) } != 0 {
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::ENOSYS));
        println!("skipped: without CONFIG_KCMP, tcptop does not search such threads");
        return;
    }
    check_owner_after("part", "parted-server");
}
