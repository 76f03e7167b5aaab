//! Makes the documents that follow from the tables of options and columns: both helps, the manual page and the completions.
//!
//! They are stored in bin/doc, and the build script packs the helps into the binary. So only tests contain this module and the
//! texts in the tables. A test checks that the stored documents match the tables; run with `TCPTOP_WRITE=1`, it writes them.

mod completions;
mod help;
mod manual;

use std::{fs, path::Path};

#[test]
fn documents_are_those_of_the_tables() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("doc");
    let documents = [
        ("help.txt", help::help()),
        ("short-help.txt", help::short_help()),
        ("tcptop.8", manual::manual()),
        ("tcptop.bash", completions::bash()),
        ("tcptop.zsh", completions::zsh()),
        ("tcptop.fish", completions::fish()),
    ];
    for (name, text) in documents {
        let path = directory.join(name);
        if std::env::var_os("TCPTOP_WRITE").is_some() {
            fs::write(&path, &text).expect("written");
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == text,
            "bin/doc/{name} is not of these tables: `TCPTOP_WRITE=1 cargo test --bin tcptop documents` writes it"
        );
    }
}
