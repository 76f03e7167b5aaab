//! The setting that makes the kernel count packets and bytes of tracked connections.

use std::{
    fs::{File, TryLockError},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::Path,
    thread,
    time::Duration,
};

/// The path of the setting below /proc.
const SETTING: &str = "sys/net/netfilter/nf_conntrack_acct";

/// Holds the setting. Drop restores it, if tcptop switched it on and no other tcptop needs it.
///
/// Every tcptop that needs the setting holds a shared lock on its file (flock(2)), and the last one restores it. A tcptop that
/// is killed leaves the setting on, but no lock.
#[derive(Debug)]
pub struct Accounting {
    /// The locked file, if the setting must be restored.
    restored: Option<File>,
    /// The setting was off, so the kernel does not count connections that began before.
    was_off: bool,
    counts: bool,
}

impl Accounting {
    /// Reads the setting, and switches it on if it is off and `enable` is true.
    ///
    /// # Errors
    /// The setting cannot be opened, locked or written.
    pub fn begin(proc: &Path, enable: bool) -> io::Result<Self> {
        let path = proc.join(SETTING);
        let counted = File::open(&path).is_ok_and(|file| is_on(&file));
        if !enable {
            return Ok(Self { restored: None, was_off: !counted, counts: counted });
        }
        // A container may have the file read-only, and the setting on.
        let file = match File::options().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(_) if counted => return Ok(Self { restored: None, was_off: false, counts: true }),
            Err(error) => return Err(error),
        };
        let others_need_it = is_shared(&file);
        if others_need_it {
            file.lock_shared()?;
        }
        // Nobody switches the setting off while we hold the lock.
        let counted = File::open(&path).is_ok_and(|file| is_on(&file));
        if !counted {
            file.write_all_at(b"1\n", 0)?;
        } else if !others_need_it {
            return Ok(Self { restored: None, was_off: false, counts: true });
        }
        file.lock_shared()?;
        Ok(Self { restored: Some(file), was_off: !counted, counts: true })
    }

    /// Returns whether the kernel counts connections that begin now.
    pub const fn counts(&self) -> bool {
        self.counts
    }

    /// Returns whether the kernel did not count connections that began before.
    pub const fn was_off(&self) -> bool {
        self.was_off
    }
}

impl Drop for Accounting {
    fn drop(&mut self) {
        if let Some(file) = &self.restored
            && file.try_lock().is_ok()
        {
            // tcptop is about to exit: nothing can be done about an error.
            let _ = file.write_all_at(b"0\n", 0);
        }
    }
}

/// Returns whether others hold a shared lock. If not, we hold the exclusive lock afterwards.
fn is_shared(file: &File) -> bool {
    // A tcptop that begins or ends at this moment holds the exclusive lock for some microseconds.
    !(0..3).any(|attempt| {
        thread::sleep(Duration::from_millis(5 * attempt));
        !matches!(file.try_lock(), Err(TryLockError::WouldBlock))
    })
}

fn is_on(mut file: &File) -> bool {
    let mut setting = [b'0'];
    file.read_exact(&mut setting).is_ok() && setting != *b"0"
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn with(setting: Option<&str>, look: impl FnOnce(&Path, &dyn Fn() -> String)) {
        let name = format!("tcptop-acct-{}-{:?}", std::process::id(), thread::current().id());
        let proc = std::env::temp_dir().join(name);
        let file = proc.join(SETTING);
        fs::create_dir_all(file.parent().expect("below proc")).expect("the test makes its own folder");
        setting.into_iter().for_each(|text| fs::write(&file, text).expect("written"));
        look(&proc, &|| fs::read_to_string(&file).unwrap_or_default());
        fs::remove_dir_all(&proc).expect("removed");
    }

    #[test]
    fn what_was_switched_on_is_switched_off_again() {
        with(Some("0\n"), |proc, setting| {
            let accounting = Accounting::begin(proc, true).expect("written");
            assert!(accounting.counts() && accounting.was_off());
            assert_eq!(setting(), "1\n");
            drop(accounting);
            assert_eq!(setting(), "0\n");
        });
    }

    #[test]
    fn the_last_one_switches_it_off() {
        with(Some("0\n"), |proc, setting| {
            let [first, second, third] =
                [(); 3].map(|()| Accounting::begin(proc, true).expect("written or locked"));
            assert!(first.was_off() && !second.was_off() && !third.was_off());
            drop(first);
            assert!(setting().starts_with('1'));
            drop(third);
            assert!(setting().starts_with('1'));
            drop(second);
            assert!(setting().starts_with('0'));
        });
    }

    #[test]
    fn what_was_on_stays_on() {
        with(Some("1\n"), |proc, setting| {
            let accounting = Accounting::begin(proc, true).expect("nothing to write");
            assert!(accounting.counts() && !accounting.was_off());
            drop(accounting);
            assert_eq!(setting(), "1\n");
        });
    }

    #[test]
    fn nothing_is_switched_on_unasked() {
        with(Some("0\n"), |proc, setting| {
            let accounting = Accounting::begin(proc, false).expect("nothing to write");
            assert!(!accounting.counts() && accounting.was_off());
            assert_eq!(setting(), "0\n");
        });
        with(None, |proc, _| {
            assert!(!Accounting::begin(proc, false).expect("nothing to write").counts());
        });
    }
}
