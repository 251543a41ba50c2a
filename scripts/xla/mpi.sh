# MPI for `neural train --processes mpi`: a folder with MPI's launcher in bin/ and the glue in lib/. scripts/setup sources
# this file. $cache/mpi names the folder in use, and there the program finds it.

mpi_megabytes_needed=100

compile_mpi() { # MPI's prefix, XLA's tree, the folder to fill
  local prefix=$1 xla=$2 tree=$3 compiler library mpi=(-lmpi)
  compiler=$(find_compiler)
  mkdir -p "$tree/lib"
  for library in lib lib64; do
    [ ! -e "$prefix/$library/libmpi.so" ] || break
  done
  # The binary interface of MPI 5, where this MPI has it: any other MPI with it can take its place without compiling.
  if [ -e "$prefix/$library/libmpi_abi.so" ] && [ -f "$prefix/include/mpi_abi.h" ]; then
    mpi=(-DMPI_ABI -lmpi_abi)
  fi
  say "compiling the glue between XLA and MPI"
  $compiler "${of_xla[@]}" -O2 -shared -I "$xla/include" -I "$prefix/include" -o "$tree/lib/libneural_mpi.so" "$parts/mpi.cc" \
    -L "$xla/lib" -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 -L "$prefix/$library" "${mpi[@]}" \
    -Wl,-rpath,'$ORIGIN' -Wl,-rpath,"$(realpath "$prefix/$library")" -Wl,-soname,libneural_mpi.so ||
    die "the glue could not be compiled with the MPI in $prefix (the compiler's message is above)." \
      "Name the prefix of an MPI with headers: include/mpi.h and lib/libmpi.so."
}

build_mpi() { # the wheels, XLA's tree, the folder to fill
  local wheels=$1 xla=$2 tree=$3
  python3 -m zipfile -e "$wheels"/mpich-*.whl "$tree/wheel"
  mv "$tree"/wheel/*.data/data/* "$tree"
  rm -r "$tree/wheel"
  chmod +x "$tree"/bin/*
  compile_mpi "$tree" "$xla" "$tree"
}

link_mpi() { # MPI's prefix, XLA's tree, the folder to fill
  compile_mpi "$1" "$2" "$3"
  [ ! -d "$1/bin" ] || ln -s "$1/bin" "$3/bin"
}

xla_tree() {
  local xla
  xla=$(readlink -f "${XLA_EXTENSION_DIR:-$root/.xla}")
  [ -e "$xla/lib/libtensorflow_cc.so.2" ] ||
    die "several processes need the XLA of scripts/setup on Linux, and $xla is another." "Unset XLA_EXTENSION_DIR."
  printf '%s' "$xla"
}

fetch_mpi() {
  local xla key tree wheels
  xla=$(xla_tree)
  key=$(printf '%s\n' "$xla" | key_of - "$parts/requirements-mpi.txt" "$parts"/mpi{.cc,.sh,_store.h})
  tree=$cache/mpi-$key
  if [ ! -d "$tree" ]; then
    check_machine "Where MPI is set up already, name it: scripts/setup --mpi-from PREFIX."
    check_disk "$mpi_megabytes_needed"
    wheels=$cache/wheels-mpi-$key
    say "fetching MPI (13 MB)"
    fetch_wheels 3.11 "$wheels" <"$parts/requirements-mpi.txt"
    make_tree "$tree" build_mpi "$wheels" "$xla"
    rm -rf "$wheels"
  fi
  use_tree mpi "$tree"
  say "MPI is there; start processes by $cache/mpi/bin/mpiexec -n N"
}

mpi_from() { # the prefix of an MPI: bin/mpiexec, include/mpi.h, lib/libmpi.so
  local prefix xla key tree
  prefix=$(cd "$1" 2>/dev/null && pwd) || die "there is no folder $1." "Name the prefix of an MPI."
  [ -f "$prefix/include/mpi.h" ] && compgen -G "$prefix/lib*/libmpi.so" >/dev/null ||
    die "$prefix holds no MPI: include/mpi.h or lib/libmpi.so is missing." \
      "Name the folder in which they lie (mpicc -show prints it), or let scripts/setup --mpi fetch one."
  xla=$(xla_tree)
  key=$(printf '%s\n' "$prefix" "$xla" | key_of - "$prefix/include/mpi.h" "$parts"/mpi{.cc,.sh,_store.h})
  tree=$cache/mpi-$key
  if [ ! -d "$tree" ]; then
    check_disk "$mpi_megabytes_needed"
    make_tree "$tree" link_mpi "$prefix" "$xla"
  fi
  use_tree mpi "$tree"
  say "MPI is taken from $prefix"
}
