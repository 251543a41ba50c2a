//! scripts/setup with CUDA, and a stand-in for pip that makes wheels of a few bytes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A `python3` that answers for pip: a wheel with the plugin, or with one library. It fails for the package that the
/// file `broken` names, and, as pip does for a wrong hash, for the one that `changed` names. Everything else goes to
/// the real one.
const PYTHON: &str = r#"#!/usr/bin/env bash
here=$(cd "$(dirname "$0")" && pwd)
real() { PATH=${PATH#"$here:"} exec python3 "$@"; }
[ "$1 $2" = "-m pip" ] || real "$@"
[ "$3" = download ] || exit 0
while [ $# -gt 0 ]; do
  case $1 in --dest) dest=$2 ;; --requirement) requirement=$(cat "$2") ;; esac
  shift
done
name=${requirement%%==*}
echo "$name" >>"$here/fetched"
[ "$name" != "$(cat "$here/broken" 2>/dev/null)" ] || exit 1
if [ "$name" = "$(cat "$here/changed" 2>/dev/null)" ]; then
  echo "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE." >&2
  echo "Expected sha256 1234, Got 5678" >&2
  exit 1
fi
real - "$dest" "$name" <<'END'
import sys, zipfile
dest, name = sys.argv[1:]
with zipfile.ZipFile(f"{dest}/{name.replace('-', '_')}-1-py3-none-any.whl", "w") as wheel:
    if name == "mpich":
        for path in ("bin/mpiexec", "include/mpi.h", "lib/libmpi.so"):
            wheel.writestr(f"mpich-1.data/data/{path}", "MPI")
    elif name.startswith("jax"):
        wheel.writestr("jax_plugins/xla_cuda13/xla_cuda_plugin.so", "plugin")
    else:
        wheel.writestr(f"nvidia/cu13/lib/{name}.so.13", "library")
        wheel.writestr(f"nvidia/cu13/include/{name}.h", "header")
        wheel.writestr(f"nvidia/cu13/lib/{name}.a", "archive")
END
"#;

/// A compiler that makes the file that it is told to make, with its arguments in it.
const COMPILER: &str = r#"#!/usr/bin/env bash
all=$*
while [ $# -gt 0 ]; do
  case $1 in -o) echo "$all" >"$2" ;; esac
  shift
done
"#;

struct Setup {
    folder: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        let setup = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        for (name, script) in [("bin/python3", PYTHON), ("bin/compiler", COMPILER)] {
            setup.write(name, script);
            fs::set_permissions(setup.path(name), fs::Permissions::from_mode(0o755)).expect("our own file");
        }
        // The parts of an xla_extension that the script checks.
        setup.write("xla/include/xla/hlo/builder/xla_builder.h", "");
        setup.write("xla/lib/libxla_extension.so", "");
        setup
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it has a folder")).expect("writable");
        fs::write(path, text).expect("writable");
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let path =
            format!("{}:{}", self.path("bin").display(), std::env::var("PATH").expect("there is a path"));
        Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/setup"))
            .args(arguments)
            .env("PATH", path)
            .env("NEURAL_CACHE", self.path("cache"))
            .env("CXX", self.path("bin/compiler"))
            .env("XLA_EXTENSION_DIR", self.path("xla"))
            .env("LIBCLANG_PATH", self.path("xla"))
            .output()
            .expect("the script starts")
    }

    fn succeeds(&self, arguments: &[&str]) {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn refuses(&self, arguments: &[&str], code: i32, words: &[&str]) {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
    }

    /// The folder that a program finds CUDA in.
    fn cuda(&self) -> Option<PathBuf> {
        fs::read_link(self.path("cache/cuda")).ok()
    }

    /// The packages that were asked of pip since the last call.
    fn fetched(&self) -> Vec<String> {
        let log = self.path("bin/fetched");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(log);
        text.lines().map(str::to_string).collect()
    }
}

fn requirements() -> Vec<String> {
    let path = match cfg!(target_arch = "aarch64") {
        true => concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/xla/requirements-cuda-aarch64.txt"),
        false => concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/xla/requirements-cuda.txt"),
    };
    let text = fs::read_to_string(path).expect("it is there");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once("==").expect("pinned").0.to_string()).collect()
}

#[test]
fn every_wheel_is_pinned_by_its_hash() {
    let names = |file: &str| -> Vec<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/xla").join(file);
        let text = fs::read_to_string(path).expect("it is there");
        let lines = text.lines().filter_map(|line| line.split_once(" --hash="));
        lines.map(|(package, _)| package.to_string()).collect()
    };
    // The same versions on every machine.
    assert_eq!(names("requirements-cuda.txt"), names("requirements-cuda-aarch64.txt"));
    let without_cpu = |names: Vec<String>| names.join("\n").replace("tensorflow-cpu", "tensorflow");
    for other in ["requirements-aarch64.txt", "requirements-arm64.txt"] {
        assert_eq!(without_cpu(names("requirements.txt")), without_cpu(names(other)));
    }
    for file in [
        "requirements.txt",
        "requirements-aarch64.txt",
        "requirements-arm64.txt",
        "requirements-cuda.txt",
        "requirements-cuda-aarch64.txt",
        "requirements-mpi.txt",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/xla").join(file);
        for line in
            fs::read_to_string(path).expect("it is there").lines().filter(|line| !line.starts_with('#'))
        {
            let mut parts = line.split(" --hash=sha256:");
            assert!(parts.next().is_some_and(|package| package.contains("==")), "{line}");
            let hashes: Vec<&str> = parts.collect();
            let is_hash = |hash: &&str| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(!hashes.is_empty() && hashes.iter().all(is_hash), "{line}");
        }
    }
}

#[test]
fn a_run_that_failed_leaves_nothing_that_looks_whole_and_is_taken_up() {
    let setup = Setup::new();
    let packages = requirements();
    setup.write("bin/broken", &packages[2]);
    setup.refuses(&["--cuda"], 1, &[&packages[2], "again"]);
    assert_eq!(setup.fetched(), packages[..3]);
    assert_eq!(setup.cuda(), None);
    let trees = || {
        let entries = fs::read_dir(setup.path("cache")).expect("it is there").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.starts_with("wheels-")).collect::<Vec<_>>()
    };
    assert_eq!(trees(), [""; 0]);

    fs::remove_file(setup.path("bin/broken")).expect("it is there");
    setup.succeeds(&["--cuda"]);
    assert_eq!(setup.fetched(), packages);
    let cuda = setup.cuda().expect("the link is there");
    assert!(cuda.join("jax_plugins/xla_cuda13/xla_cuda_plugin.so").is_file());
    assert!(cuda.join("nvidia/cu13/lib/nvidia-cublas.so.13").is_file());
    assert!(!cuda.join("nvidia/cu13/include").exists(), "headers are left out");
    assert!(!cuda.join("nvidia/cu13/lib/nvidia-cublas.a").exists(), "static libraries are left out");
    // The tree and the link to it; the wheels are gone.
    assert_eq!(fs::read_dir(setup.path("cache")).expect("it is there").count(), 2);

    setup.succeeds(&["--cuda"]);
    assert_eq!(setup.fetched(), [""; 0], "nothing is fetched twice");
}

#[test]
fn a_file_of_another_hash_is_named_as_such() {
    let setup = Setup::new();
    let package = &requirements()[1];
    setup.write("bin/changed", package);
    setup.refuses(&["--cuda"], 1, &[package, "not the one that is pinned", "Got 5678"]);
    let output = setup.run(&["--cuda"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("Check the network"));
    assert_eq!(setup.cuda(), None);
}

#[test]
fn the_packages_of_a_python_environment_are_used_in_place() {
    let setup = Setup::new();
    setup.write("site/jax_plugins/xla_cuda13/xla_cuda_plugin.so", "");
    let site = setup.path("site");
    setup.succeeds(&["--cuda-from", site.to_str().expect("unicode")]);
    assert_eq!(setup.cuda(), Some(site.canonicalize().expect("it is there")));
    assert_eq!(setup.fetched(), [""; 0]);
}

#[test]
fn a_toolkit_gets_the_plugin_beside_it() {
    let setup = Setup::new();
    for file in
        ["lib64/libcudart.so.13", "lib64/libcudnn.so.9", "bin/ptxas", "nvvm/libdevice/libdevice.10.bc"]
    {
        setup.write(&format!("toolkit/{file}"), "");
    }
    let toolkit = setup.path("toolkit");
    setup.succeeds(&["--cuda-from", toolkit.to_str().expect("unicode")]);
    assert_eq!(setup.fetched(), ["jax-cuda13-pjrt"]);
    let cuda = setup.cuda().expect("the link is there");
    // The paths that the plugin searches, relative to itself: its RPATH, and XLA's search for ptxas and libdevice.
    let plugin = cuda.join("jax_plugins/xla_cuda13");
    for file in [
        "cu13/lib/libcudart.so.13",
        "cu13/bin/ptxas",
        "cu13/nvvm/libdevice/libdevice.10.bc",
        "cudnn/lib/libcudnn.so.9",
    ] {
        assert!(plugin.join("../../nvidia").join(file).is_file(), "{file}");
    }

    setup.write("old/lib64/libcudart.so.12", "");
    setup.refuses(
        &["--cuda-from", setup.path("old").to_str().expect("unicode")],
        1,
        &["libcudart.so.13", "CUDA 13"],
    );
}

#[test]
fn what_is_no_cuda_is_refused() {
    let setup = Setup::new();
    setup.refuses(&["--cuda-from", "/none"], 1, &["no folder /none"]);
    let empty = setup.path("xla");
    setup.refuses(&["--cuda-from", empty.to_str().expect("unicode")], 1, &["jax_plugins", "toolkit"]);
    setup.refuses(&["--cuda-from"], 2, &["--cuda-from needs a folder"]);
    setup.refuses(&["--gpu"], 2, &["unknown argument --gpu"]);
    assert_eq!(setup.cuda(), None);
}

#[test]
fn mpi_is_fetched_or_taken_from_where_it_is() {
    let setup = Setup::new();
    setup.refuses(&["--mpi"], 1, &["several processes need the XLA of scripts/setup"]);
    setup.write("xla/lib/libtensorflow_cc.so.2", "");
    setup.succeeds(&["--mpi"]);
    assert_eq!(setup.fetched(), ["mpich"]);
    let folder = setup.path("cache/mpi");
    let mode = fs::metadata(folder.join("bin/mpiexec")).expect("the launcher").permissions().mode();
    assert_eq!(mode & 0o111, 0o111);
    assert!(folder.join("lib/libneural_mpi.so").is_file());
    setup.succeeds(&["--mpi"]);
    assert!(setup.fetched().is_empty());

    let cluster = setup.path("cluster");
    let from = ["--mpi-from", &*cluster.to_string_lossy()];
    setup.refuses(&from, 1, &["there is no folder"]);
    setup.write("cluster/bin/mpiexec", "a launcher");
    setup.refuses(&from, 1, &["include/mpi.h or lib/libmpi.so is missing"]);
    setup.write("cluster/include/mpi.h", "");
    setup.write("cluster/lib64/libmpi.so", "");
    setup.succeeds(&from);
    assert!(setup.fetched().is_empty());
    assert_eq!(fs::read_to_string(folder.join("bin/mpiexec")).expect("the launcher"), "a launcher");
    let compiled = fs::read_to_string(folder.join("lib/libneural_mpi.so")).expect("the glue");
    assert!(compiled.contains(&format!("-L {}/lib64 -lmpi", cluster.display())), "{compiled}");
    setup.refuses(&["--mpi-from"], 2, &["--mpi-from needs a folder"]);
}
