"""The GPUs that programs are compiled for: figures from their data sheets, as XLA's compiler needs them.

A name is the architecture's. XLA keeps such descriptions of the GPUs that it is tested on
(xla/backends/gpu/target_config/specs in github.com/openxla/xla); the figures here agree with them.
"""

from typing import NamedTuple


class Chip(NamedTuple):
    name: str
    major: int
    minor: int
    cores: int  # streaming multiprocessors
    units: int  # for f32, of each
    ghz: float
    memory: int  # bytes
    bandwidth: int  # bytes a second
    cache: int  # the second level, bytes
    shared: int  # of each core, bytes
    threads: int  # of each core

    def target(self) -> str:
        """An xla.gpu.GpuTargetConfigProto as text."""
        # From Hopper on data centres' chips have instructions that no later chip keeps: 9.0a, 10.0a.
        features = "ACCELERATED_FEATURES" if (self.major, self.minor) in [(9, 0), (10, 0)] else "NONE"
        return f"""
gpu_device_info {{
  name: "{self.name}" device_vendor: "NVIDIA Corporation" device_address_bits: 64
  cuda_compute_capability {{ major: {self.major} minor: {self.minor} feature_extension: {features} }}
  core_count: {self.cores} fpus_per_core: {self.units} clock_rate_ghz: {self.ghz}
  device_memory_size: {self.memory} memory_bandwidth: {self.bandwidth} l2_cache_size: {self.cache} ecc_enabled: true
  shared_memory_per_core: {self.shared} shared_memory_per_block: 49152 shared_memory_per_block_optin: {self.shared - 1024}
  threads_per_core_limit: {self.threads} threads_per_block_limit: 1024 threads_per_warp: 32
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  thread_dim_limit_x: 1024 thread_dim_limit_y: 1024 thread_dim_limit_z: 64
  driver_version: "13.0.0" runtime_version: "13.0.0" compile_time_toolkit_version: "13.0.0" dnn_version: "9.28.1"
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 28 patch: 1 }}
device_description_str: "{self.name}"
"""


CHIPS = {
    "sm_80": Chip("NVIDIA A100-SXM4-80GB", 8, 0, 108, 64, 1.41, 85100068864, 2039040000000, 41943040, 167936, 2048),
    "sm_86": Chip("NVIDIA RTX A6000", 8, 6, 84, 128, 1.8, 51041271808, 768096000000, 6291456, 102400, 1536),
    "sm_89": Chip("NVIDIA GeForce RTX 4090", 8, 9, 128, 128, 2.52, 25390809088, 1008096000000, 75497472, 102400, 1536),
    "sm_90": Chip("NVIDIA H100 80GB HBM3", 9, 0, 132, 128, 1.98, 84942979072, 3352320000000, 52428800, 233472, 2048),
    "sm_100": Chip("NVIDIA B200", 10, 0, 148, 128, 1.965, 191514411008, 7672320000000, 132644864, 233472, 2048),
    "sm_120": Chip("NVIDIA GeForce RTX 5090", 12, 0, 170, 128, 2.407, 34190917632, 1792000000000, 100663296, 102400, 1536),
}
