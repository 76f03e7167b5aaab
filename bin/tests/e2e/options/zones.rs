//! Tests local times in several time zones.

use std::{
    ffi::CString,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink, process::CommandExt},
    path::Path,
    process::Command,
};

use super::cells;
use crate::{
    harness::{Process, Scratch, tcptop},
    privilege::done,
};

/// Returns the offset of the local times that tcptop prints, such as `+01:00`.
fn offset(prepare: impl FnOnce(&mut Command)) -> String {
    let mut command = tcptop(&["--csv", "-q", "-1", "-d", "0.1", "--time", "local"]);
    prepare(&mut command);
    let finished = Process::start(&mut command, |_| ()).wait();
    finished.assert_success();
    let time = &cells(&finished.stdout)[0]["time"];
    let (_, offset) = time.split_at(time.len() - "+00:00".len());
    offset.into()
}

#[test]
fn zones_of_the_environment() {
    let cases = [
        ("XYZ-5:30", "+05:30"),
        ("XYZ+3", "-03:00"),
        ("XYZ-23:59", "+23:59"),
        ("XYZ+23:59:59", "-23:59"),
        ("XYZ-24", "+00:00"),
        ("XYZ-25", "+00:00"),
        ("XYZ+167", "+00:00"),
        ("", "+00:00"),
    ];
    for (zone, expected) in cases {
        let shown = offset(|command| {
            command.env("TZ", zone);
        });
        assert_eq!(shown, expected, "{zone}");
    }
}

/// Makes the command's process see this directory as /etc.
fn with_etc(command: &mut Command, directory: &Path) {
    // The mount needs this directory, which a small virtual machine may lack.
    let _ = fs::create_dir("/etc");
    let directory = CString::new(directory.as_os_str().as_bytes()).expect("no NUL");
    // SAFETY: the closure makes system calls only, and touches nothing of other threads.
    unsafe {
        command.pre_exec(move || {
            let (none, data) = (std::ptr::null(), std::ptr::null());
            done(libc::unshare(libc::CLONE_NEWNS).into())?;
            done(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, data).into())?;
            let (from, to) = (directory.as_ptr(), c"/etc".as_ptr());
            done(libc::mount(from, to, none, libc::MS_BIND, data).into())
        })
    };
}

/// OpenWrt keeps the zone in this file.
#[test]
fn the_zone_of_etc_tz() {
    let etc = Scratch::new("etc");
    fs::write(etc.0.join("TZ"), "XYZ-5:30\n").expect("the test owns the file");
    let shown = |zone: Option<&str>| {
        offset(|command| {
            command.env_remove("TZ").envs(zone.map(|zone| ("TZ", zone)));
            with_etc(command, &etc.0);
        })
    };
    assert_eq!(shown(None), "+05:30");
    assert_eq!(shown(Some("XYZ+3")), "-03:00", "the environment goes before the file");
    let link = etc.0.join("localtime");
    symlink("/nonexistent/localtime", &link).expect("the test owns the file");
    assert_eq!(shown(None), "+05:30", "a broken link does not count");
    fs::remove_file(&link).expect("the test owns the file");
    fs::write(link, "").expect("the test owns the file");
    assert_eq!(shown(None), "+00:00", "/etc/localtime goes before /etc/TZ, even if it is not a zone");
}

#[test]
fn a_broken_zone_counts_as_utc() {
    // This is a zone file of version 2. Both headers say that it has one kind of time, CET, and no changes.
    let block = |kinds: u32| {
        let mut block = [&b"TZif2"[..], &[0; 15]].concat();
        for count in [0, 0, 0, 0, kinds, 4] {
            block.extend_from_slice(&count.to_be_bytes());
        }
        [&block[..], &3600u32.to_be_bytes(), &[0, 0], b"CET\0"].concat()
    };
    let folder = Scratch::new("broken-zone");
    let file = folder.0.join("zone");
    for (kinds, expected) in [(1, "+01:00"), (0x7fff_ffff, "+00:00"), (0x2000_0000, "+00:00")] {
        fs::write(&file, [&block(kinds)[..], &block(1), b"\nCET-1\n"].concat())
            .expect("the file is writable");
        let shown = offset(|command| {
            command.env("TZ", &file);
        });
        assert_eq!(shown, expected, "{kinds}");
    }
    // Other strange values of the variable must not end tcptop either.
    for zone in ["<", "XYZ5ABC,J0,J999", "A-1B-2,J1/-9999999999,365/99999999999", "/dev/zero", "/etc"] {
        offset(|command| {
            command.env("TZ", zone);
        });
    }
}
