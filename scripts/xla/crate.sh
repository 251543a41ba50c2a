# The settings of a crate that depends on this project.

write_for() { # the folder of a crate that depends on this project
  local crate=$1 tree=${XLA_EXTENSION_DIR:-$root/.xla}
  [ -f "$crate/Cargo.toml" ] || die "$crate holds no Cargo.toml." "Name the folder of a crate (cargo new makes one)."
  # The link and not its target, so that the crate follows when setup lays out another XLA.
  tree=$(cd "$(dirname "$tree")" && pwd)/$(basename "$tree")
  if [ -e "$crate/.cargo/config.toml" ] && ! grep -q '^# Made by scripts/setup --for' "$crate/.cargo/config.toml"; then
    die "$crate/.cargo/config.toml is there already." "Add to it:"$'\n\n'"$(crate_config "$tree" "$crate")"
  fi
  mkdir -p "$crate/.cargo"
  crate_config "$tree" "$crate" >"$crate/.cargo/config.toml"
  say "wrote $crate/.cargo/config.toml"
  if [ ! -e "$crate/build.rs" ]; then
    cp "$parts/dependent_build.rs" "$crate/build.rs"
    say "wrote $crate/build.rs"
  elif ! grep -q DEP_NEURAL_XLA_LINK_ARGS "$crate/build.rs"; then
    say "$crate/build.rs is yours: add to its main what $parts/dependent_build.rs does"
  fi
}

crate_config() { # XLA's folder, the crate's
  cat <<TOML
# Made by scripts/setup --for: where XLA lies, for the build scripts of the crates xla and neural.
[env]
XLA_EXTENSION_DIR = "$1"
# In the file that includes XLA's headers g++ spends a sixth of its time on garbage collection.
CXXFLAGS = "--param=ggc-min-expand=10000"
TOML
  [ ! -d "$1/clang" ] || cat <<TOML
LIBCLANG_PATH = "$1/clang"
CPATH = "$1/clang/include"
TOML
  cat <<TOML

# Build scripts cannot speak to the doc tests' linker.
[build]
rustdocflags = ["-Clink-arg=-Wl,-rpath,$1/lib"]

# Its one C++ file is glue that only builds and starts programs: not worth the time to optimise it.
[profile.release.package.xla]
opt-level = 0

# The loops of convolutions and products are 10 to 20 % faster where they are optimised as a whole.
[profile.release.package.neural-kernels]
codegen-units = 1
TOML
  # These lines take precedence over the crate's own profile, so they are only written where there is none.
  grep -q '^ *\[profile\.release' "$2/Cargo.toml" || cat <<TOML

# Optimising across the parts of a crate takes half of neural's build, and its hot loops do not need it.
[profile.release]
lto = "off"
TOML
}
