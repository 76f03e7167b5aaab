//! User names by number, from /etc/passwd. A static binary cannot use the C library's name services.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use crate::proc;

/// The users looked up so far.
pub struct Users {
    file: PathBuf,
    /// By number. Maps from `u64` share their code with others.
    names: HashMap<u64, Vec<u8>>,
}

impl Users {
    /// Starts without any users. `file` lists them.
    pub fn new(file: &Path) -> Self {
        Self { file: file.into(), names: HashMap::new() }
    }

    /// Looks up the name of a user, unless it is known. Reads the file once per user, and again if there was no descriptor to
    /// read it with.
    pub fn look_up(&mut self, uid: u32) {
        if self.names.contains_key(&uid.into()) {
            return;
        }
        let Ok(text) = proc::found(fs::read(&self.file)) else { return };
        let name = find(text.as_deref().unwrap_or_default(), uid);
        let name = name.map_or_else(|| uid.to_string().into_bytes(), <[u8]>::to_vec);
        self.names.insert(uid.into(), name);
    }

    /// The name of a user who was looked up, or the number.
    pub fn name(&self, uid: u32) -> &[u8] {
        self.names.get(&uid.into()).map_or(b"", Vec::as_slice)
    }
}

/// Returns the number of the user with this name.
pub fn number(file: &Path, name: &[u8]) -> Option<u32> {
    users(&fs::read(file).ok()?).find(|user| user.0 == name).map(|user| user.1)
}

fn find(text: &[u8], uid: u32) -> Option<&[u8]> {
    users(text).find(|user| user.1 == uid).map(|user| user.0)
}

/// Parses lines of `name:password:uid:...`, passwd(5).
fn users(text: &[u8]) -> impl Iterator<Item = (&[u8], u32)> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        let number = std::str::from_utf8(number).ok()?.parse().ok()?;
        (!name.is_empty()).then_some((name, number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{corpus, hostile};

    #[test]
    fn names_and_numbers() {
        let text = b"root:x:0:0:root:/root:/bin/sh\n\n# comment\nbad\n:x:5:5::/:\nwww-data:x:33:33::/:\n";
        assert_eq!(find(text, 0), Some(&b"root"[..]));
        assert_eq!(find(text, 33), Some(&b"www-data"[..]));
        assert_eq!((find(text, 5), find(text, 1000)), (None, None));
        let mut users = Users::new(Path::new("/nonexistent"));
        users.look_up(1000);
        assert_eq!(users.name(1000), b"1000");
    }

    #[test]
    fn hostile_input() {
        hostile::Input { corpus: corpus("passwd"), tokens: &[b":x:0:", b"\n:", b"::", b"root"] }.run(
            |text| {
                for uid in [0, 65_534, u32::MAX] {
                    let Some(name) = find(text, uid) else { continue };
                    assert!(!name.is_empty() && !name.iter().any(|byte| matches!(byte, b':' | b'\n')));
                }
            },
        );
    }
}
