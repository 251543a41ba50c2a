//! Libraries bound by scripts/xla/bind.py, as the system's loader then resolves their symbols, and the symbols that
//! scripts/xla/replaced.py looks for in libraries.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The library that is searched first.
const FIRST: &str = r"int replaced() { return 2; }";

/// The library that is bound. `shared` is data of which the program has one too; `table` holds an address and an offset.
const SECOND: &str = r"
inline int shared = 0;
int numbers[] = {30, 31, 32};
int* table[] = {&numbers[1], &numbers[2]};
int own() { return 10; }
int replaced() { return 1; }
struct Base {
  virtual ~Base() {}
  virtual int number() { return own() + replaced() + *table[1]; }
};
Base* make() { return new Base; }
int* address() { return &shared; }
using Function = int (*)();
Function function() { return own; }
";

const PROGRAM: &str = r#"
#include <cstdio>
inline int shared = 0;
struct Base { virtual ~Base(); virtual int number(); };
Base* make();
int* address();
int own();
using Function = int (*)();
Function function();
int main() {
  shared = 7;
  Base* base = make();
  std::printf("%d %d %d\n", base->number(), *address(), function()());
  delete base;
}
"#;

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn compile(folder: &Path, source: &str, name: &str, arguments: &[&str]) {
    let file = folder.join(format!("{name}.cc"));
    fs::write(&file, source).expect("writable");
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "g++".into());
    run(Command::new(compiler)
        .current_dir(folder)
        .args(["-std=c++17", "-O0", "-fPIC", "-o", name])
        .arg(file)
        .args(arguments));
}

/// The program's output, and the loader's lines on the symbols that it looked up for libsecond.so.
fn start(folder: &Path) -> (String, Vec<String>) {
    let output =
        run(Command::new(folder.join("program")).env("LD_DEBUG", "bindings").env("LD_BIND_NOW", "1"));
    let said = String::from_utf8_lossy(&output.stderr);
    let of_second = said.lines().filter(|line| line.contains("libsecond.so [0] to"));
    (String::from_utf8_lossy(&output.stdout).into_owned(), of_second.map(str::to_string).collect())
}

fn script(folder: &Path, name: &str, arguments: &[&str]) -> Output {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/xla").join(name);
    Command::new("python3").arg(file).args(arguments).current_dir(folder).output().expect("python3 starts")
}

fn bind(folder: &Path, libraries: &[&str]) -> Output {
    script(folder, "bind.py", libraries)
}

#[test]
fn a_library_finds_its_own_names_without_the_loader_and_the_others_as_before() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    compile(folder, FIRST, "libfirst.so", &["-shared"]);
    compile(folder, SECOND, "libsecond.so", &["-shared"]);
    compile(
        folder,
        PROGRAM,
        "program",
        &["-Wl,--no-as-needed", "-L.", "-lfirst", "-lsecond", "-Wl,-rpath,$ORIGIN"],
    );
    let looked_up = |lines: &[String], name: &str| {
        lines.iter().filter(|line| line.contains(&format!("`{name}'"))).cloned().collect::<Vec<_>>()
    };
    let (printed, before) = start(folder);
    assert_eq!(printed, "44 7 10\n");
    let own = ["_Z3ownv", "numbers", "table", "_ZTV4Base", "_ZTI4Base", "_ZN4Base6numberEv"];
    assert!(own.iter().any(|name| !looked_up(&before, name).is_empty()), "{before:?}");

    // Once more is as good as once.
    for _ in 0..2 {
        let output = bind(folder, &["libfirst.so", "libsecond.so"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (printed, after) = start(folder);
        assert_eq!(printed, "44 7 10\n");
        for name in own {
            assert_eq!(looked_up(&after, name), [""; 0]);
        }
        for (name, place) in [("_Z8replacedv", "libfirst.so"), ("shared", "program"), ("_Znwm", "libstdc++")]
        {
            let lines = looked_up(&after, name);
            assert!(!lines.is_empty() && lines.iter().all(|line| line.contains(place)), "{name}: {lines:?}");
        }
    }
}

#[test]
fn what_is_no_library_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("text.so"), "text".repeat(40)).expect("writable");
    let output = bind(folder.path(), &["text.so"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "text.so is not a library for a machine of 64 bits\n"
    );
}

#[test]
fn a_function_whose_place_is_taken_must_be_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    compile(folder, FIRST, "libglue.so", &["-shared"]);
    compile(folder, SECOND, "libxla.so", &["-shared"]);
    for (names, missing) in [
        ("# int replaced()\n_Z8replaced\n", None),
        ("_Z8replacedv\n_Z7renamedv\n", Some("libglue.so has no _Z7renamedv")),
        ("_Z3ownv\n", Some("libglue.so has no _Z3ownv")),
    ] {
        fs::write(folder.join("names"), names).expect("writable");
        let output = script(folder, "replaced.py", &["names", "libglue.so", "libxla.so"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), missing.is_none(), "{said}");
        assert!(said.contains(missing.unwrap_or_default()), "{said}");
    }
    // A symbol that the glue has and XLA no longer.
    fs::write(folder.join("names"), "_Z8replacedv\n").expect("writable");
    compile(folder, "int other() { return 1; }", "libnewer.so", &["-shared"]);
    let output = script(folder, "replaced.py", &["names", "libglue.so", "libnewer.so"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("libnewer.so has no _Z8replacedv"), "{said}");
}

#[cfg(xla_glue)]
#[test]
fn the_program_calls_the_function_that_takes_the_place() {
    let names = include_str!("../scripts/xla/replaced.txt").lines().filter(|line| !line.starts_with('#'));
    let names: Vec<String> = names.map(|name| format!("`{name}")).collect();
    assert!(!names.is_empty());
    let output = run(Command::new(env!("CARGO_BIN_EXE_neural"))
        .arg("--version")
        .env("LD_DEBUG", "bindings")
        .env("LD_BIND_NOW", "1"));
    let said = String::from_utf8_lossy(&output.stderr);
    for name in &names {
        let bound: Vec<_> = said.lines().filter(|line| line.contains(name)).collect();
        let to_glue = |line: &&str| line.split(" to ").nth(1).is_some_and(|to| to.contains("libxla_glue.so"));
        assert!(!bound.is_empty() && bound.iter().all(to_glue), "{name}: {bound:?}");
    }
}
