//! A graph of imports, and the circle in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// Modules, or the files of a folder, with what each imports and where it does.
pub type Graph = BTreeMap<String, BTreeMap<String, Import>>;

/// An import, as messages show it.
#[derive(Clone)]
pub struct Import {
    pub from: PathBuf,
    pub line: usize,
    pub path: String,
    pub to: PathBuf,
}

impl std::fmt::Display for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, line, path, to } = self;
        write!(f, "{}:{line} imports `{path}` from {}", from.display(), to.display())
    }
}

/// The imports that close a circle, if there is one.
pub fn circle(graph: &Graph) -> Option<Vec<String>> {
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
