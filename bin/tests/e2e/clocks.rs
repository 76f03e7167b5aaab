//! Tests the times of connections and of their owners if tcptop runs in a time namespace, whose clocks have an offset.

use std::{
    ffi::CString,
    fs,
    io::Error,
    os::unix::process::CommandExt,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    harness::tcptop,
    helper::{Helper, threaded},
    options::{cells, during_by},
    privilege::done,
    traffic::{V4, accept, datagram, listen, receive, udp},
};

/// The flag of include/uapi/linux/sched.h.
const CLONE_NEWTIME: libc::c_int = 0x80;

/// Makes the command's process run in a time namespace, whose clocks are ahead by this number of seconds.
fn shift(command: &mut Command, seconds: i64) {
    let offsets = CString::new(format!("monotonic {seconds} 0\nboottime {seconds} 0\n")).expect("no NUL");
    let write = move || {
        // SAFETY: the strings end with NUL, and the descriptors were just opened.
        unsafe {
            done(libc::unshare(CLONE_NEWTIME).into())?;
            let file = libc::open(c"/proc/self/timens_offsets".as_ptr(), libc::O_WRONLY);
            let (text, length) = (offsets.as_ptr().cast(), offsets.as_bytes().len());
            if libc::write(file, text, length) != length.cast_signed() {
                return Err(Error::last_os_error());
            }
            libc::close(file);
            // A process with one thread may enter the namespace itself, without a child.
            let file = libc::open(c"/proc/self/ns/time_for_children".as_ptr(), libc::O_RDONLY);
            done(libc::setns(file, CLONE_NEWTIME).into())?;
            done(libc::close(file).into())
        }
    };
    // SAFETY: the closure makes system calls only, and touches nothing of other threads.
    unsafe { command.pre_exec(write) };
}

/// Checks rows of a process that uses TCP and UDP for a while: the columns `start` (in seconds since the epoch) and
/// `duration_ms`, and the process's name and command line.
fn check_times_with_offset(seconds: i64) {
    if !Path::new("/proc/self/ns/time").exists() {
        println!("skipped: the kernel needs CONFIG_TIME_NS");
        return;
    }
    let (listener, receiver) = (listen(V4), udp(V4));
    let addresses = [listener.local_addr(), receiver.local_addr()].map(|address| address.expect("bound"));
    let [tcp, datagrams] = addresses;
    // tcptop must not show the name of the thread. It recognizes the process by its start time.
    let mut client = Helper::by(threaded("e2e-clocks", "clocks-thread").arg("--shifted"), "e2e-clocks");
    let owner = client.owner.clone();
    let ports = format!("{},{}", tcp.port(), datagrams.port());
    let columns = "proto,pid,comm,cmdline,start,duration_ms,tx_bytes";
    let mut command = tcptop(&["--csv", "--closed=only", "-d", "0.2", "--time", "epoch"]);
    command.args(["-D", &ports, "--columns", columns]);
    shift(&mut command, seconds);
    let mut begin = Duration::ZERO;
    let lasts = Duration::from_millis(700);
    let finished = during_by(&mut command, || {
        begin = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
        client.tell(&format!("connect {tcp}"));
        client.tell(&format!("udp {V4}"));
        let server = accept(&listener);
        for round in 0..2 {
            client.tell("send 100");
            receive(&server, 100);
            client.tell(&format!("send-to 50 {datagrams}"));
            datagram(&receiver, 50);
            sleep(lasts * (1 - round));
        }
        client.leave();
    });
    let rows = cells(&finished.stdout);
    let mut protocols: Vec<&str> = rows.iter().map(|row| row["proto"].as_str()).collect();
    protocols.sort_unstable();
    assert_eq!(protocols, ["tcp", "udp"], "{rows:?}");
    for row in &rows {
        let late = row["start"].parse::<f64>().expect("seconds") - begin.as_secs_f64();
        assert!((-0.1..30.0).contains(&late), "the start is {late} s too late: {row:?}");
        let ms: u64 = row["duration_ms"].parse().expect("a number");
        assert!((650..30_000).contains(&ms), "{row:?}");
        assert_eq!((&*row["pid"], &row["comm"]), (&*owner.pid.to_string(), &owner.comm), "{row:?}");
        assert!(row["cmdline"].ends_with(" --shifted"), "{row:?}");
    }
}

#[test]
fn in_a_time_namespace_that_is_a_day_ahead() {
    check_times_with_offset(86_400);
}

/// The kernel refuses an offset that would set a clock to before the boot.
#[test]
fn in_a_time_namespace_that_is_behind() {
    let uptime = fs::read_to_string("/proc/uptime").expect("/proc");
    let seconds: i64 = uptime.split('.').next().and_then(|seconds| seconds.parse().ok()).expect("a number");
    check_times_with_offset(-seconds / 2);
}
