//! Finds types that share a name.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::tokens::tokens;

/// The Rust sources in folders of the repository, with their texts.
pub fn files(repository: &Path, folders: &[&str]) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut rest: Vec<PathBuf> = folders.iter().map(|folder| repository.join(folder)).collect();
    while let Some(folder) = rest.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                rest.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a text");
                files.push((path.strip_prefix(repository).expect("it is inside").to_owned(), text));
            }
        }
    }
    files.sort();
    files
}

/// Each name that types in more than one file have, with these files. One file may define a type for each of several targets.
pub fn doubles(files: &[(PathBuf, String)]) -> Vec<String> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in files {
        let file = file.display().to_string();
        for name in types(text) {
            let places = places.entry(name).or_default();
            if places.last() != Some(&file) {
                places.push(file.clone());
            }
        }
    }
    let doubles = places.into_iter().filter(|(_, files)| files.len() > 1);
    doubles.map(|(name, files)| format!("`{name}`: {}", files.join(", "))).collect()
}

/// The names that a source gives to types. Associated types are not among them: a trait chooses their names.
fn types(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let word = |at: usize| tokens.get(at).map_or("", |(_, word)| word.as_str());
    let mut names = Vec::new();
    // For each open brace, whether it begins the body of an `impl` or a trait.
    let mut bodies: Vec<bool> = Vec::new();
    let mut has_associated = false;
    for at in 0..tokens.len() {
        match word(at) {
            "{" => bodies.push(std::mem::take(&mut has_associated)),
            "}" => {
                bodies.pop();
            }
            // After other words it is `impl Trait` in a signature, which has no body.
            "impl" => {
                let before = word(at.wrapping_sub(1));
                has_associated |= matches!(before, "" | "}" | ";" | "]" | "unsafe" | "{");
            }
            "trait" | "struct" | "enum" | "union" | "type" => {
                let is_associated = word(at) == "type" && bodies.last() == Some(&true);
                has_associated |= word(at) == "trait";
                if word(at + 1).starts_with(char::is_uppercase) && !is_associated {
                    names.push(word(at + 1).to_owned());
                }
            }
            _ => {}
        }
    }
    names
}

/// The doubles of sources that are made up.
fn doubles_of(texts: [&str; 2]) -> Vec<String> {
    let files: Vec<_> = ["a.rs", "b.rs"].into_iter().zip(texts).collect();
    doubles(&files.into_iter().map(|(file, text)| (file.into(), text.to_owned())).collect::<Vec<_>>())
}

#[test]
fn every_kind_of_type_counts() {
    let kinds = [
        "struct Word(u8);",
        "pub(crate) enum Word { One }",
        "unsafe trait Word {}",
        "type Word<'a> = &'a u8;",
        "union Word { a: u8 }",
        "fn f() { struct Word; }",
        "fn f(x: impl Iterator) { type Word = u8; }",
        "mod tests { type Word = u8; }",
        "#[cfg(test)]\nmod tests { struct Word; }",
    ];
    for kind in kinds {
        assert_eq!(doubles_of([kind, "pub struct Word;"]), ["`Word`: a.rs, b.rs"], "{kind}");
    }
}

#[test]
fn what_is_no_double_does_not_count() {
    let texts = [
        "impl Iterator for A { type Word = u8; }",
        "impl<T> Iterator for A<T> where T: Copy { fn f() {} type Word = u8; }",
        "trait A { type Word; }",
        "#[cfg(a)]\nunsafe impl A for B { type Word = u8; }",
        "// struct Word;\nconst TEXT: &str = \"struct Word;\";",
        "struct Words; fn word(_: Word) {}",
    ];
    for text in texts {
        assert!(doubles_of([text, "struct Word;"]).is_empty(), "{text}");
    }
    assert!(doubles_of(["#[cfg(a)] type Word = u8; #[cfg(b)] type Word = i8;", ""]).is_empty());
}
