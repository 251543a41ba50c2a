# Plugins for machines without a GPU. scripts that check the project on them source this file after common.sh.

cpu_plugin_requirement='lammps-jax-pjrt-cpu==0.11.2 --hash=sha256:1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1'

# XLA's CPU backend as a plugin, named by $cpu_plugin.
fetch_cpu_plugin() {
  local tree wheels
  tree=$cache/plugin-cpu-$(printf '%s' "$cpu_plugin_requirement" | key_of -)
  if [ ! -d "$tree" ]; then
    [ "$machine" = x86_64 ] || die "XLA's CPU backend as a plugin is there for x86-64 alone, this is $machine."
    check_disk 400
    wheels=$cache/wheels-plugin-cpu
    fetch_wheels 3.12 "$wheels" <<<"$cpu_plugin_requirement"
    make_tree "$tree" python3 -m zipfile -e "$wheels"/*.whl
    rm -rf "$wheels"
  fi
  cpu_plugin=$tree/lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so
}

# What it takes to compile for a GPU, and no more: XLA's CUDA plugin, ptxas and libdevice, in the folder $cuda_compiler.
fetch_cuda_compiler() {
  local wheels key
  key=$(key_of "$(requirements requirements-cuda)" "$parts/unpack_cuda.py" "$parts/plugins.sh")
  cuda_compiler=$cache/cuda-compiler-$key
  if [ ! -d "$cuda_compiler" ]; then
    check_machine "The plugin exists for no other."
    check_disk 1500
    wheels=$cache/wheels-cuda-compiler-$key
    grep -E '^(jax-cuda13-pjrt|nvidia-cuda-nvcc|nvidia-nvvm)=' "$(requirements requirements-cuda)" | fetch_wheels 3.12 "$wheels"
    make_tree "$cuda_compiler" unpack_cuda_compiler "$wheels"
    rm -rf "$wheels"
  fi
}

unpack_cuda_compiler() { # the wheels, the folder to fill
  local bin=$2/nvidia/cu13/bin
  python3 "$parts/unpack_cuda.py" "$1" "$2"
  find "$bin" -type f ! -name ptxas -delete
  find "$2/nvidia/cu13/nvvm" -type f ! -name '*.bc' -delete
}
