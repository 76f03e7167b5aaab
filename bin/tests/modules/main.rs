//! Checks the picture of the modules in `.github/CONTRIBUTING.md`, which shows the imports of each module. Neither modules nor
//! the files of one folder may import each other in a circle, and no two types of a program may share a name.

mod forms;
mod graph;
mod names;
mod sources;
mod tokens;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use self::sources::Sources;

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

#[test]
fn no_two_types_of_a_program_share_a_name() {
    // A reader of a packet's way meets the types of the first four folders, so they count as one program.
    let programs: [&[&str]; 4] = [
        &["kern/src", "abi/src", "bin/src", "bin/build"],
        &["bin/tests/modules"],
        &["bin/tests/e2e"],
        &["bin/benches"],
    ];
    for folders in programs {
        let doubles = names::doubles(&names::files(repository(), folders));
        assert!(doubles.is_empty(), "types that share a name:\n  {}\n", doubles.join("\n  "));
    }
}
