//! Checks the picture of the modules in `.github/CONTRIBUTING.md`, which shows the imports of each module. Neither modules nor
//! the files of one folder may import each other in a circle.
//!
//! The test reads the sources as the compiler does: it starts at `main.rs`, follows the `mod` declarations, and skips what
//! `#[cfg(test)]` marks. A name that a `mod.rs` takes from one of its children counts as an import of that child, so a
//! re-export hides nothing. A re-export of another module's name counts once, as an import by the `mod.rs` that re-exports
//! it. A `mod.rs` may use its children, and they may use what it defines; `main.rs` may use everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A module's place below the root: `["conn", "table"]`. An imported path has the same form.
type Place = Vec<String>;

/// Modules, or the files of a folder, with what each imports and where it does.
type Graph = BTreeMap<String, BTreeMap<String, Import>>;

/// Gives the source of a file, if the file exists.
type Read<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// The sources of one crate.
struct Sources {
    modules: BTreeMap<Place, Module>,
}

#[derive(Default)]
struct Module {
    file: PathBuf,
    /// Every path in the file that begins within the crate, with its line.
    paths: Vec<(usize, Place)>,
    /// What the names that its `use` declarations bring into scope stand for.
    names: BTreeMap<String, Place>,
}

/// An import, as messages show it.
#[derive(Clone)]
struct Import {
    from: PathBuf,
    line: usize,
    path: String,
    to: PathBuf,
}

impl std::fmt::Display for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, line, path, to } = self;
        write!(f, "{}:{line} imports `{path}` from {}", from.display(), to.display())
    }
}

impl Sources {
    /// Reads the crate whose root is the file `main`.
    fn read(main: &str, read: Read<'_>) -> Self {
        let mut sources = Self { modules: BTreeMap::new() };
        sources.add(Vec::new(), main.into(), read);
        sources
    }

    fn add(&mut self, place: Place, file: PathBuf, read: Read<'_>) {
        let text = read(&file).unwrap_or_else(|| panic!("{}: cannot be read", file.display()));
        let tokens = without_tests(tokens(&text));
        let word = |at: usize| tokens.get(at).map_or("", |(_, word)| word);
        let mut children = BTreeSet::new();
        for at in (0..tokens.len()).filter(|at| word(*at) == "mod") {
            let name = word(at + 1).to_owned();
            assert_eq!(word(at + 2), ";", "{}: module `{name}` needs a file of its own", file.display());
            children.insert(name);
        }
        let mut module = Module { file: file.clone(), ..Module::default() };
        let mut at = 0;
        while at < tokens.len() {
            let is_use = word(at) == "use";
            let is_path = matches!(word(at), "crate" | "self" | "super")
                && word(at + 1) == "::"
                && (at == 0 || word(at - 1) != "::");
            if !is_use && !is_path {
                at += 1;
                continue;
            }
            let line = tokens[at].0;
            at += usize::from(is_use);
            let mut leaves = Vec::new();
            tree(&tokens, &mut at, &[], &mut leaves);
            for (path, name) in leaves {
                let Some(path) = absolute(&path, &place, &children) else { continue };
                if is_use {
                    module.names.insert(name, path.clone());
                }
                module.paths.push((line, path));
            }
        }
        self.modules.insert(place.clone(), module);
        let folder = file.parent().unwrap_or(Path::new(""));
        for child in children {
            let files = [folder.join(format!("{child}.rs")), folder.join(&child).join("mod.rs")];
            let found = files.into_iter().find(|file| read(file).is_some());
            let found = found.unwrap_or_else(|| panic!("{}: `mod {child}` has no file", file.display()));
            let place = [&place[..], &[child]].concat();
            self.add(place, found, read);
        }
    }

    /// The module that defines what `path` names, and whether `path` is this module itself.
    fn resolve(&self, path: &[String]) -> (Place, bool) {
        let mut module = Vec::new();
        for (at, name) in path.iter().enumerate() {
            let child = [&module[..], std::slice::from_ref(name)].concat();
            if self.modules.contains_key(&child) {
                module = child;
                continue;
            }
            let meant = self.modules[&module].names.get(name).filter(|meant| {
                meant.len() > module.len() && self.modules.contains_key(&meant[..=module.len()])
            });
            return match meant {
                Some(meant) if meant.starts_with(&module) => {
                    self.resolve(&[&meant[..], &path[at + 1..]].concat())
                }
                _ => (module, false),
            };
        }
        (module, true)
    }

    /// For each folder, how its modules import each other. The folder of the root has no name.
    fn graphs(&self) -> BTreeMap<Place, Graph> {
        let mut graphs: BTreeMap<Place, Graph> = BTreeMap::new();
        for place in self.modules.keys() {
            if let Some((name, folder)) = place.split_last() {
                graphs.entry(folder.to_vec()).or_default().entry(name.clone()).or_default();
            }
        }
        for (place, module) in &self.modules {
            for (line, path) in &module.paths {
                let path_text = [&["crate".to_owned()], &path[..]].concat().join("::");
                let everything = path.last().is_some_and(|name| name == "*");
                let (target, is_module) = self.resolve(&path[..path.len() - usize::from(everything)]);
                assert!(
                    !(everything && is_module),
                    "{}:{line}: `{path_text}` hides what is imported; name it",
                    module.file.display()
                );
                let common = place.iter().zip(&target).take_while(|(one, other)| one == other).count();
                let (Some(from), Some(to)) = (place.get(common), target.get(common)) else { continue };
                let import = Import {
                    from: module.file.clone(),
                    line: *line,
                    path: path_text,
                    to: self.modules[&target].file.clone(),
                };
                let graph = graphs.get_mut(&place[..common]).expect("every folder is there");
                let imports = graph.get_mut(from).expect("every module is there");
                imports.entry(to.clone()).or_insert(import);
            }
        }
        graphs
    }

    /// Every circle, folder by folder, as the imports that close it.
    fn circles(&self) -> Vec<String> {
        let graphs = self.graphs();
        graphs.values().filter_map(circle).map(|imports| imports.join("\n  ")).collect()
    }
}

/// The words and signs of a source, each with its line. Comments are left out, and of a literal its text.
fn tokens(text: &str) -> Vec<(usize, String)> {
    let text: Vec<char> = text.chars().collect();
    let is_word = |at: usize| text.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_');
    let starts = |at: usize, with: &str| with.chars().enumerate().all(|(n, c)| text.get(at + n) == Some(&c));
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < text.len() {
        let begin = at;
        let mut token = String::new();
        if starts(at, "//") {
            while at < text.len() && text[at] != '\n' {
                at += 1;
            }
        } else if starts(at, "/*") {
            let mut depth = 0;
            while at < text.len() {
                let step = if starts(at, "/*") { 1 } else { -i32::from(starts(at, "*/")) };
                depth += step;
                at += if step == 0 { 1 } else { 2 };
                if depth == 0 {
                    break;
                }
            }
        } else if text[at] == '"' {
            at = end_of_quote(&text, at);
        } else if text[at] == '\'' {
            // Otherwise it is a lifetime, whose name follows as a word.
            let is_char = starts(at + 1, "\\") || starts(at + 2, "'");
            at = if is_char { end_of_quote(&text, at) } else { at + 1 };
        } else if is_word(at) {
            while is_word(at) {
                at += 1;
            }
            token = text[begin..at].iter().collect();
            let hashes = text[at..].iter().take_while(|c| **c == '#').count();
            if matches!(&*token, "r" | "br" | "cr") && text.get(at + hashes) == Some(&'"') {
                let end = ["\"", &"#".repeat(hashes)].concat();
                at += hashes + 1;
                while at < text.len() && !starts(at, &end) {
                    at += 1;
                }
                at += end.len();
                token.clear();
            }
        } else if starts(at, "::") {
            at += 2;
            token.push_str("::");
        } else {
            at += 1;
            if !text[begin].is_whitespace() {
                token.push(text[begin]);
            }
        }
        if !token.is_empty() {
            tokens.push((line, token));
        }
        line += text[begin..at.min(text.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

/// Where the literal ends whose opening quote is at `at`.
fn end_of_quote(text: &[char], at: usize) -> usize {
    let mut end = at + 1;
    while text.get(end).is_some_and(|c| *c != text[at]) {
        end += if text[end] == '\\' { 2 } else { 1 };
    }
    end + 1
}

/// Drops each item that `#[cfg(test)]` stands before, with its other attributes.
fn without_tests(tokens: Vec<(usize, String)>) -> Vec<(usize, String)> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let marked = |at: usize| {
        let here = tokens.iter().skip(at).map(|(_, word)| word.as_str());
        here.take(MARK.len()).eq(MARK)
    };
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if !marked(at) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        // The item ends at a semicolon, or with the braces of its body.
        let mut depth = 0;
        for (_, word) in &tokens[at..] {
            at += 1;
            match word.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(word.as_str(), ";" | "}") {
                break;
            }
        }
    }
    kept
}

/// Reads a path, or the tree of a `use` declaration, from `at` on. Adds each path with the name that it gets in scope.
fn tree(tokens: &[(usize, String)], at: &mut usize, before: &[String], leaves: &mut Vec<(Place, String)>) {
    let word = |at: usize| tokens.get(at).map_or("", |(_, word)| word);
    let mut path = before.to_vec();
    loop {
        match word(*at) {
            "{" => {
                *at += 1;
                while !matches!(word(*at), "}" | "") {
                    tree(tokens, at, &path, leaves);
                    *at += usize::from(word(*at) == ",");
                }
                *at += 1;
                return;
            }
            // Within braces, `self` is the module before them.
            "self" if !path.is_empty() => {}
            name => path.push(name.to_owned()),
        }
        *at += 1;
        let goes_on = word(*at) == "::" && word(*at + 1) != "<";
        if !goes_on {
            break;
        }
        *at += 1;
    }
    let mut name = path.last().cloned().unwrap_or_default();
    if word(*at) == "as" {
        word(*at + 1).clone_into(&mut name);
        *at += 2;
    }
    leaves.push((path, name));
}

/// A path as seen from the root; `None` when it does not lead into this crate.
fn absolute(path: &[String], place: &[String], children: &BTreeSet<String>) -> Option<Place> {
    let (first, rest) = path.split_first()?;
    let mut begin = match first.as_str() {
        "crate" => Vec::new(),
        "self" => place.to_vec(),
        "super" => place.split_last()?.1.to_vec(),
        name if children.contains(name) => return Some([place, path].concat()),
        _ => return None,
    };
    let ups = rest.iter().take_while(|name| *name == "super").count();
    begin.truncate(begin.len().checked_sub(ups)?);
    Some([&begin, &rest[ups..]].concat())
}

/// The imports that close a circle, if there is one.
fn circle(graph: &Graph) -> Option<Vec<String>> {
    let mut rest: BTreeSet<&String> = graph.keys().collect();
    // What imports none of the rest is in no circle.
    loop {
        let before = rest.len();
        let bound: BTreeSet<&String> = rest.clone();
        rest.retain(|name| graph[*name].keys().any(|to| bound.contains(to)));
        if rest.len() == before {
            break;
        }
    }
    let next = |name: &String| graph[name].iter().find(|(to, _)| rest.contains(to));
    let mut way: Vec<&String> = vec![rest.first()?];
    loop {
        let (to, _) = next(way.last()?)?;
        if let Some(begin) = way.iter().position(|name| *name == to) {
            return Some(way[begin..].iter().filter_map(|name| Some(next(name)?.1.to_string())).collect());
        }
        way.push(to);
    }
}

/// The repository.
fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is a folder of the repository")
}

/// The sources of a crate of the repository.
fn sources(main: &str) -> Sources {
    Sources::read(main, &|file| fs::read_to_string(repository().join(file)).ok())
}

const CONTRIBUTING: &str = ".github/CONTRIBUTING.md";

/// The modules with what each may import, in the order in which the document lists them.
fn declared() -> Vec<(String, BTreeSet<String>)> {
    let text = fs::read_to_string(repository().join(CONTRIBUTING)).expect("the document is there");
    let (_, block) = text.split_once("\n```text modules\n").expect("the document has the block");
    let (block, _) = block.split_once("\n```").expect("the block ends");
    let mut declared = Vec::new();
    for line in block.lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        declared.push((words.next().expect("a line names a module"), words.collect()));
    }
    declared
}

#[test]
fn modules_import_what_the_document_declares() {
    let mut differences = Vec::new();
    let declared: BTreeMap<String, BTreeSet<String>> = declared().into_iter().collect();
    let graph = sources("bin/src/main.rs").graphs().remove(&Vec::new()).expect("the root has modules");
    for (module, imports) in &graph {
        let Some(allowed) = declared.get(module) else {
            differences.push(format!("{CONTRIBUTING} does not list `{module}`"));
            continue;
        };
        for (to, import) in imports.iter().filter(|(to, _)| !allowed.contains(*to)) {
            differences.push(format!("{import}; {CONTRIBUTING} does not let `{module}` import `{to}`"));
        }
        for to in allowed.iter().filter(|to| !imports.contains_key(*to)) {
            differences.push(format!("{CONTRIBUTING} lets `{module}` import `{to}`, but it does not"));
        }
    }
    for module in declared.keys().filter(|module| !graph.contains_key(*module)) {
        differences.push(format!("{CONTRIBUTING} lists `{module}`, which bin/src/main.rs does not have"));
    }
    assert!(differences.is_empty(), "\n{}\n", differences.join("\n"));
}

#[test]
fn the_document_lists_a_module_below_those_that_it_imports() {
    let mut above = BTreeSet::new();
    for (module, imports) in declared() {
        let below: Vec<&String> = imports.difference(&above).collect();
        assert!(below.is_empty(), "{CONTRIBUTING} lists `{module}` above {below:?}, which it imports");
        assert!(above.insert(module.clone()), "{CONTRIBUTING} lists `{module}` twice");
    }
}

#[test]
fn files_of_a_folder_import_each_other_without_a_circle() {
    let circles = sources("bin/src/main.rs").circles();
    assert!(circles.is_empty(), "circles:\n  {}\n", circles.join("\n\n  "));
}

#[test]
fn files_of_the_kernel_programs_import_each_other_without_a_circle() {
    let circles = sources("kern/src/main.rs").circles();
    assert!(circles.is_empty(), "circles:\n  {}\n", circles.join("\n\n  "));
}

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
