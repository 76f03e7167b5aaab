//! The running kernel: uname(2).

use std::{ffi::CStr, mem::MaybeUninit};

/// Its release, such as `6.1.0-50-armmp`, and its machine, such as `armv7l`; empty when uname(2) fails.
pub fn release() -> (String, String) {
    let mut names = MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: the kernel fills the fields with strings that end with NUL, and zeros are empty strings.
    let names = unsafe {
        libc::uname(names.as_mut_ptr());
        names.assume_init()
    };
    // SAFETY: as above.
    let text =
        |field: &[libc::c_char]| unsafe { CStr::from_ptr(field.as_ptr()) }.to_string_lossy().into_owned();
    (text(&names.release), text(&names.machine))
}

/// Major and minor version at the beginning of a release.
pub fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_releases() {
        assert_eq!(version("5.10.0-46-cloud-amd64"), (5, 10));
        assert_eq!(version("6.1"), (6, 1));
        assert_eq!(version("7-rc1"), (7, 0));
        assert_eq!(version(""), (0, 0));
    }

    #[test]
    fn a_kernel_runs() {
        assert!(version(&release().0) > (2, 0));
    }
}
