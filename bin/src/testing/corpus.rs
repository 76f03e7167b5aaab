//! Files that hostile input is made of.

use std::{fs, path::Path};

/// The files in this folder of `bin/tests/corpus`, in the order of their names. The README there says where they came from.
pub fn corpus(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort_unstable();
    paths.iter().map(|path| fs::read(path).expect("a file")).collect()
}
