//! The help and version texts. `documents` makes the helps, and the build script packs them.

use crate::unpack::unpack;

/// The short and the whole help with a form feed between them, packed.
static HELPS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/help.packed"));

/// Returns the text that `-h` prints. `None`: this program is damaged.
pub fn short_help() -> Option<String> {
    helps().map(|(short, _)| short)
}

/// Returns the text that `--help` prints. `None`: this program is damaged.
pub fn help() -> Option<String> {
    helps().map(|(_, whole)| whole)
}

/// Returns the line that `--version` prints.
pub fn version() -> String {
    format!("tcptop {}\n", env!("CARGO_PKG_VERSION"))
}

fn helps() -> Option<(String, String)> {
    let texts = String::from_utf8(unpack(HELPS)?).ok()?;
    let (short, whole) = texts.split_once('\x0c')?;
    Some((short.into(), whole.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_helps_are_those_of_the_documents() {
        assert_eq!(short_help().as_deref(), Some(include_str!("../../doc/short-help.txt")));
        assert_eq!(help().as_deref(), Some(include_str!("../../doc/help.txt")));
    }
}
