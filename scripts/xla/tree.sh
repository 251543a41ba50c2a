# Lays the wheels of XLA out as the `xla` crate expects it. scripts/setup sources this file and counts it among those
# that the tree is made from.

build_tree() { # the wheels, the compiler, the folder to fill
  local wheels=$1 compiler=$2 tree=$3
  say "unpacking"
  python3 "$parts/unpack.py" "$wheels" "$tree"
  if command -v strip >/dev/null; then
    strip -s "$tree"/lib/libtensorflow_*.so.2
  fi

  # libclang from a wheel does not know where its own headers are; these few are the same for every compiler.
  mkdir -p "$tree/clang/include"
  local name header
  for name in stdbool stddef stdint stdint-gcc limits float stdarg; do
    header=$($compiler -print-file-name=include/$name.h)
    [ ! -f "$header" ] || ln -s "$header" "$tree/clang/include/$name.h"
  done

  say "compiling the glue"
  local glue job objects=() jobs=()
  for glue in "$parts"/*_glue.cc; do
    objects+=("$tree/$(basename "$glue").o")
    $compiler -std=c++17 -O1 -DNDEBUG -DLLVM_DISABLE_ABI_BREAKING_CHECKS_ENFORCING=1 -fPIC -w -I "$tree/include" \
      -c -o "${objects[-1]}" "$glue" &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job"; done
  # It shows nothing but its own functions and those that take the place of XLA's.
  local names=$tree/names
  {
    printf '{ global: xla_glue_*; _ZN4pjrt*;\n'
    sed '/^#/d; s/$/;/' "$parts/replaced.txt"
    printf 'local: *; };\n'
  } >"$names"
  # The library that is linked against must be known by its versioned name alone.
  $compiler -shared -o "$tree/lib/libxla_glue.so" "${objects[@]}" -Wl,--version-script="$names" \
    -L "$tree/lib" -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 \
    -ldl -Wl,-rpath,'$ORIGIN' -Wl,-soname,libxla_glue.so
  rm "${objects[@]}" "$names"
  (cd "$tree/lib" && python3 "$parts/replaced.py" "$parts/replaced.txt" \
    libxla_glue.so libtensorflow_cc.so.2 libtensorflow_framework.so.2)
  $compiler -x c -O1 -fPIC -shared -o "$tree/lib/libquiet.so" "$parts/quiet.c" -Wl,-soname,libquiet.so

  if [ -z "${NEURAL_UNBOUND:-}" ]; then
    say "binding the libraries' names"
    (cd "$tree/lib" && python3 "$parts/bind.py" libxla_glue.so libtensorflow_cc.so.2 libtensorflow_framework.so.2)
  fi
  printf 'INPUT(libxla_glue.so libtensorflow_cc.so.2 libtensorflow_framework.so.2)\n' \
    >"$tree/lib/libxla_extension.so"
}
