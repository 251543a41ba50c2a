//! Points the linker at the XLA that `scripts/setup` laid out, or at the user's own `XLA_EXTENSION_DIR`.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=XLA_EXTENSION_DIR");
    println!("cargo::rustc-check-cfg=cfg(xla_glue)");
    // .cargo/config.toml gives this a value, so it is only unset where that file was not read.
    let dir = std::env::var("XLA_EXTENSION_DIR").unwrap_or_else(|_| ".xla".into());
    let given = Path::new(&dir).join("lib");
    let Ok(lib) = given.canonicalize() else {
        println!(
            "cargo::error=XLA is not there ({dir}/lib): run scripts/setup once, or let XLA_EXTENSION_DIR name your own xla_extension"
        );
        return;
    };
    // By the name that was given: scripts/setup may link another folder there.
    println!("cargo::rerun-if-changed={}", given.display());
    // The xla crate's own rpath does not reach the binaries that link it.
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    if lib.join("libxla_glue.so").exists() {
        println!("cargo::rustc-cfg=xla_glue");
    }
    if lib.join("libquiet.so").exists() {
        // It works only if linked last, and nothing in it is referred to.
        println!("cargo::rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo::rustc-link-arg={}/libquiet.so", lib.display());
    }
}
