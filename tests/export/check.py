"""Reads exported models and event files with the libraries that they are meant for, and compares their numbers with
`Model::predict`. Every layer is among the models, which are at the top of tests/export.rs.

    pip install numpy onnx onnxruntime jax torch safetensors tensorboard
    NEURAL_EXPORTS=target/exports cargo test --release --test export -- --ignored write_exports
    python tests/export/check.py target/exports
"""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

TOLERANCE = 1e-5


def with_onnxruntime(path, samples):
    """The outputs of the file's model, on all samples at once and on the first alone: the batch size is free."""
    import onnx
    import onnxruntime

    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = session.run(["output"], {"input": samples})[0]
    first = session.run(["output"], {"input": samples[:1]})[0]
    assert np.abs(first - outputs[:1]).max() <= TOLERANCE, "a batch of another size"
    return outputs


def with_jax(path, samples):
    """The StableHLO, compiled by JAX's own compiler for its CPU."""
    return compiled_by_jax(path.read_text(), samples)


def with_jax_hlo(path, samples):
    """The HLO text, which JAX's compiler parses and turns into StableHLO itself."""
    from jaxlib import _hlo, _jax

    module = _hlo.hlo_module_from_text(path.read_text())
    return compiled_by_jax(_jax.mlir.hlo_to_stablehlo(module.as_serialized_hlo_module_proto()), samples)


def compiled_by_jax(module, *samples):
    return all_compiled_by_jax(module, samples)[0]


def all_compiled_by_jax(module, samples):
    import jax
    from jax.extend.backend import get_backend

    backend = get_backend("cpu")
    devices = backend.local_devices()[:1]
    program = backend.compile_and_load(module, devices)
    arguments = [jax.device_put(values, devices[0]) for values in samples]
    return [np.asarray(result) for result in program.execute(arguments)]


def with_torch(path, samples):
    """The values in PyTorch's own layers and order of axes, by the names in the file."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file as load

    import torch_layers

    with safe_open(path, "pt") as file:
        description = json.loads(file.metadata()["neural.model"])
    model, channels_first = torch_layers.model(description["layers"], description["sample"])
    model.load_state_dict(load(path), strict=True)
    model.eval()
    with torch.no_grad():
        x = torch.from_numpy(samples).float()
        scaling = description["scaling"]
        shape = scaling["shape"]
        mean, deviation = (torch.tensor(scaling[key]).reshape(shape) for key in ("mean", "deviation"))
        x = (x - mean) / deviation
        y = model(x.movedim(-1, 1) if channels_first else x)
        link = {"identity": lambda y: y, "softmax": lambda y: y.softmax(-1), "sigmoid": torch.sigmoid}
        return link[description["link"]](y).numpy()


def check_networks(path):
    """A model of named nodes, or one of sequences with padding: its inputs and outputs by their names."""
    import onnx
    import onnxruntime
    from jaxlib import _hlo, _jax

    stored = load_file(path)
    inputs, outputs = (
        {name.split(":")[1]: values for name, values in stored.items() if name.startswith(kind)}
        for kind in ("input", "output")
    )
    onnx.checker.check_model(onnx.load(path.with_suffix(".onnx")), full_check=True)
    session = onnxruntime.InferenceSession(path.with_suffix(".onnx"), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()], [one.name for one in session.get_outputs()]
    assert (set(names[0]), set(names[1])) == (set(inputs), set(outputs)), (path.stem, names)
    found = {"onnxruntime": dict(zip(names[1], session.run(names[1], inputs)))}
    first = session.run(names[1], {name: values[:1] for name, values in inputs.items()})
    for name, values in zip(names[1], first):
        assert np.abs(values - outputs[name][:1]).max() <= TOLERANCE, (path.stem, "a batch of another size")

    text = path.with_suffix(".mlir").read_text()
    order = {"input": ["input"], "output": ["output"]}
    if text.startswith("//"):
        parts = [part.split(": ")[1].split(", ") for part in text.split("\n")[0].split("; ")]
        order = dict(zip(order, parts))
    samples = [inputs[name] for name in order["input"]]
    found["JAX, StableHLO"] = dict(zip(order["output"], all_compiled_by_jax(text, samples)))
    module = _hlo.hlo_module_from_text(path.with_suffix(".hlo").read_text())
    module = _jax.mlir.hlo_to_stablehlo(module.as_serialized_hlo_module_proto())
    found["JAX, HLO"] = dict(zip(order["output"], all_compiled_by_jax(module, samples)))
    if path.stem in ("two-inputs", "unet", "siamese", "series"):
        found["PyTorch"] = nodes_with_torch(path.with_suffix(".safetensors"), inputs)

    for reader, results in found.items():
        off = max(np.abs(results[name] - values).max() for name, values in outputs.items())
        assert off <= TOLERANCE, (path.stem, reader, off)
        print(f"{path.stem}: {reader} off by {off:.1e} at most")
    if path.stem in ("tagging", "padding"):
        ids = inputs["input"].copy()
        ids[0, 2] = 0
        try:
            session.run(None, {"input": ids})
        except onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument as error:
            assert "out of data bounds" in str(error), error
        else:
            raise AssertionError((path.stem, "padding within a sequence was taken"))


def nodes_with_torch(path, inputs):
    """Named nodes of PyTorch's own layers, filled by the names in the file."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file as load

    import torch_layers

    with safe_open(path, "pt") as file:
        description = json.loads(file.metadata()["neural.model"])
    network, others, values = description["layers"], description["others"], load(path)

    def scaling(of, x, back=False):
        mean, deviation = (torch.tensor(of[key]).reshape(of["shape"]) for key in ("mean", "deviation"))
        return x * deviation + mean if back else (x - mean) / deviation

    reads = [{**description, "name": others["input"] or "input"}, *others["inputs"]]
    results = {}
    for read in reads:
        x = scaling(read["scaling"], torch.from_numpy(inputs[read["name"]]).float())
        results[read["name"]] = (x.movedim(-1, 1), True) if x.ndim > 3 else (x, False)
    waiting = dict(network["nodes"])
    while waiting:
        name = next(name for name, node in waiting.items() if set(listed(node["from"])) <= set(results))
        node = waiting.pop(name)
        taken = [results[one] for one in listed(node["from"])]
        assert len({first for _, first in taken}) == 1, "channels in one place"
        x, first = taken[0]
        if isinstance(node.get("join"), dict):
            x = attended(node["join"]["attention"], x, taken[1][0], values, f"{name}.attention.")
            values = {key: value for key, value in values.items() if not key.startswith(f"{name}.attention.")}
            taken = taken[:1]
        for other, _ in taken[1:]:
            join = {"add": torch.add, "subtract": torch.sub, "multiply": torch.mul}
            join["concatenate"] = lambda a, b: torch.cat([a, b], 1 if first else -1)
            x = join[node["join"]](x, other)
        owner = node.get("like") or name
        layers, first = torch_layers.sequential(network["nodes"][owner].get("layers", []), x, first)
        own = {key[len(owner) + 1 :]: value for key, value in values.items() if key.startswith(owner + ".")}
        layers.load_state_dict(own, strict=True)
        with torch.no_grad():
            results[name] = (layers.eval()(x), first)
    link = {"identity": lambda y: y, "softmax": lambda y: y.softmax(-1), "sigmoid": torch.sigmoid}
    found = {}
    for answer in [{**description, **{key: others[key] for key in ("name", "output")}}, *others["outputs"]]:
        y, first = results[answer["output"]]
        y = link[answer["link"]](y.movedim(1, -1) if first else y)
        if answer.get("target_scaling"):
            y = scaling(answer["target_scaling"], y, back=True)
        found[answer["name"] or "output"] = y.numpy()
    return found


def attended(settings, x, memory, values, prefix):
    """Attention of `x` to `memory` by PyTorch's own layer, filled by the names in the file."""
    import torch

    layer = torch.nn.MultiheadAttention(x.shape[-1], settings["heads"], batch_first=True)
    own = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
    layer.load_state_dict(own, strict=True)
    later = torch.ones(x.shape[1], memory.shape[1]).triu(1).bool() if settings["causal"] else None
    with torch.no_grad():
        return layer.eval()(x, memory, memory, attn_mask=later, need_weights=False)[0]


def listed(names):
    return names if isinstance(names, list) else [names]


def check_columns(path):
    """A model of a table, with each column as a separate input."""
    import onnx
    import onnxruntime

    onnx.checker.check_model(onnx.load(path.with_suffix(".onnx")), full_check=True)
    session = onnxruntime.InferenceSession(path.with_suffix(".onnx"), providers=["CPUExecutionProvider"])
    expected = json.loads(path.read_text())

    def values(kind, cells):
        if kind in ("category", "boolean"):
            return np.array(cells, object)
        if kind == "date":
            times = np.array([cell.removesuffix("Z") or "NaT" for cell in cells], "datetime64[s]")
            return np.where(np.isnat(times), np.nan, times.astype(np.int64) / 86400)
        return np.array([cell or "nan" for cell in cells], np.float64)

    columns = [values(column["kind"]["kind"], column["cells"])[:, None] for column in expected["columns"]]
    names = [one.name for one in session.get_inputs()]
    for name, column in zip(names, expected["columns"], strict=True):
        assert name.rstrip("_") == column["name"], (name, column["name"])
    outputs = np.array(expected["outputs"])
    refused = set(expected["refused"])
    taken = np.array([row not in refused for row in range(len(outputs))])

    def run(rows):
        return session.run(None, {name: column[rows] for name, column in zip(names, columns)})

    scores, *answer = run(taken)
    off = np.abs(scores - outputs[taken]).max()
    assert off <= TOLERANCE, (path.stem, off)
    threshold, classes = expected["threshold"], np.array(expected["classes"], object)
    if path.stem in ("two-classes", "one-output", "refusing"):
        right = classes[(scores[:, -1] > threshold).astype(int)]
    elif path.stem == "scores":
        right = classes[scores.argmax(1)]
    else:
        right = scores > threshold
    assert len(answer) == (path.stem != "values"), path.stem
    if answer:
        assert (answer[0] == right).all(), path.stem
        # The refusing model takes only a few rows.
        assert refused or len(np.unique(right)) > 1, path.stem
    for row in refused:
        try:
            run([row])
        except onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument as error:
            assert "out of data bounds" in str(error), error
        else:
            raise AssertionError((path.stem, row, "taken"))
    print(f"{path.stem}: onnxruntime off by {off:.1e} at most, answers equal, {len(refused)} rows refused")


def check_int8(path, expected):
    """A model in eight bits, whose outputs equal the model's up to the 256 steps of the values between its layers."""
    import onnx
    import onnxruntime

    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = session.run(["output"], {"input": expected["samples"]})[0]
    spread = expected["outputs"].std() + 1e-3
    off = np.sqrt(np.mean((outputs - expected["outputs"]) ** 2)) / spread
    print(f"{path.stem}: onnxruntime in eight bits off by {off:.1%} of the outputs' deviation")
    # With random weights, the many depthwise layers of MobileNet multiply each other's errors.
    assert off <= (0.5 if path.stem == "mobilenet-v2" else 0.1), path.stem


def check_events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["accuracy", "loss/train"]
    steps = np.arange(1, 101)
    for tag, values in [("loss/train", 1 / steps), ("accuracy", steps / 100)]:
        scalars = events.Scalars(tag)
        assert [s.step for s in scalars] == list(steps), tag
        assert np.array_equal([s.value for s in scalars], values.astype(np.float32)), tag
    print(f"tensorboard: {len(steps)} steps of 2 tags, equal")


CHECKS = {
    "onnx": ("onnxruntime", with_onnxruntime),
    "mlir": ("JAX, StableHLO", with_jax),
    "hlo": ("JAX, HLO", with_jax_hlo),
    "safetensors": ("PyTorch", with_torch),
}

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    models = sorted(path.stem for path in folder.glob("*.expected"))
    assert models, f"no exported models in {folder}"
    for name in models:
        expected = load_file(folder / f"{name}.expected")
        assert expected["outputs"].std(0).max() > 0.01, f"{name}: hardly depends on the samples"
        for kind, (reader, run) in CHECKS.items():
            outputs = run(folder / f"{name}.{kind}", expected["samples"])
            assert outputs.shape == expected["outputs"].shape, (name, reader, outputs.shape)
            off = np.abs(outputs - expected["outputs"]).max()
            print(f"{name}: {reader} off by {off:.1e} at most")
            assert off <= TOLERANCE, (name, reader)
            assert (outputs.argmax(-1) == expected["outputs"].argmax(-1)).all(), (name, reader)
        if (folder / f"{name}.int8").exists():
            check_int8(folder / f"{name}.int8", expected)
    networks = sorted(folder.glob("*.networks"))
    assert networks, f"no models of nodes in {folder}"
    for path in networks:
        check_networks(path)
    tables = sorted(folder.glob("*.columns"))
    assert tables, f"no models of tables in {folder}"
    for path in tables:
        check_columns(path)
    check_events(folder / "events")
