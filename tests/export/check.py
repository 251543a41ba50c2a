"""Reads exported models and event files with the libraries that they are meant for, and compares their numbers with
those of `Model::predict`. Every layer is among the models, which are at the top of tests/export.rs.

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
    """The model as the file has it, on all samples at once and on the first alone: the batch is open."""
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


def compiled_by_jax(module, samples):
    import jax
    from jax.extend.backend import get_backend

    backend = get_backend("cpu")
    devices = backend.local_devices()[:1]
    program = backend.compile_and_load(module, devices)
    return np.asarray(program.execute([jax.device_put(samples, devices[0])])[0])


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
    check_events(folder / "events")
