//! Points the linker at the XLA that `scripts/setup` laid out, or at the user's own `XLA_EXTENSION_DIR`.
//!
//! Cargo applies a package's link arguments to its own binaries alone. A crate that depends on this one finds the same
//! arguments, separated by tabs, in `DEP_NEURAL_XLA_LINK_ARGS`; `scripts/setup --for` writes the build script that
//! reads them.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=XLA_EXTENSION_DIR");
    println!("cargo::rustc-check-cfg=cfg(xla_glue)");
    // .cargo/config.toml gives this a value, so it is only unset where that file was not read.
    let dir = env::var("XLA_EXTENSION_DIR").unwrap_or_else(|_| ".xla".into());
    let given = Path::new(&dir).join("lib");
    let Ok(lib) = given.canonicalize() else {
        println!(
            "cargo::error=XLA is not there ({dir}/lib): run scripts/setup once (for a crate of your own, scripts/setup --for its folder), or let XLA_EXTENSION_DIR name your own xla_extension"
        );
        return;
    };
    // By the name that was given: scripts/setup may link another folder there.
    println!("cargo::rerun-if-changed={}", given.display());

    // Beside the binary, as scripts/bundle packs it, before where XLA was built against.
    let macos = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "macos");
    let beside = if macos { "@loader_path" } else { "$ORIGIN" };
    let mut arguments = vec![rpath(&format!("{beside}/lib")), rpath(beside)];
    arguments.push(rpath(&lib.display().to_string()));
    if lib.join("libxla_glue.dylib").exists() {
        println!("cargo::rustc-cfg=xla_glue");
    }
    if lib.join("libxla_glue.so").exists() {
        println!("cargo::rustc-cfg=xla_glue");
        match absent(&lib) {
            Ok(folder) => arguments.push(rpath(&folder.display().to_string())),
            Err(error) => {
                println!("cargo::warning=a binary whose XLA is gone will not say what to do: {error}");
            }
        }
    }
    let quiet = lib.join("libquiet.so");
    if quiet.exists() {
        // It works only if linked last, and nothing in it is referred to.
        arguments.extend(["-Wl,--no-as-needed".into(), quiet.display().to_string()]);
    }
    // The xla crate's own rpath does not reach the binaries that link it.
    arguments.iter().for_each(|argument| println!("cargo::rustc-link-arg={argument}"));
    println!("cargo::metadata=LINK_ARGS={}", arguments.join("\t"));
}

fn rpath(folder: &str) -> String {
    format!("-Wl,-rpath,{folder}")
}

/// A folder with a stand-in for each of XLA's libraries, which says what to do when the libraries are gone; see
/// scripts/xla/absent.c.
fn absent(lib: &Path) -> io::Result<PathBuf> {
    const SOURCE: &str = "scripts/xla/absent.c";
    println!("cargo::rerun-if-changed={SOURCE}");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let folder = out.join("absent");
    fs::create_dir_all(&folder)?;
    // The loader looks for the versions of symbols that the libraries have.
    let versions = out.join("versions");
    fs::write(&versions, "tensorflow { *; };\n")?;
    let tree = lib.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let stand_in = out.join("absent.so");
    let status = cc::Build::new()
        .opt_level(1)
        .get_compiler()
        .to_command()
        .args(["-shared", "-fno-plt", "-fvisibility=hidden", "-Wl,-z,now"])
        .arg(format!("-Wl,--version-script={}", versions.display()))
        .arg(format!("-DXLA_TREE=\"{tree}\""))
        .arg(format!("-DXLA_LIB=\"{}\"", lib.display()))
        .arg("-o")
        .args([&stand_in, Path::new(SOURCE)])
        .status()?;
    if !status.success() {
        return Err(io::Error::other(format!("the compiler refused {SOURCE}")));
    }
    for library in fs::read_dir(lib)? {
        let name = library?.file_name();
        if name.to_string_lossy().contains(".so") {
            fs::copy(&stand_in, folder.join(name))?;
        }
    }
    Ok(folder)
}
