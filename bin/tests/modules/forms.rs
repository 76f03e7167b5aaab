//! Tests of the test: crates that are made up, with each form of an import.

use std::path::Path;

use crate::sources::Sources;

/// The circles of a crate that is made up.
fn circles(files: &[(&str, &str)]) -> Vec<String> {
    let text =
        |file: &Path| files.iter().find(|(name, _)| file == Path::new(name)).map(|(_, text)| (*text).into());
    Sources::read("main.rs", &text).circles()
}

#[test]
fn an_import_counts_in_each_of_its_forms() {
    let forms = [
        "use crate::b::Word;",
        "pub use crate::b::Word as Other;",
        "use crate::{c, b::{self, Word}};",
        "use crate::{\n    c::{Deep, deeper::{Deepest}},\n    b,\n};",
        "use super::b;",
        "fn word() -> crate::b::Word { crate::b::Word::<u8>::new() }",
        "fn word<'a>(quote: char) -> bool { quote == '\"' || super::b::is(quote) }",
        "#[cfg(test)]\nfn none() {}\nuse super::b;",
    ];
    for form in forms {
        let found = circles(&[
            ("main.rs", "mod a; mod b; mod c;"),
            ("a.rs", form),
            ("b.rs", "use crate::a::Thing;"),
            ("c.rs", ""),
        ]);
        assert_eq!(found.len(), 1, "{form}");
        assert!(
            found[0].contains("a.rs:") && found[0].contains("b.rs:1 imports `crate::a::Thing`"),
            "{found:?}"
        );
    }
}

#[test]
fn what_is_no_import_does_not_count() {
    let forms = [
        "// use crate::b;\n/* crate::b::x() /* */ super::b */",
        "const TEXT: &str = \"\\\" crate::b::Word\";",
        "const TEXT: &str = r#\"\" crate::b::Word\"#;",
        "#[cfg(test)]\nmod tests {\n    use crate::b::Word;\n}",
        "#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod tests;",
        "#[cfg(test)]\nuse crate::b::{Word, Other};",
        "pub(crate) fn own() { self::other() }",
    ];
    for form in forms {
        let found = circles(&[
            ("main.rs", "mod a; mod b; use a::Thing; use b::Word;"),
            ("a.rs", form),
            ("b.rs", "use crate::a::Thing;"),
        ]);
        assert!(found.is_empty(), "{form}: {found:?}");
    }
}

#[test]
fn a_folder_hides_no_circle() {
    let folder = |one, other| {
        circles(&[
            ("main.rs", "mod room; mod far;"),
            ("far.rs", ""),
            (
                "room/mod.rs",
                "mod one; mod other; pub use one::One; use self::other::Other; pub use crate::far::Far; struct Own;",
            ),
            ("room/one.rs", one),
            ("room/other/mod.rs", "mod deep;"),
            ("room/other/deep.rs", other),
        ])
    };
    let through_names = folder("use super::Other;", "use crate::room::One;");
    let expected = "room/one.rs:1 imports `crate::room::Other` from room/other/mod.rs\n  \
                    room/other/deep.rs:1 imports `crate::room::One` from room/one.rs";
    assert_eq!(through_names, [expected]);
    assert!(folder("use super::{Own, Far};", "use super::super::{One, Own};").is_empty());
}

#[test]
#[should_panic(expected = "one.rs:1: `crate::*` hides what is imported")]
fn an_import_of_everything_is_refused() {
    circles(&[("main.rs", "mod one;"), ("one.rs", "use super::*;")]);
}
