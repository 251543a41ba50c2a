#!/usr/bin/env python3
"""Reads a folder that `neural train --mlflow DIR` has written with MLflow itself, and compares it with the history of the run.

usage: tests/figures/read_mlflow.py DIR RUN     (pip install mlflow)
"""

import json
import os
import pathlib
import sys

os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"

from mlflow.tracking import MlflowClient

store, folder = (pathlib.Path(word).resolve() for word in sys.argv[1:])
client = MlflowClient(tracking_uri=store.as_uri())
experiments = [one for one in client.search_experiments() if one.name != "Default"]
runs = [run for one in experiments for run in client.search_runs([one.experiment_id])]
run = next(run for run in runs if run.info.run_name == folder.name)
history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]

for name, of in [
    ("loss", lambda epoch: epoch["loss"]),
    ("validation-loss", lambda epoch: epoch["validation"]["loss"]),
    ("learning_rate", lambda epoch: epoch["learning_rate"]),
]:
    metric = client.get_metric_history(run.info.run_id, name)
    assert [(one.step, one.value) for one in metric] == [(epoch["number"], of(epoch)) for epoch in history], name
files = {file.path for file in client.list_artifacts(run.info.run_id)}
assert {"recipe.toml", "history.csv", "best.safetensors"} <= files, files
assert run.info.status == "FINISHED" and run.info.end_time >= run.info.start_time
print(f"{len(runs)} runs in {', '.join(one.name for one in experiments)}; {run.info.run_name}: {len(history)} epochs,")
print(f"{len(run.data.metrics)} metrics, {len(run.data.params)} params, {len(files)} files, equal")
