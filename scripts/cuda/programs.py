"""The programs that a GPU would be given, as the project's binaries send them to a plugin that records them."""

import os
import pathlib
import re
import struct
import subprocess
import zlib
from typing import NamedTuple

root = pathlib.Path(__file__).resolve().parent.parent.parent


class Job(NamedTuple):
    """A process that trains something. Nothing is computed, so a job takes a second whatever it trains."""

    name: str
    words: list[str]  # the binary and its arguments
    devices: int = 1
    status: int = 0  # with which it ends
    everywhere: bool = False  # whether its training is compiled for every chip


class Compilation(NamedTuple):
    """A program with the options that it is compiled with."""

    name: str
    program: pathlib.Path
    options: pathlib.Path
    devices: int = 1
    loops: bool = True  # over steps, in its outermost loop
    everywhere: bool = False  # for every chip
    precise: bool = False  # without TF32


def write_npy(path: pathlib.Path, kind: str, shape: list[int], values: bytes) -> None:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({', '.join(map(str, shape))},), }}"
    header = header.ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + values)


def write_png(path: pathlib.Path, side: int, pixels: bytes) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    lines = b"".join(b"\0" + pixels[i : i + 3 * side] for i in range(0, len(pixels), 3 * side))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))


def make_data(folder: pathlib.Path) -> None:
    """Small data sets in formats that the repository has no data of."""
    rows = 1280
    labels = struct.pack(f"<{rows}i", *(row % 10 for row in range(rows)))
    for name, shape, kind, letter, values in [
        ("sequences", [rows, 28, 28], "<f4", "f", [i % 13 / 13 for i in range(rows * 784)]),
        ("tokens", [rows, 64], "<i4", "i", [i * 31 % 5000 for i in range(rows * 64)]),
    ]:
        (folder / name).mkdir()
        write_npy(folder / name / "x.npy", kind, shape, struct.pack(f"<{len(values)}{letter}", *values))
        write_npy(folder / name / "y.npy", "<i4", [rows], labels)
    for row in range(64):
        write_png(folder / "pictures" / str(row % 10) / f"{row}.png", 32, bytes((row * 37 + i) % 256 for i in range(32 * 32 * 3)))
    (folder / "cifar").mkdir()
    for part in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
        (folder / "cifar" / part).write_bytes(bytes(i % 10 if j == 0 else (i + j) % 256 for i in range(256) for j in range(3073)))


def recipe(folder: pathlib.Path, name: str, data: str, layers: str, train: str = "") -> pathlib.Path:
    """Writes a recipe for a model or an optimizer that no recipe of the project has."""
    path = folder / f"{name}.toml"
    path.write_text(
        f"[data]\n{data}\n[model]\nlayers = {layers}\n[train]\nloss = \"softmax-cross-entropy\"\nbatch_size = 128\n"
        f"epochs = 1\n{train or 'optimizer = { adam = { learning_rate = 1e-3 } }'}\n"
    )
    return path


def fields(message: bytes) -> dict[int, list[bytes]]:
    """The contents of a protocol buffer's fields of bytes."""
    at, found = 0, {}

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    while at < len(message):
        key = varint()
        length = varint() if key & 7 in (0, 2) else {1: 8, 5: 4}[key & 7]
        if key & 7 != 0:
            found.setdefault(key >> 3, []).append(message[at:at + length])
            at += length
    return found


def hands_memory_on(program: bytes) -> bool:
    """Whether results of an xla.HloModuleProto take over the memory of arguments (input_output_alias), as in training."""
    return any(fields(program).get(8, []))


# The keys that a program sets; all others keep their defaults.
SETTINGS = {
    b"xla_gpu_load_autotune_results_from", b"xla_gpu_dump_autotune_results_to", b"xla_gpu_enable_command_buffer",
    b"xla_gpu_command_buffer_scheduling_mode", b"xla_gpu_shard_autotuning",
}


def settings(options: bytes) -> tuple:
    """The settings of an xla.CompileOptionsProto with their values, except file names, which differ by job."""
    entries = [fields(entry) for entry in fields(options).get(7, [])]  # env_option_overrides
    return tuple(sorted((e[1][0], b"" if b"autotune" in e[1][0] else b"".join(e.get(2, []))) for e in entries))


def placed(program: pathlib.Path) -> list[bytes]:
    """The numbers of the devices that a recorded program was to run on, a byte each if they are small."""
    (build,) = fields(program.with_suffix(".options").read_bytes())[3][-1:]  # executable_build_options
    (assignment,) = fields(build).get(9, [b""])  # device_assignment
    return [numbers for computation in fields(assignment).get(3, []) for numbers in fields(computation).get(1, [])]


def unasked(options: bytes) -> list[str]:
    """The settings of an xla.CompileOptionsProto that nobody asked for."""
    parts = fields(options)
    settings = [fields(entry)[1][0] for entry in parts.get(7, [])]  # env_option_overrides
    whole = any(3 in fields(build) for build in parts.get(3, []))  # executable_build_options.debug_options
    faults = [f"{setting.decode()} is set" for setting in settings if setting not in SETTINGS]
    return faults + ["all settings of another XLA are sent"] * whole


# Recipes whose data the repository does not hold.
ELSEWHERE = {"fashion": "data/mnist", "cifar10": "cifar"}

# Models that no recipe has.
MODELS = {
    "lstm": ("sequences", "[{ lstm = 128 }, { dense = 10 }]"),
    "gru": ("sequences", "[{ gru = 128 }, { dense = 10 }]"),
    "attention": ("sequences", '[{ dense = 64 }, "layer-norm", { attention = 4 }, "layer-norm", "flatten", { dense = 10 }]'),
    "embedding": (
        "tokens",
        '[{ embedding = { vocabulary = 5000, units = 64 } }, { attention = { heads = 4, causal = true } }, "flatten", { dense = 10 }]',
    ),
    "cnn": (
        "data/mnist",
        '[{ conv = { filters = 32, kernel = [3, 3] } }, "relu", { max-pool = [2, 2] }, '
        '{ conv = { filters = 64, kernel = [3, 3] } }, "relu", { max-pool = [2, 2] }, "flatten", { dense = 64 }, "relu", { dense = 10 }]',
    ),
    "strided": (
        "data/mnist",
        '[{ conv = { filters = 32, kernel = [3, 3] } }, "relu", '
        '{ conv = { filters = 64, kernel = [3, 3], stride = [2, 2], padding = "same" } }, "relu", '
        '{ conv = { filters = 64, kernel = [3, 3], groups = 4, padding = "same" } }, "relu", '
        '{ avg-pool = [2, 2] }, "flatten", { dense = 10 }]',
    ),
}

OPTIMIZERS = {
    "momentum": "sgd = { learning_rate = 0.1, momentum = 0.9, nesterov = true, weight_decay = 1e-4 }",
    "rmsprop": "rmsprop = { learning_rate = 1e-3, momentum = 0.9 }",
    "adagrad": "adagrad = { learning_rate = 0.1 }",
    "adamw": "adamw = { learning_rate = { warmup = { steps = 20, then = { cosine = { initial = 0.002, steps = 400, final = 0.0 } } } } }",
    "lion": "lion = { learning_rate = 1e-4 }",
    "muon": "muon = { learning_rate = 0.02 }",
}

# Variants of the recipes' own training: a recipe and the keys to set.
VARIANTS = {
    "mnist, f32": ("mnist", ["--no-tf32"]),
    "mnist_cnn, f32": ("mnist_cnn", ["--no-tf32"]),
    "mnist_cnn, bf16": ("mnist_cnn", ["--set", "train.mixed_precision=true"]),
    "mnist_fast, bf16": ("mnist_fast", ["--set", "train.mixed_precision=true"]),
    "mnist, no command buffers": ("mnist", ["--no-command-buffers"]),
    "mnist, no pinned kernels": ("mnist", ["--no-pinned-kernels"]),
    "mnist, stream": ("mnist", ["--set", "train.stream=true"]),
    "mnist, accumulate": ("mnist", ["--set", "train.accumulate=4"]),
    "mnist, clipped": ("mnist", ["--set", "train.clip_norm=1.0", "--set", "train.average=0.999"]),
    "mnist_cnn, augment": ("mnist_cnn", ["--set", 'train.augment=["flip", { shift = 2 }, { rotate = 10 }, { cutout = 8 }]']),
    "mnist, two devices": ("mnist", ["--devices", "2"]),
    "mnist_cnn, two devices": ("mnist_cnn", ["--devices", "2"]),
}


class Recorder:
    def __init__(self, plugin: pathlib.Path, cpu: pathlib.Path, scratch: pathlib.Path):
        self.plugin, self.cpu, self.scratch = plugin, cpu, scratch
        self.target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "release"
        make_data(scratch)

    def data(self, name: str) -> pathlib.Path:
        return root / name if name.startswith("data/") else self.scratch / name

    def train(self, name: str, path: pathlib.Path, *words: str, devices: int = 1) -> Job:
        runs = self.scratch / "runs" / name
        words = ["neural", "train", str(path), "--quiet", "--epochs", "1", "--runs", str(runs), *words]
        return Job(name, words, devices, everywhere=True)

    def recipes(self) -> list[Job]:
        jobs = []
        for path in sorted((root / "scripts/recipes").glob("*.toml")):
            elsewhere = ELSEWHERE.get(path.stem)
            words = ["--set", f"data.path={self.data(elsewhere)}"] if elsewhere else []
            jobs.append(self.train(path.stem, path, *words))
        for name, (data, layers) in MODELS.items():
            form = 'format = "idx"' if data.startswith("data/") else 'format = "npy"\ntarget_kind = "class"'
            path = recipe(self.scratch, name, f'{form}\npath = "{self.data(data)}"', layers)
            jobs.append(self.train(name, path))
        return jobs

    def networks(self) -> list[Job]:
        subprocess.run([self.target / "examples/made_data", self.scratch / "made"], check=True, capture_output=True)
        jobs = []
        for path in sorted((root / "scripts/recipes/networks").glob("*.toml")):
            words = []
            if made := re.search(r"/(made/\w+\.safetensors|pictures)\"", path.read_text()):
                words = ["--set", f"data.path={self.data(made[1])}"]
            if path.stem == "fine_tune":
                words = ["--set", f"data.path={self.data('data/mnist')}", "--unset", "model.from", "--unset", "model.rename"]
            jobs.append(self.train(f"networks/{path.stem}", path, *words)._replace(everywhere=False))
        return jobs

    def variants(self) -> list[Job]:
        jobs = []
        for name, (stem, words) in VARIANTS.items():
            devices = int(words[1]) if "--devices" in words else 1
            job = self.train(name, root / f"scripts/recipes/{stem}.toml", *words, devices=devices)
            # The other settings change what every chip does in the same way.
            jobs.append(job._replace(everywhere="bf16" in name))
        for name, setting in OPTIMIZERS.items():
            path = recipe(
                self.scratch, name, f'format = "idx"\npath = "{root}/data/mnist"',
                '["flatten", { dense = 128 }, "relu", { dense = 10 }]', f"optimizer = {{ {setting} }}",
            )
            jobs.append(self.train(f"optimizer {name}", path)._replace(everywhere=False))
        return jobs

    def layers(self) -> list[Job]:
        # The recorder returns ones, not the layers' results, so the program reports differences.
        return [Job("layers", ["examples/compare_devices"], status=1)]

    def examples(self) -> list[Job]:
        jobs = []
        for path in sorted((root / "scripts").glob("*.rs")):
            if path.stem not in ("compare_devices", "made_data"):
                data = ["--data", str(self.scratch / "cifar")] if path.stem == "cifar10" else []
                jobs.append(Job(f"example {path.stem}", [f"examples/{path.stem}", *data]))
        return jobs

    def run(self, job: Job, folder: pathlib.Path, *launcher: str) -> subprocess.CompletedProcess:
        environment = os.environ | {"RECORDER_PLUGIN": str(self.cpu), "RECORDER_FOLDER": str(folder)}
        if job.devices > 1:
            environment["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={job.devices}"
        command = [*launcher, str(self.target / job.words[0]), *job.words[1:], "--device", f"plugin:cuda={self.plugin}"]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
        if done.returncode != job.status:
            raise RuntimeError(f"{job.name}: `{' '.join(command)}` ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def record(self, job: Job) -> list[Compilation]:
        folder = self.scratch / "recorded" / job.name.replace(" ", "-")
        folder.mkdir(parents=True)
        done = self.run(job, folder)
        found = sorted(folder.glob("*.hlo"))
        if not found:
            raise RuntimeError(f"{job.name}: nothing was compiled\n{done.stdout}{done.stderr}")
        if job.name == "layers":
            # Each layer is a row of a table, and is compiled in f64 and in f32.
            rows = re.findall(r"^\| `(.*?)` \| (\[.*?\]) \|", done.stdout, re.M)
            names = [f"{layer} of {shape}, {kind}" for layer, shape in rows for kind in ("f64", "f32")]
        else:
            kinds = ["training" if hands_memory_on(path.read_bytes()) else "evaluation" for path in found]
            names = [f"{job.name}, {kind}" for kind in kinds]
            names = [name if i == names.index(name) else f"{name} {names[:i].count(name) + 1}" for i, name in enumerate(names)]
        return [
            Compilation(
                name, path, path.with_suffix(".options"), job.devices, loops=job.name != "layers",
                everywhere=job.everywhere and name.endswith("training"), precise="--no-tf32" in job.words,
            )
            for name, path in zip(names, found, strict=True)
        ]

    def shared(self, launcher: pathlib.Path) -> list[str]:
        """Faults of the programs of two processes, which must equal the programs of one process with two GPUs."""
        recipe = root / "scripts/recipes/mnist.toml"
        # Several processes stream their rows.
        words = ["--devices", "2", "--set", "train.stream=true"]
        one = self.record(self.train("one process", recipe, *words, devices=2))
        job = self.train("two processes", recipe, "--processes", "mpi")
        folder = self.scratch / "recorded" / job.name
        for node in ("0", "1"):
            (folder / node).mkdir(parents=True)
        self.run(job, folder, str(launcher), "-n", "2")
        faults = []
        for node in ("0", "1"):
            if not {"num_nodes", "node_id"} <= set((folder / node / "0000.client").read_text().split()):
                faults.append(f"process {node} does not say that it is one of several")
            found = sorted((folder / node).glob("*.hlo"))
            if [path.read_bytes() for path in found] != [compilation.program.read_bytes() for compilation in one]:
                faults.append(f"process {node} has other programs than one with two devices")
            for path in found:
                # The plugin knows only its own process, so the device of either process has the number 0.
                both = hands_memory_on(path.read_bytes())
                if placed(path) != [bytes([0, 0] if both else [0])]:
                    faults.append(f"process {node}: {path.name} is not placed on {'both devices' if both else 'its own device'}")
        return faults

    def exported(self, trained: str) -> list[Compilation]:
        """A trained model as other compilers get it, without our options."""
        (run,) = (self.scratch / "runs" / trained).iterdir()
        path = self.scratch / f"{trained}.mlir"
        words = ["export", str(run), "--to", "stablehlo", "--batch", "32", "--out", str(path)]
        subprocess.run([str(self.target / "neural"), *words], check=True, capture_output=True)
        return [Compilation(f"{trained}, exported", path, self.plain_options(), loops=False)]

    def jax(self, python: str) -> list[Compilation]:
        """The same models' training, written in JAX, under the names of the recipes'."""
        folder = self.scratch / "jax"
        folder.mkdir()
        command = [python, pathlib.Path(__file__).with_name("jax_models.py"), folder]
        subprocess.run(command, check=True, env=os.environ | {"JAX_PLATFORMS": "cpu"})
        paths = sorted(folder.glob("*.mlir"))
        return [Compilation(f"{path.stem}, training", path, self.plain_options()) for path in paths]

    def plain_options(self) -> pathlib.Path:
        path = self.scratch / "plain.options"
        # xla.CompileOptionsProto: executable_build_options { device_ordinal: -1 num_replicas: 1 num_partitions: 1 }
        path.write_bytes(bytes([0x1A, 15, 0x08, *[0xFF] * 9, 0x01, 0x20, 1, 0x28, 1]))
        return path
