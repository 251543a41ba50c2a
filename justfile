# The commands of everyday work: https://just.systems. `just` lists them.

_list:
    @just --list

# Lay XLA out
setup *options:
    scripts/setup {{ options }}

# Check that everything compiles
check:
    cargo check --release --all-targets

# Run the unit tests, or the test files that are named: just test data tables
test *files:
    cargo test --release {{ if files == "" { "--lib" } else { "--test " + replace(files, " ", " --test ") } }}

# Run the doc tests, of the paths that contain a word: just doc metric
doc filter="":
    cargo test --release --doc {{ filter }}

# Format, then lint as CI does
lint:
    cargo fmt --all
    cargo clippy --release --all-targets -- --deny warnings

# All that CI runs
ci:
    .ci/run

# Make the golden values again, with PyTorch, JAX and optax
golden:
    python3 -m venv target/golden
    target/golden/bin/pip install -q -r tests/golden/requirements.txt
    target/golden/bin/python tests/golden/make.py

# Check licences and sources of all dependencies, with cargo-deny
deny:
    cargo deny --offline --all-features check licenses bans sources

# Change single operators of a file and list the changes that no unit test notices, with cargo-mutants: just mutants src/metric/ranking.rs
mutants file:
    cargo mutants --file {{ file }} --profile release -- --lib
