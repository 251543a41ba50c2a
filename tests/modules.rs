//! The modules that each module may use: every `crate::` path of src against a table.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each module with the modules that it may use, from the ground up. A module stands after all that it uses, so there are no
/// cycles.
const MODULES: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("kernels", &[]),
    ("library", &[]),
    ("file", &["error"]),
    ("named", &[]),
    ("setters", &[]),
    ("array", &["error"]),
    ("tensorboard", &["error"]),
    ("mlflow", &["error", "file"]),
    ("plot", &["error", "array"]),
    ("data", &["error", "array", "file", "named"]),
    ("graph", &["error", "array"]),
    ("lower", &["error", "array", "graph", "kernels", "library"]),
    ("runtime", &["error", "array", "file", "graph", "library", "lower", "setters"]),
    ("variables", &["error", "array", "graph"]),
    ("loss", &["error", "array", "graph", "named"]),
    ("metric", &["error", "named"]),
    ("nn", &["error", "array", "graph", "loss", "named", "setters", "variables"]),
    ("optim", &["error", "array", "graph", "named", "setters", "variables"]),
    ("model", &["error", "array", "data", "graph", "loss", "nn", "runtime", "variables"]),
    (
        "train",
        &[
            "error",
            "array",
            "data",
            "file",
            "graph",
            "loss",
            "lower",
            "metric",
            "model",
            "named",
            "nn",
            "optim",
            "runtime",
            "variables",
        ],
    ),
    (
        "export",
        &[
            "error", "array", "data", "file", "graph", "lower", "metric", "model", "nn", "optim", "setters",
            "train",
        ],
    ),
    ("recipe", &["error", "data", "export", "file", "loss", "metric", "named", "nn", "optim", "train"]),
    (
        "runs",
        &["error", "array", "data", "file", "metric", "model", "optim", "plot", "recipe", "runtime", "train"],
    ),
    (
        "cli",
        &[
            "error",
            "array",
            "data",
            "export",
            "file",
            "graph",
            "metric",
            "mlflow",
            "model",
            "nn",
            "plot",
            "recipe",
            "runs",
            "runtime",
            "tensorboard",
            "train",
            "variables",
        ],
    ),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The kernels, a separate crate in the folder `kernels`, can name no other module.
const KERNELS: &str = "neural_kernels";

/// The names after each `crate::`, one for each item of a list in braces. Comments do not count, nor do tests within
/// a file.
fn used(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let code: String = code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.replace(KERNELS, "crate::kernels");
    let first = |text: &str| {
        let word = text.trim_start().split(|c: char| !c.is_alphanumeric() && c != '_').next();
        word.unwrap_or_default().to_string()
    };
    let mut names = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        let Some(list) = after.strip_prefix('{') else {
            names.insert(first(after));
            continue;
        };
        let mut depth = 0;
        let mut at_start = true;
        for (i, c) in list.char_indices() {
            if at_start && depth == 0 && c.is_alphabetic() {
                names.insert(first(&list[i..]));
                at_start = false;
            }
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' => at_start = true,
                _ => {}
            }
        }
    }
    names
}

#[test]
fn modules_use_only_what_stands_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for path in sources(&root) {
        let inside = path.strip_prefix(&root).expect("inside").to_string_lossy().into_owned();
        let module = inside.split(['/', '.']).next().unwrap_or_default().to_string();
        if ["lib", "main", "kernels"].contains(&&*module) {
            continue;
        }
        for name in used(&fs::read_to_string(&path).expect("readable")) {
            let name = match &*name {
                "Array" | "DType" => "array".to_string(),
                "Error" | "Result" => "error".to_string(),
                _ => name,
            };
            if name != module {
                found.entry(module.clone()).or_default().insert(name, inside.clone());
            }
        }
    }
    let names: Vec<_> = MODULES.iter().map(|(module, _)| *module).collect();
    let present: BTreeSet<_> = fs::read_dir(&root)
        .expect("a folder")
        .map(|entry| {
            entry.expect("readable").path().file_stem().expect("a name").to_string_lossy().into_owned()
        })
        .filter(|name| !["lib", "main"].contains(&&**name))
        .collect();
    assert_eq!(present, names.iter().map(ToString::to_string).collect());
    for (i, (module, may)) in MODULES.iter().enumerate() {
        for other in *may {
            assert!(names[..i].contains(other), "{module} stands above {other} in the table");
        }
        let uses = found.remove(*module).unwrap_or_default();
        for (other, file) in &uses {
            assert!(
                may.contains(&&**other),
                "src/{file}: {module} uses {other}, which the table does not allow"
            );
        }
        for other in *may {
            assert!(
                uses.contains_key(*other),
                "{module} may use {other}, but does not: take it from the table"
            );
        }
    }
}

#[test]
fn names_after_crate_are_found() {
    let source =
        "use crate::{a, b::{c, d}, e::F};\nuse neural_kernels::G;\nlet x = crate::g::h(); // crate::no\n";
    let names: Vec<String> = used(source).into_iter().collect();
    assert_eq!(names, ["a", "b", "e", "g", "kernels"]);
}
