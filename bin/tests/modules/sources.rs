//! Reads the modules of a crate, and what each of them imports.
//!
//! It starts at `main.rs` as the compiler does, follows the `mod` declarations, and skips what `#[cfg(test)]` marks. A name that
//! a `mod.rs` takes from one of its children counts as an import of that child, so a re-export hides nothing. A re-export of
//! another module's name counts once, as an import by the `mod.rs` that re-exports it. A `mod.rs` may use its children, and they
//! may use what it defines; `main.rs` may use everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::{
    graph::{Graph, Import, circle},
    tokens::{tokens, without_tests},
};

/// A module's place below the root: `["conn", "table"]`. An imported path has the same form.
pub type Place = Vec<String>;

/// Gives the source of a file, if the file exists.
pub type Read<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// The sources of one crate.
pub struct Sources {
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

impl Sources {
    /// Reads the crate whose root is the file `main`.
    pub fn read(main: &str, read: Read<'_>) -> Self {
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
    pub fn graphs(&self) -> BTreeMap<Place, Graph> {
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
    pub fn circles(&self) -> Vec<String> {
        let graphs = self.graphs();
        graphs.values().filter_map(circle).map(|imports| imports.join("\n  ")).collect()
    }
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
