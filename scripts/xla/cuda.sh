# CUDA for XLA: a folder with the plugin in jax_plugins/ and NVIDIA's libraries in nvidia/, as in the site-packages of
# a Python environment that has JAX on CUDA. scripts/setup sources this file. $cache/cuda names the folder in use,
# and there the program finds it.

cuda_megabytes_fetched=2481
cuda_megabytes_needed=6500
plugin_megabytes_fetched=134
plugin_megabytes_needed=1000

warn_without_driver() {
  compgen -G '/dev/nvidia[0-9]*' >/dev/null || [ -e /dev/dxg ] ||
    say "no NVIDIA driver was seen on this machine; \`neural devices\` says what CUDA lacks"
}

fetch_cuda() {
  local key tree wheels
  key=$(key_of "$(requirements requirements-cuda)" "$parts/unpack_cuda.py")
  tree=$cache/cuda-$key
  if [ ! -d "$tree" ]; then
    check_machine "Where CUDA is set up already, name it: scripts/setup --cuda-from DIR."
    check_disk "$cuda_megabytes_needed"
    wheels=$cache/wheels-cuda-$key
    say "fetching XLA's CUDA plugin and NVIDIA's libraries ($cuda_megabytes_fetched MB in 14 wheels)"
    fetch_wheels 3.12 "$wheels" <"$(requirements requirements-cuda)"
    say "unpacking"
    make_tree "$tree" python3 "$parts/unpack_cuda.py" "$wheels"
    rm -rf "$wheels"
    say "done ($tree, $(du -sm "$tree" | cut -f1) MB)"
  fi
  use_tree cuda "$tree"
  say "CUDA is there ($tree)"
}

link_toolkit() { # the wheels, the toolkit, where cuDNN is, the folder to fill
  local wheels=$1 toolkit=$2 cudnn=$3 tree=$4 lib=lib64
  [ -d "$toolkit/lib64" ] || lib=lib
  python3 "$parts/unpack_cuda.py" "$wheels" "$tree"
  # The plugin looks here first, whatever the system's own search path says.
  mkdir -p "$tree/nvidia/cu13"
  ln -s "$toolkit/$lib" "$tree/nvidia/cu13/lib"
  ln -s "$toolkit/bin" "$toolkit/nvvm" "$tree/nvidia/cu13/"
  mkdir -p "$tree/nvidia/cudnn"
  ln -s "$cudnn" "$tree/nvidia/cudnn/lib"
}

use_toolkit() { # /usr/local/cuda, for one
  local toolkit=$1 cudnn key tree wheels
  compgen -G "$toolkit/lib*/libcudart.so.13" >/dev/null ||
    die "$toolkit holds another CUDA than 13, which the plugin is made for: lib64/libcudart.so.13 is missing." \
      "Name a CUDA 13, or let scripts/setup --cuda fetch one."
  cudnn=$(compgen -G "$toolkit/lib*/libcudnn.so.9" | head -1 || true)
  [ -n "$cudnn" ] || cudnn=$(ldconfig -p 2>/dev/null | awk '$1 == "libcudnn.so.9" { print $NF; exit }')
  [ -n "$cudnn" ] || die "cuDNN 9 was not found, neither in $toolkit nor among the system's libraries." \
    "Install NVIDIA's package cudnn9-cuda-13, or let scripts/setup --cuda fetch everything."
  cudnn=$(dirname "$cudnn")
  key=$(printf '%s\n' "$toolkit" "$cudnn" | key_of - "$(requirements requirements-cuda)" "$parts/unpack_cuda.py" "$parts/cuda.sh")
  tree=$cache/cuda-toolkit-$key
  if [ ! -d "$tree" ]; then
    check_machine "The plugin exists for no other."
    check_disk "$plugin_megabytes_needed"
    wheels=$cache/wheels-cuda-$key
    say "fetching XLA's CUDA plugin ($plugin_megabytes_fetched MB)"
    grep '^jax-' "$(requirements requirements-cuda)" | fetch_wheels 3.12 "$wheels"
    make_tree "$tree" link_toolkit "$wheels" "$toolkit" "$cudnn"
    rm -rf "$wheels"
  fi
  use_tree cuda "$tree"
  say "CUDA is taken from $toolkit, cuDNN from $cudnn"
}

use_packages() { # a site-packages folder
  local packages=$1 library missing=()
  for library in cublas cudnn cufft cusolver cusparse cupti nvrtc nccl; do
    compgen -G "$packages/nvidia/*/lib/lib$library.so.*" >/dev/null || missing+=("$library")
  done
  [ ${#missing[@]} -eq 0 ] ||
    say "$packages/nvidia lacks ${missing[*]}; they must be among the system's libraries then"
  use_tree cuda "$packages"
  say "CUDA is taken from $packages"
}

cuda_from() {
  local folder
  mkdir -p "$cache" 2>/dev/null || die "cannot create $cache." "Name a writable folder in NEURAL_CACHE."
  folder=$(cd "$1" 2>/dev/null && pwd) || die "there is no folder $1." "Name a site-packages folder or a CUDA toolkit."
  if compgen -G "$folder/jax_plugins/xla_cuda*/xla_cuda_plugin.so" >/dev/null; then
    use_packages "$folder"
  elif compgen -G "$folder/lib*/libcudart.so.*" >/dev/null; then
    use_toolkit "$folder"
  else
    die "$folder holds neither XLA's CUDA plugin (jax_plugins/xla_cuda13) nor a CUDA toolkit (lib64/libcudart.so.13)." \
      "Name the site-packages of an environment that has jax-cuda13-pjrt, or a toolkit such as /usr/local/cuda."
  fi
}
