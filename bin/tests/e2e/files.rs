//! Tests output to files, pipes and standard output.

use std::{fs, path::Path};

use crate::{
    harness::{Process, Scratch, run, tcptop},
    rows::{HEADER, Row},
    traffic::{V4, datagram, udp},
};

/// Runs tcptop while datagrams are sent all the time.
fn with_traffic(args: &[&str]) {
    let (client, server) = (udp(V4), udp(V4));
    let remote = server.local_addr().expect("bound");
    let process = Process::start(&mut tcptop(args), |_| ());
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| process.wait());
        while !waiter.is_finished() {
            client.send_to(&[0; 10], remote).expect("send");
            datagram(&server, 10);
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let finished = waiter.join().expect("the thread does not panic");
        finished.assert_success();
        assert_eq!(finished.stdout, "");
    });
}

fn csv(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).expect("UTF-8");
    assert!(text.ends_with('\n'), "{text:?}");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn csv_is_appended_under_one_header() {
    let scratch = Scratch::new("append");
    let file = scratch.0.join("out.csv");
    let name = file.to_str().expect("UTF-8");
    let args = ["--csv", "-n", "2", "-d", "0.2", "-o", name];
    with_traffic(&args);
    let first = csv(&file);
    with_traffic(&args);
    let both = csv(&file);
    assert!(first.len() > 1 && both.len() > first.len(), "{both:?}");
    assert_eq!(both[..first.len()], first, "the second run must leave these lines alone");
    assert_eq!(both[0], HEADER);
    for line in &both[1..] {
        Row::parse(line).unwrap_or_else(|mistake| panic!("{mistake}"));
    }
}

#[test]
fn an_empty_file_gets_the_header() {
    let scratch = Scratch::new("empty");
    let file = scratch.0.join("out.csv");
    fs::write(&file, "").expect("the file is writable");
    run(&["--csv", "--once", "-d", "0.1", "--output", file.to_str().expect("UTF-8")]).assert_success();
    assert_eq!(csv(&file)[0], HEADER);
}

#[test]
fn a_torn_last_line_is_ended() {
    let scratch = Scratch::new("torn");
    let file = scratch.0.join("out.csv");
    let torn = "2026-11-23T12:41:52.123Z,live,tcp,192.16";
    fs::write(&file, format!("{HEADER}\n{torn}")).expect("the file is writable");
    with_traffic(&["--csv", "-n", "2", "-d", "0.2", "-o", file.to_str().expect("UTF-8")]);
    let lines = csv(&file);
    assert_eq!(lines[..2], [HEADER, torn]);
    assert!(lines.len() > 2, "{lines:?}");
    for line in &lines[2..] {
        Row::parse(line).unwrap_or_else(|mistake| panic!("{mistake}"));
    }
}

#[test]
fn text_is_appended_in_blocks() {
    let scratch = Scratch::new("text");
    let file = scratch.0.join("out.txt");
    let name = file.to_str().expect("UTF-8");
    for _ in 0..2 {
        run(&["--once", "-d", "0.1", "-o", name]).assert_success();
    }
    let text = fs::read_to_string(&file).expect("UTF-8");
    let blocks: Vec<&str> = text.split("\n\n").collect();
    assert_eq!(blocks.len(), 2, "{text}");
    assert!(blocks.iter().all(|block| block.lines().next().is_some_and(|line| line.contains("  interval "))));
}

#[test]
fn a_file_that_cannot_be_written_is_an_error() {
    let scratch = Scratch::new("missing");
    let file = scratch.0.join("no/such/file");
    let full = Path::new("/dev/full");
    for path in [&file, full] {
        let name = path.to_str().expect("UTF-8");
        let finished = run(&["--csv", "--once", "-d", "0.1", "-o", name]);
        finished.assert_code(74);
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
        assert!(finished.stderr.contains(name), "{}", finished.stderr);
    }
}

#[test]
fn other_names_of_standard_output_are_standard_output() {
    for name in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let finished = run(&["--csv", "-n", "2", "-d", "0.1", "-o", name]);
        finished.assert_success();
        assert!(finished.stdout.starts_with(HEADER), "{name}: {}", finished.stdout);
        // tcptop appends to any file that a shell has opened, even if it did not write it.
        let scratch = Scratch::new("stdout");
        let file = scratch.0.join("out");
        fs::write(&file, "notes\n").expect("the file is writable");
        let append = fs::File::options().append(true).open(&file).expect("opened");
        let mut command = tcptop(&["--csv", "-1", "-d", "0.1", "-o", name]);
        Process::start(command.stdout(append), |_| ()).wait().assert_success();
        assert!(
            fs::read_to_string(&file).expect("the file exists").starts_with(&format!("notes\n{HEADER}\n")),
            "{name}"
        );
    }
}

/// Makes a command that starts with a closed standard output.
fn without_stdout(args: &[&str]) -> std::process::Command {
    use std::os::unix::process::CommandExt;
    let mut command = tcptop(args);
    // SAFETY: the closure makes one system call, which closes a descriptor of the child.
    unsafe {
        command.pre_exec(|| match libc::close(1) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        })
    };
    command
}

#[test]
fn a_closed_standard_output_is_an_error() {
    for args in [&["-1", "-d", "0.1"][..], &["--csv"], &["--help"], &["-V"], &["--check"]] {
        let finished = Process::start(&mut without_stdout(args), |_| ()).wait();
        finished.assert_code(74);
        assert_eq!(finished.stderr, "error: cannot write to standard output: it is closed\n", "{args:?}");
    }
    // tcptop does not need standard output if it writes to a file.
    let scratch = Scratch::new("closed");
    let file = scratch.0.join("out.csv");
    let args = ["--csv", "-1", "-d", "0.1", "-o", file.to_str().expect("UTF-8")];
    Process::start(&mut without_stdout(&args), |_| ()).wait().assert_success();
    assert_eq!(csv(&file)[0], HEADER);
}

#[test]
fn dev_null_as_standard_output_must_be_writable() {
    // Shells open it for writing, and Python for reading and writing.
    for read in [false, true] {
        let null = fs::File::options().read(read).write(true).open("/dev/null").expect("/dev/null");
        Process::start(tcptop(&["-1", "-d", "0.1"]).stdout(null), |_| ()).wait().assert_success();
    }
    let only_read = fs::File::open("/dev/null").expect("/dev/null");
    let finished = Process::start(tcptop(&["-V"]).stdout(only_read), |_| ()).wait();
    finished.assert_code(74);
}

#[test]
fn a_pipe_whose_reader_does_not_read_is_an_error() {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let scratch = Scratch::new("stuck");
    let file = scratch.0.join("pipe");
    let name = std::ffi::CString::new(file.to_str().expect("UTF-8")).expect("no NUL");
    // SAFETY: the string ends with NUL and outlives the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let mut full = fs::File::options();
    let full = full.read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&file).expect("opened");
    while (&full).write(&[b'x'; 4096]).is_ok() {}
    let process =
        Process::start(&mut tcptop(&["-1", "-d", "0.1", "-o", file.to_str().expect("UTF-8")]), |_| ());
    std::thread::sleep(std::time::Duration::from_millis(800));
    process.signal(libc::SIGINT);
    let finished = process.wait();
    finished.assert_code(74);
    let named = format!("error: '{}': the reader takes nothing; the report was given up\n", file.display());
    assert_eq!(finished.stderr, named);
}
