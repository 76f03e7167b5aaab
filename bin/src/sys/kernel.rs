//! The running kernel: uname(2).

use std::{ffi::CStr, mem::MaybeUninit};

/// Returns the kernel's release, such as `6.1.0-50-armmp`, and the machine, such as `armv7l`. Both are empty if uname(2)
/// fails.
pub fn release() -> (String, String) {
    let names = names();
    (text(&names.release).to_string_lossy().into_owned(), text(&names.machine).to_string_lossy().into_owned())
}

/// Returns the host name that the kernel has.
pub fn host_name() -> Vec<u8> {
    text(&names().nodename).to_bytes().to_vec()
}

fn names() -> libc::utsname {
    let mut names = MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: the kernel fills the fields with strings that end with NUL, and zeros are empty strings.
    unsafe {
        libc::uname(names.as_mut_ptr());
        names.assume_init()
    }
}

fn text(field: &[libc::c_char]) -> &CStr {
    // SAFETY: every field of `names` has a NUL.
    unsafe { CStr::from_ptr(field.as_ptr()) }
}

/// Returns the major and minor version at the beginning of a release; `None` if there is no version.
pub fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let major = numbers.next()?.ok()?;
    Some((major, numbers.next().and_then(Result::ok).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_releases() {
        assert_eq!(version("5.10.0-46-cloud-amd64"), Some((5, 10)));
        assert_eq!(version("6.12.47+rpt-rpi-v8"), Some((6, 12)));
        assert_eq!(version("6.1"), Some((6, 1)));
        assert_eq!(version("7-rc1"), Some((7, 0)));
        assert_eq!(version(""), None);
        assert_eq!(version("unknown"), None);
    }

    #[test]
    fn a_kernel_runs() {
        assert!(version(&release().0) > Some((2, 0)));
    }
}
