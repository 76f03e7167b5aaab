//! Tests paths on a real file system.

use std::{env, os::unix::fs::symlink, path::PathBuf, process};

use super::*;

fn name(path: &Path) -> Result<String, String> {
    match Location::find(path) {
        Ok(location) => Ok(location.name.into_string().expect("UTF-8")),
        Err(Problem::System(error)) => Err(error.kind().to_string()),
        Err(Problem::Refused(why)) => Err(format!("{why:?}")),
    }
}

#[test]
fn paths_lead_to_a_name_in_a_directory() {
    let directory: PathBuf = env::temp_dir().join(format!("tcptop-location-{}", process::id()));
    fs::create_dir_all(directory.join("a/b")).expect("made");
    let link = |target: &str, name: &str| symlink(target, directory.join(name)).expect("made");
    link("a/b", "inside");
    link("../..", "a/b/out");
    link(directory.join("a/b/far").to_str().expect("UTF-8"), "a/absolute");
    link("loop", "loop");
    fs::write(directory.join("file"), "").expect("written");
    for (path, expected) in [
        ("new", Ok("new")),
        ("a/b/../new", Ok("new")),
        ("inside/new", Ok("new")),
        ("inside//out/./new", Ok("new")),
        ("a/absolute", Ok("far")),
        ("a", Ok("a")),
        ("a/", Ok(".")),
        ("file/new", Err("not a directory")),
        ("missing/new", Err("entity not found")),
        ("loop", Err("filesystem loop or indirection limit (e.g. symlink loop)")),
        ("loop/new", Err("filesystem loop or indirection limit (e.g. symlink loop)")),
    ] {
        let found = name(&directory.join(path));
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{path}");
    }
    let location = Location::find(&directory.join("inside/out/a/b/new")).ok().expect("found");
    location.create(0o600).expect("created");
    assert!(directory.join("a/b/new").exists());
    assert!(location.create(0o600).is_err(), "the name is taken");
    fs::remove_dir_all(&directory).expect("ours");
}

#[test]
fn links_to_open_files_lead_there() {
    let (reader, writer) = io::pipe().expect("a pipe");
    use std::os::fd::AsRawFd;
    for folder in ["/dev/fd", "/proc/self/fd"] {
        let location =
            Location::find(Path::new(&format!("{folder}/{}", writer.as_raw_fd()))).ok().expect("found");
        let file = location.append().expect("opened");
        assert!(location.is_trusted(&file.metadata().expect("told")).expect("told"));
        io::Write::write_all(&mut &file, b"x").expect("written");
    }
    let mut both = [0; 2];
    io::Read::read_exact(&mut &reader, &mut both).expect("read");
    assert_eq!(both, *b"xx");
}
