# Lays the wheels of XLA out as the `xla` crate expects it. scripts/setup sources this file and counts it among those
# that the tree is made from.

# How C++ that includes XLA's headers is compiled. Collecting garbage, as g++ does by default, takes a sixth of the time.
of_xla=(-std=c++17 -DNDEBUG -DLLVM_DISABLE_ABI_BREAKING_CHECKS_ENFORCING=1 -fPIC -w --param=ggc-min-expand=10000)

build_tree() { # the wheels, the compiler, the folder to fill
  local wheels=$1 compiler=$2 tree=$3
  say "unpacking"
  python3 "$parts/unpack.py" "$wheels" "$tree"

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
    $compiler "${of_xla[@]}" -O1 -I "$tree/include" -c -o "$tree/$(basename "$glue").o" "$glue" &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job"; done
  "link_on_$system" "$compiler" "$tree/lib" "${objects[@]}"
  rm "${objects[@]}"
}

# The names that the glue exports: its own functions, and those that replace XLA's. $1 is the system's prefix of symbols.
shown() {
  printf "$1%s\n" 'xla_glue_*' '_ZN4pjrt*'
  sed "/^#/d; s/.*/$1&*/" "$parts/replaced.txt"
}

link_on_Linux() { # the compiler, the folder of XLA's libraries, the glue's objects
  local compiler=$1 lib=$2 names=$2/names
  shift 2
  if command -v strip >/dev/null; then
    strip -s "$lib"/libtensorflow_*.so.2
  fi
  { echo '{ global:'; shown '' | sed 's/$/;/'; echo 'local: *; };'; } >"$names"
  # The library that is linked against must be known by its versioned name alone.
  $compiler -shared -o "$lib/libxla_glue.so" "$@" -Wl,--version-script="$names" \
    -L "$lib" -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 \
    -ldl -Wl,-rpath,'$ORIGIN' -Wl,-soname,libxla_glue.so
  rm "$names"
  (cd "$lib" && python3 "$parts/replaced.py" "$parts/replaced.txt" \
    libxla_glue.so libtensorflow_cc.so.2 libtensorflow_framework.so.2)
  $compiler -x c -O1 -fPIC -shared -o "$lib/libquiet.so" "$parts/quiet.c" -Wl,-soname,libquiet.so
  if [ -z "${NEURAL_UNBOUND:-}" ]; then
    say "binding the libraries' names"
    (cd "$lib" && python3 "$parts/bind.py" libxla_glue.so libtensorflow_cc.so.2 libtensorflow_framework.so.2)
  fi
  printf 'INPUT(libxla_glue.so libtensorflow_cc.so.2 libtensorflow_framework.so.2)\n' >"$lib/libxla_extension.so"
}

# Never run, as no such machine was at hand. macOS looks each name up in one given library, so nothing is bound; the glue's
# functions are found before XLA's because its library is re-exported first.
link_on_Darwin() { # as above
  local compiler=$1 lib=$2 names=$2/names
  shift 2
  shown _ >"$names"
  $compiler -dynamiclib -o "$lib/libxla_glue.dylib" "$@" -Wl,-exported_symbols_list,"$names" \
    -L "$lib" -ltensorflow_cc.2 -ltensorflow_framework.2 \
    -Wl,-rpath,@loader_path -install_name @rpath/libxla_glue.dylib
  rm "$names"
  $compiler -dynamiclib -o "$lib/libxla_extension.dylib" -install_name @rpath/libxla_extension.dylib \
    -Wl,-rpath,@loader_path -Wl,-reexport_library,"$lib/libxla_glue.dylib" \
    -Wl,-reexport_library,"$lib/libtensorflow_cc.2.dylib" -Wl,-reexport_library,"$lib/libtensorflow_framework.2.dylib"
}
