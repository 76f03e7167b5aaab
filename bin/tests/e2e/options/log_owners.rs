//! Tests logs in folders of several users. tcptop must not touch a file that another user may have put there.

use std::{
    ffi::CString,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, lchown, symlink},
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{
    logs::{end, grows, logging, whole},
    strangers::{FORMS, assert_refused, once},
};
use crate::{harness::Scratch, rows::HEADER};

const NOBODY: u32 = 65_534;

/// Makes a folder like /tmp in the scratch directory: every user may create files, but not rename those of others.
fn sticky(scratch: &Scratch) -> PathBuf {
    let folder = scratch.0.join("sticky");
    fs::create_dir(&folder).expect("the directory is writable");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).expect("the test owns the file");
    folder
}

fn special(path: &Path, mode: libc::mode_t, device: libc::dev_t) {
    let name = CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    // SAFETY: the string ends with NUL and outlives the call.
    assert_eq!(unsafe { libc::mknod(name.as_ptr(), mode, device) }, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn symbolic_links_of_other_users_are_not_followed() {
    let scratch = Scratch::new("links");
    let folder = sticky(&scratch);
    let (file, target) = (folder.join("log.csv"), scratch.0.join("secret.csv"));
    let content = format!("{HEADER}\n");
    fs::write(&target, &content).expect("the file is writable");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).expect("the test owns the file");
    let new = scratch.0.join("new.csv");
    for (target, what) in [(&target, "a link to a log"), (&new, "a link to nothing")] {
        symlink(target, &file).expect("the directory is writable");
        lchown(&file, Some(NOBODY), Some(NOBODY)).expect("root may change owners");
        for args in FORMS {
            assert_refused(&once(&file, args), &file, "another user's symbolic link");
        }
        assert!(fs::symlink_metadata(&file).expect("the file exists").is_symlink(), "{what}");
        fs::remove_file(&file).expect("root may remove files");
    }
    assert!(!new.exists() && fs::read_to_string(&target).expect("the file exists") == content);
    assert_eq!(fs::metadata(&target).expect("the file exists").mode() & 0o777, 0o600);
    // The link may also be in the middle of the path.
    let way = folder.join("way");
    symlink(&scratch.0, &way).expect("the directory is writable");
    once(&way.join("through.csv"), &["--csv"]).assert_success();
    lchown(&way, Some(NOBODY), Some(NOBODY)).expect("root may change owners");
    let through = way.join("other.csv");
    assert_refused(&once(&through, &["--csv"]), &through, "another user's symbolic link");
    // A folder that another user owns needs no sticky bit for that.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("the test owns the file");
    chown(&folder, Some(NOBODY), Some(NOBODY)).expect("root may change owners");
    assert_refused(&once(&through, &["--csv"]), &through, "another user's symbolic link");
}

#[test]
fn files_of_other_users_in_a_folder_like_tmp_are_left_alone() {
    let scratch = Scratch::new("owners");
    let folder = sticky(&scratch);
    let file = folder.join("log.csv");
    let content = format!("{HEADER}\n");
    for text in ["", content.as_str()] {
        fs::write(&file, text).expect("the file is writable");
        chown(&file, Some(NOBODY), Some(NOBODY)).expect("root may change owners");
        assert_refused(&once(&file, &["--csv"]), &file, "another user owns it");
        assert_eq!(fs::read_to_string(&file).expect("the file exists"), text);
        fs::remove_file(&file).expect("root may remove files");
    }
    // The file is a hard link to an empty file, such as a lock file.
    let lock = scratch.0.join("lock");
    fs::write(&lock, "").expect("the file is writable");
    fs::hard_link(&lock, &file).expect("the directory is writable");
    assert_refused(&once(&file, &["--csv"]), &file, "second name");
    fs::remove_file(&file).expect("the test owns the file");
    // The file is a pipe, which another user would read.
    special(&file, libc::S_IFIFO | 0o600, 0);
    chown(&file, Some(NOBODY), Some(NOBODY)).expect("root may change owners");
    let _reader = fs::File::options().read(true).write(true).open(&file).expect("opened");
    assert_refused(&once(&file, &["--csv"]), &file, "another user owns it");
    fs::remove_file(&file).expect("root may remove files");
    once(&file, &["--csv"]).assert_success();
    once(&file, &["--csv"]).assert_success();
    // In a folder where only root may create files, any user may own the log.
    let elsewhere = scratch.0.join("log.csv");
    fs::write(&elsewhere, &content).expect("the file is writable");
    chown(&elsewhere, Some(NOBODY), Some(NOBODY)).expect("root may change owners");
    once(&elsewhere, &["--csv"]).assert_success();
}

#[test]
fn a_file_that_replaces_the_log_of_a_run_is_checked_too() {
    let scratch = Scratch::new("swapped");
    let folder = sticky(&scratch);
    let (file, secret) = (folder.join("log.csv"), scratch.0.join("secret"));
    fs::write(&secret, "").expect("the file is writable");
    let strange = folder.join("strange");
    let lay: [(&str, &dyn Fn()); 2] = [
        ("another user's symbolic link", &|| {
            symlink(&secret, &strange).expect("the directory is writable");
            lchown(&strange, Some(NOBODY), Some(NOBODY)).expect("root may change owners");
        }),
        ("tcptop did not write it", &|| fs::write(&strange, "precious\n").expect("the file is writable")),
    ];
    let process = logging(&file, &["--max-size", "1K", "--keep", "0"]);
    for (_, lay) in &lay {
        grows(&file);
        lay();
        fs::rename(&strange, &file).expect("the file can be renamed");
        thread::sleep(Duration::from_millis(600));
        fs::remove_file(&file).expect("tcptop leaves the file alone");
    }
    grows(&file);
    let said = end(process);
    let lines: Vec<&str> = said.lines().collect();
    let [link, back, foreign, again] = lines.as_slice() else { panic!("{said}") };
    for ((why, _), line) in lay.iter().zip([link, foreign]) {
        assert!(
            line.contains(why) && line.ends_with("reports are dropped until it can be written"),
            "{said}"
        );
    }
    assert!(back.contains("reports were dropped") && again.contains("reports were dropped"), "{said}");
    assert_eq!(fs::read_to_string(&secret).expect("the file exists"), "");
    whole(&file);
}

#[test]
fn devices_are_neither_overwritten_nor_renamed() {
    let scratch = Scratch::new("devices");
    let block = scratch.0.join("block");
    // This is the first RAM disk, if the kernel has one. tcptop must neither open it for writing nor rename it.
    special(&block, libc::S_IFBLK | 0o600, libc::makedev(1, 0));
    once(&block, &["--csv"]).assert_code(74);
    assert!(fs::symlink_metadata(&block).expect("the file exists").file_type().is_block_device());
    once(Path::new("/dev/null"), &["--csv"]).assert_success();
    assert!(!Path::new("/dev/null.1").exists());
}

#[test]
fn a_private_log_stays_private() {
    let scratch = Scratch::new("private");
    let file = scratch.0.join("log.csv");
    once(&file, &["--csv"]).assert_success();
    assert_eq!(
        fs::metadata(&file).expect("the log exists").mode() & 0o137,
        0,
        "the mode must be 640 or less"
    );
    for mode in [0o600, 0o644] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("the test owns the file");
        chown(&file, Some(NOBODY), Some(NOBODY)).expect("root may change owners");
        once(&file, &["--csv", "--columns", if mode == 0o600 { "pid,comm" } else { "comm" }])
            .assert_success();
        for file in [&file, &scratch.0.join("log.csv.1")] {
            let now = fs::metadata(file).expect("the file exists");
            assert_eq!(
                (now.mode() & 0o777, now.uid(), now.gid()),
                (mode, NOBODY, NOBODY),
                "{}",
                file.display()
            );
        }
    }
}
