//! Whether the kernel counts packets and bytes of tracked connections.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The setting, below /proc/sys.
const SETTING: &str = "sys/net/netfilter/nf_conntrack_acct";

/// The setting as it was found. Dropping this restores it.
#[derive(Debug)]
pub struct Accounting {
    file: PathBuf,
    /// This process has switched it on.
    switched: bool,
    counts: bool,
}

impl Accounting {
    /// Looks at the setting, and switches it on if `enable` says so and it is off.
    ///
    /// # Errors
    /// That of the write, if the kernel refuses it.
    pub fn begin(proc: &Path, enable: bool) -> io::Result<Self> {
        let file = proc.join(SETTING);
        let counted = fs::read(&file).is_ok_and(|setting| !setting.starts_with(b"0"));
        let switched = enable && !counted;
        if switched {
            fs::write(&file, "1\n")?;
        }
        Ok(Self { file, switched, counts: counted || switched })
    }

    /// Whether connections that begin now are counted.
    pub const fn counts(&self) -> bool {
        self.counts
    }

    /// Whether those that began before were not.
    pub const fn was_off(&self) -> bool {
        self.switched || !self.counts
    }
}

impl Drop for Accounting {
    fn drop(&mut self) {
        if self.switched {
            // tcptop is about to exit: nothing can be done about an error.
            let _ = fs::write(&self.file, "0\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(setting: Option<&str>, look: impl FnOnce(&Path, &dyn Fn() -> String)) {
        let name = format!("tcptop-acct-{}-{:?}", std::process::id(), std::thread::current().id());
        let proc = std::env::temp_dir().join(name);
        let file = proc.join(SETTING);
        fs::create_dir_all(file.parent().expect("below proc")).expect("a folder of its own");
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
