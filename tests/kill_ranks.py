#!/usr/bin/env python3
"""Trains with several processes under MPI, and kills one of them (SIGKILL) at a random moment; the launcher ends the others.
Resumes each time, and compares the results with one process with as many devices: history and weights must be the same
to the last bit.

usage: tests/kill_ranks.py [--kills N] [--processes N] [--seed N] [PATH-OF-NEURAL]
(cargo build --release and scripts/setup --mpi first; Linux)
"""

import argparse
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import cut

root = pathlib.Path(__file__).resolve().parent.parent


def cache() -> pathlib.Path:
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(os.environ.get("NEURAL_CACHE") or pathlib.Path(home) / "neural")


def parents() -> dict:
    """The processes of this machine with the processes that started them."""
    found = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        found[int(stat.parent.name)] = int(text.rpartition(")")[2].split()[1])
    return found


def ranks(launcher: int) -> list:
    """The processes of a job that train, in the order in which they were started."""
    above = parents()

    def is_below(process: int) -> bool:
        while process in above and process != launcher:
            process = above[process]
        return process == launcher

    def name(process: int) -> str:
        try:
            return pathlib.Path(f"/proc/{process}/comm").read_text().strip()
        except OSError:
            return ""

    return sorted(process for process in above if name(process) == "neural" and is_below(process))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("neural", nargs="?", default=str(root / "target/release/neural"))
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=400)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    count = arguments.processes
    launch = [str(cache() / "mpi/bin/mpiexec"), "-n", str(count)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        recipe = cut.write(folder, arguments.epochs)
        train = [arguments.neural, "train", "--quiet", "--device", "cpu"]
        shared = launch + train + ["--processes", "mpi"]
        first = [str(recipe), "--runs", temporary, "--name"]
        flags = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}"}
        alone = train + ["--devices", str(count)] + first + ["whole"]
        subprocess.run(alone, check=True, stdout=subprocess.DEVNULL, env=flags)
        expected = cut.outcome(folder / "whole")
        began = time.monotonic()
        subprocess.run(shared + first + ["shared"], check=True, stdout=subprocess.DEVNULL)
        lasts = time.monotonic() - began
        if cut.outcome(folder / "shared") != expected:
            sys.exit("the processes together are not the one with as many devices")
        kills, runs, killed = 0, 0, [0] * count
        while kills < arguments.kills:
            runs += 1
            run = folder / f"killed-{runs}"
            patience = lasts / 3
            while True:
                words = ["--resume", str(run)] if (run / "recipe.toml").exists() else first + [run.name]
                pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
                job = subprocess.Popen(shared + words, start_new_session=True, **pipes)
                try:
                    code = job.wait(timeout=random.uniform(0.0, patience))
                    break
                except subprocess.TimeoutExpired:
                    pass
                alive = ranks(job.pid)
                if alive:
                    place = random.randrange(len(alive))
                    os.kill(alive[place], signal.SIGKILL)
                    if len(alive) == count:
                        killed[place] += 1
                try:
                    code = job.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    os.killpg(job.pid, signal.SIGKILL)
                    sys.exit(f"{run.name}: the others went on for a minute after a process was killed")
                if alive:
                    kills += 1
                    # On a machine that has become slower no attempt would make progress.
                    patience *= 1.1
                if code == 0:
                    break
            if code != 0:
                sys.exit(f"{run.name} ended with code {code} after {kills} kills")
            if cut.outcome(run) != expected:
                sys.exit(f"{run.name} is not the run that was never stopped")
            print(f"{kills} kills (by rank {killed}), {runs} runs, every one ended with the same bits", flush=True)


main()
