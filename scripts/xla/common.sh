# The common functions of the parts of scripts/setup. It is sourced, and expects $cache, the folder of everything that
# is fetched, and $parts, the folder of this file.

die() { # the failure, and the remedy
  printf 'setup: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '       %s\n' "$2" >&2
  exit 1
}

say() { printf 'setup: %s\n' "$1"; }

use_tree() { # cuda or mpi, the folder to be found by that name in the cache
  # Renamed into place, so that a program which starts meanwhile finds the old link or the new one.
  ln -sfnT "$2" "$cache/$1.$$" && mv -fT "$cache/$1.$$" "$cache/$1" ||
    die "cannot write the link $cache/$1." "Make that folder writable, or name another in NEURAL_CACHE."
}

find_pip() {
  local pip
  for pip in "python3 -m pip" pip3 pip; do
    if $pip --version >/dev/null 2>&1; then
      printf '%s' "$pip"
      return
    fi
  done
  die "Python's pip was not found, and XLA is fetched with it." \
    "Install it (Debian, Ubuntu: apt install python3-pip; Fedora: dnf install python3-pip) and run scripts/setup again."
}

system=$(uname -s)
machine=$(uname -m) # macOS has another name for 64-bit Arm than Linux
command -v sha256sum >/dev/null || sha256sum() { shasum -a 256 "$@"; }

check_machine() { # the remedy on another machine
  case "$system $machine" in
    "Linux x86_64" | "Linux aarch64" | "Darwin arm64") ;;
    *) die "these wheels are for Linux on x86-64 and on 64-bit Arm, and for macOS on Apple silicon; this is $system on $machine." "$1" ;;
  esac
}

requirements() { # a list of wheels; this machine's
  local of_machine=$parts/$1-$machine.txt
  if [ -f "$of_machine" ]; then printf '%s' "$of_machine"; else printf '%s' "$parts/$1.txt"; fi
}

check_disk() { # megabytes needed
  local free
  mkdir -p "$cache" 2>/dev/null || die "cannot create $cache." "Name a writable folder in NEURAL_CACHE."
  free=$(df -Pm "$cache" | awk 'NR == 2 { print $4 }')
  [ "$free" -ge "$1" ] ||
    die "not enough disk space in $cache: $1 MB needed, $free MB free." "Free some, or name another folder in NEURAL_CACHE."
}

key_of() { # the files that a tree is made from; their hash is in its name, so an old tree is never taken for a new one
  cat "$@" | sha256sum | cut -c1-16
}

xla_key() { # the requirements of XLA's tree
  key_of "$@" "$parts"/{unpack.py,*_glue.cc,replaced.txt,quiet.c,elf.py,bind.py,tree.sh}
}

fetch_failed() { # the package, pip's stderr
  if grep -q 'DO NOT MATCH THE HASHES' "$2"; then
    die "the file that came for $1 is not the one that is pinned: its SHA-256 is another (both are above)." \
      "Use another network or package index; if the index serves a changed file, do not trust it."
  fi
  die "pip could not fetch $1 (its message is above)." \
    "Check the network, and pip's settings if you are behind a proxy, then run scripts/setup again: it goes on from here."
}

platforms() { # pip's names for this machine, those it prefers first
  case $system in
    # LLVM's headers are the same for every machine, and come in the wheel for another.
    Darwin) echo "macosx_12_0_$machine macosx_11_0_$machine manylinux_2_28_x86_64" ;;
    *)
      local n
      for n in {28..5}; do printf 'manylinux_2_%s_%s ' "$n" "$machine"; done
      for n in 2014 2010 1; do printf 'manylinux%s_%s ' "$n" "$machine"; done
      ;;
  esac
}

# Fetches the wheels that stdin lists, one requirement a line, into folder $2 for Python $1. One at a time, so that
# an interrupted run continues with the wheel it was fetching.
fetch_wheels() {
  local python=$1 wheels=$2 pip platforms=() platform requirement
  pip=$(find_pip)
  for platform in $(platforms); do
    platforms+=(--platform "$platform")
  done
  mkdir -p "$wheels" 2>/dev/null || die "cannot write to $cache." "Name a writable folder in NEURAL_CACHE."
  while read -r requirement; do
    case $requirement in '' | '#'*) continue ;; esac
    printf '%s\n' "$requirement" >"$wheels/requirement.txt"
    # Both streams reach the terminal; errors are checked as well.
    { $pip download --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
      --python-version "$python" --implementation cp "${platforms[@]}" \
      --dest "$wheels" --requirement "$wheels/requirement.txt" </dev/null 2>&1 >&3 | tee "$wheels/errors.txt" >&2; } 3>&1 ||
      fetch_failed "${requirement%% *}" "$wheels/errors.txt"
  done
}

# Makes the folder $1 with the command that follows, which is given the name of an empty folder to fill.
# It is filled beside its final name and renamed when whole: a tree that has that name is complete.
make_tree() {
  local tree=$1
  shift
  # Leftovers of earlier runs that were killed outright, and abandoned wheels.
  find "$cache" -maxdepth 1 \( -name 'partial-*' -mmin +120 -o -name 'wheels-*' -mtime +30 \) -exec rm -rf {} +
  partial=$(mktemp -d "$cache/partial-XXXXXX") || die "cannot write to $cache." "Name a writable folder in NEURAL_CACHE."
  trap 'rm -rf "$partial"' EXIT
  trap 'exit 130' INT TERM HUP
  "$@" "$partial"
  chmod 755 "$partial"
  python3 -c 'import os, sys; os.rename(*sys.argv[1:])' "$partial" "$tree" 2>/dev/null || [ -d "$tree" ] || die "cannot rename $partial to $tree."
}
