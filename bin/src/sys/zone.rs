//! The local time zone.

use std::{
    env,
    ffi::OsStr,
    fs,
    mem::MaybeUninit,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::zone_file;

/// The zone where `TZ` names none.
const OWN: &str = "/etc/localtime";

/// The folders in which C libraries look for a zone's name (musl 1.2.5, src/time/__tz.c).
const FOLDERS: [&str; 3] = ["/usr/share/zoneinfo", "/share/zoneinfo", "/etc/zoneinfo"];

/// Takes the zone from /etc/TZ if there is neither `TZ` nor /etc/localtime. OpenWrt stores the zone there in POSIX notation,
/// and has no zone files. Its own C library reads that file, but the one in a static binary does not. If the zone's file is
/// broken, takes UTC. Call this at the start, while this process has one thread.
pub fn adopt() {
    let given = env::var_os("TZ");
    let files = files(given.as_deref());
    let text = fs::read("/etc/TZ").unwrap_or_default();
    // A link that leads nowhere is no zone: OpenWrt has one.
    let is_lacking = given.is_none() && !Path::new(OWN).exists();
    let zone = match zone(&text) {
        _ if files.iter().any(|file| zone_file::is_broken(file)) => OsStr::new("UTC0"),
        Some(zone) if is_lacking => zone,
        _ => return,
    };
    // SAFETY: nobody else can be reading the environment, as there is one thread.
    unsafe { env::set_var("TZ", zone) };
}

/// The files that the C library may take for this value of `TZ`.
fn files(given: Option<&OsStr>) -> Vec<PathBuf> {
    let Some(given) = given else { return vec![OWN.into()] };
    let name = given.as_bytes().strip_prefix(b":").unwrap_or(given.as_bytes());
    let name = Path::new(OsStr::from_bytes(name));
    // A path stays as it is, also behind a folder. Without a name, the C library takes UTC.
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).chain([name.into()]).collect()
}

/// The first line of the file.
fn zone(text: &[u8]) -> Option<&OsStr> {
    let line = text.split(|byte| *byte == b'\n').next()?.trim_ascii();
    let is_one = !line.is_empty() && !line.contains(&0);
    is_one.then(|| OsStr::from_bytes(line))
}

/// Seconds east of UTC, `seconds` after the Unix epoch. `None` when the moment does not fit the platform's `time_t`, or the
/// zone is one that RFC 3339 cannot write.
pub fn offset(seconds: u64) -> Option<i32> {
    // The type is inferred: libc has deprecated the name `time_t` for musl, where it is 32 bits on 32-bit hosts.
    let seconds = seconds.try_into().ok()?;
    let mut broken_down = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid for the call; localtime_r fills the second when it returns non-null.
    let broken_down = unsafe {
        if libc::localtime_r(&raw const seconds, broken_down.as_mut_ptr()).is_null() {
            return None;
        }
        broken_down.assume_init()
    };
    writable(i32::try_from(broken_down.tm_gmtoff).ok()?)
}

/// RFC 3339 writes offsets of less than a day, in minutes. `TZ` may ask for others; no place on earth does today.
fn writable(offset: i32) -> Option<i32> {
    (offset.unsigned_abs() < 86_400).then_some(offset - offset % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_less_than_a_day_from_utc() {
        let now = offset(1_795_437_712).expect("the moment is in this century");
        assert_eq!(writable(now), Some(now));
        assert_eq!(offset(u64::MAX), None);
        let cases = [
            (0, Some(0)),
            (-12_600, Some(-12_600)),
            (86_340, Some(86_340)),
            (86_400, None),
            (-86_400, None),
            (90_000, None),
            (i32::MIN, None),
            (1_172, Some(1_140)),
            (-2_670, Some(-2_640)),
        ];
        for (offset, expected) in cases {
            assert_eq!(writable(offset), expected, "{offset}");
        }
    }

    #[test]
    fn files_of_zones() {
        assert_eq!(files(None), [Path::new(OWN)]);
        let of =
            |given: &str| files(Some(given.as_ref())).contains(&"/usr/share/zoneinfo/Europe/Berlin".into());
        assert!(of("Europe/Berlin") && of(":Europe/Berlin") && of("/usr/share/zoneinfo/Europe/Berlin"));
        assert!(!of("") && !of("CET-1"));
    }

    #[test]
    fn the_file_has_one_line() {
        let cases: [(&[u8], Option<&str>); 6] = [
            (b"CET-1CEST,M3.5.0,M10.5.0/3\n", Some("CET-1CEST,M3.5.0,M10.5.0/3")),
            (b" UTC0 \r\nCET-1", Some("UTC0")),
            (b"<+03>-3", Some("<+03>-3")),
            (b"", None),
            (b"\n\n", None),
            (b"UTC\0", None),
        ];
        for (text, expected) in cases {
            assert_eq!(zone(text), expected.map(OsStr::new));
        }
    }

    #[test]
    fn hostile_input() {
        let corpus = crate::testing::corpus("zone");
        crate::testing::hostile::Input { corpus, tokens: &[b"<", b">", b",M3.5.0", b"/167", b",J365"] }.run(
            |text| {
                let Some(zone) = zone(text) else { return };
                // set_var panics at an empty value's name alone, and at NUL.
                assert!(!zone.is_empty() && !zone.as_bytes().iter().any(|byte| matches!(byte, 0 | b'\n')));
            },
        );
    }
}
