//! Finds out whether the reader's terminal shows UTF-8, by the locale's character set.
//!
//! The first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set and not empty names the locale (POSIX.1-2017, XBD 8.2). If
//! none is set, as under cron and on OpenWrt, it is the C locale. tcptop then prints ASCII, which is right everywhere.

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// Set once, before the first text is printed.
static ASCII: AtomicBool = AtomicBool::new(false);

/// Reads the character set from the environment.
pub fn adopt() {
    ASCII.store(!is_unicode(env::var_os), Relaxed);
}

/// Returns true if text for people may contain characters other than ASCII.
pub fn is_utf8() -> bool {
    !ASCII.load(Relaxed)
}

fn is_unicode(variable: impl Fn(&'static str) -> Option<OsString>) -> bool {
    let mut set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable);
    set.find(|name| !name.is_empty()).is_some_and(|name| names_utf8(&name))
}

/// Returns true if a locale's name, such as `de_DE.UTF-8@euro`, has this character set. It may also be spelled `utf8`.
fn names_utf8(locale: &OsStr) -> bool {
    let name = locale.as_bytes();
    let charset = memchr::memchr(b'.', name).map_or(name, |dot| &name[dot + 1..]);
    let charset = charset.split(|byte| *byte == b'@').next().unwrap_or_default();
    charset.eq_ignore_ascii_case(b"UTF-8") || charset.eq_ignore_ascii_case(b"UTF8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let cases: [(&[(&str, &str)], bool); 12] = [
            (&[], false),
            (&[("LANG", "en_US.UTF-8")], true),
            (&[("LANG", "de_DE.utf8@euro")], true),
            (&[("LANG", "C.UTF-8")], true),
            (&[("LC_CTYPE", "UTF-8")], true),
            (&[("LANG", "en_US")], false),
            (&[("LANG", "de_DE.ISO-8859-15")], false),
            (&[("LANG", "POSIX")], false),
            (&[("LANG", "en_US.UTF-8"), ("LC_ALL", "C")], false),
            (&[("LANG", "en_US.UTF-8"), ("LC_CTYPE", "C")], false),
            (&[("LANG", "C"), ("LC_CTYPE", "C"), ("LC_ALL", "C.utf8")], true),
            (&[("LANG", "en_US.UTF-8"), ("LC_ALL", ""), ("LC_CTYPE", "")], true),
        ];
        for (set, expected) in cases {
            let variable = |name| set.iter().find(|(of, _)| *of == name).map(|(_, value)| value.into());
            assert_eq!(is_unicode(variable), expected, "{set:?}");
        }
    }
}
