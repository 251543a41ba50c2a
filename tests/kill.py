#!/usr/bin/env python3
"""Stops a training run at random moments (SIGKILL, SIGTERM, SIGINT), resumes it each time, and compares its results
with a run that was never stopped: history and weights must be the same to the last bit. Then the other accidents: a
second process in the folder, a full disk, a folder that cannot be written, output that nobody reads.

usage: tests/kill.py [--kills N] [--seed N] [PATH-OF-NEURAL]      (cargo build --release first; Linux)
"""

import argparse
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time

import cut

root = pathlib.Path(__file__).resolve().parent.parent


class Folder:
    """A place with a recipe, and with the outcome of a run that was never stopped."""

    def __init__(self, neural: str, path: pathlib.Path, epochs: int):
        self.neural, self.path, self.recipe = neural, path, cut.write(path, epochs)
        began = time.monotonic()
        subprocess.run(self.words("whole"), check=True, stdout=subprocess.DEVNULL)
        self.lasts = time.monotonic() - began
        self.expected = cut.outcome(path / "whole")

    def words(self, name: str) -> list:
        """The command that begins the run of this name, or goes on with it."""
        if self.path.joinpath(name, "recipe.toml").exists():
            return [self.neural, "train", "--resume", str(self.path / name), "--quiet"]
        return [self.neural, "train", str(self.recipe), "--runs", str(self.path), "--name", name, "--quiet"]

    def start(self, name: str, **options) -> subprocess.Popen:
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(self.words(name), start_new_session=True, **{**pipes, **options})

    def begun(self, name: str) -> subprocess.Popen:
        """A run that has some epochs behind it and goes on."""
        process = self.start(name)
        while not (history := self.path / name / "history.jsonl").exists() or not history.read_text():
            time.sleep(0.01)
        return process

    def stopped(self, name: str) -> pathlib.Path:
        process = self.begun(name)
        process.terminate()
        check(process.wait() == 130, f"{name}: ended with code {process.returncode} on SIGTERM")
        return self.path / name

    def ends(self, name: str) -> None:
        """Checks that the resumed run ends as the run that was never stopped."""
        subprocess.run(self.words(name), check=True, stdout=subprocess.DEVNULL)
        check(cut.outcome(self.path / name) == self.expected, f"{name} is not the run that was never stopped")


def check(holds: bool, otherwise: str) -> None:
    if not holds:
        sys.exit(otherwise)


def refused(process: subprocess.Popen, words: list) -> None:
    """Checks that the process ends with one sentence that holds all of `words`."""
    said = process.communicate()[1]
    check(process.returncode == 1 and said.count("\n") == 1, f"code {process.returncode}: {said}")
    check(all(word in said for word in words), said)
    print(f"refused: {said.strip()}", flush=True)


def kills(folder: Folder, wanted: int) -> None:
    count, runs = 0, 0
    while count < wanted:
        runs += 1
        name = f"killed-{runs}"
        patience = folder.lasts / 2
        while True:
            process = folder.start(name)
            try:
                code = process.wait(timeout=random.uniform(0.0, patience))
                break
            except subprocess.TimeoutExpired:
                process.send_signal(random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
                process.wait()
                count += 1
                # On a machine that has become slower no attempt would make progress.
                patience *= 1.1
        check(code == 0, f"{name} ended with code {code} after {count} kills")
        check(cut.outcome(folder.path / name) == folder.expected, f"{name} is not the run that was never stopped")
        left = [path.name for path in folder.path.joinpath(name).glob(".*") if path.name != ".lock"]
        check(not left, f"{name} has leftovers: {left}")
        print(f"{count} kills, {runs} runs, every one ended with the same bits", flush=True)


def two_processes(folder: Folder) -> None:
    first = folder.begun("shared")
    refused(folder.start("shared"), ["in use by process", str(first.pid)])
    # Commands that only read are allowed.
    words = [folder.neural, "evaluate", folder.path / "shared", "--plot", folder.path / "pictures"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    check(first.wait() == 0, "the first of two processes failed")
    check(cut.outcome(folder.path / "shared") == folder.expected, "shared is not the run that was alone")


def full_disk(folder: Folder) -> None:
    run = folder.stopped("full")
    before = {path.name: path.read_bytes() for path in run.glob("*.safetensors")}

    def limit() -> None:
        # A file that grows longer gives an error instead of the signal.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        size = len(before["last.safetensors"]) // 2
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    # Kept programs may not grow either.
    refused(folder.start("full", preexec_fn=limit), ["cannot write", "full/"])
    check(before == {path.name: path.read_bytes() for path in run.glob("*.safetensors")}, "full: the state was harmed")
    folder.ends("full")


def read_only(folder: Folder) -> None:
    run = folder.stopped("locked")
    bind = ["mount", "--bind", run, run]
    if subprocess.run(bind, capture_output=True).returncode == 0:
        subprocess.run(["mount", "-o", "remount,ro,bind", run], check=True)
        undo = lambda: subprocess.run(["umount", run], check=True)
    else:
        run.chmod(0o555)
        undo = lambda: run.chmod(0o755)
    try:
        refused(folder.start("locked"), ["cannot", "locked"])
    finally:
        undo()
    folder.ends("locked")


def closed_output(folder: Folder) -> None:
    words = [word for word in folder.words("closed") if word != "--quiet"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    check(process.wait() == 0 and not said, f"closed output: code {process.returncode}: {said}")
    check(cut.outcome(folder.path / "closed") == folder.expected, "closed is not the run that was read")
    with open("/dev/full", "w") as full:
        refused(folder.start("unsaid", stdout=full), ["cannot write to standard output"])
    check(cut.outcome(folder.path / "unsaid") == folder.expected, "unsaid is not the run that was read")


def twice(folder: Folder) -> None:
    """Two interrupts end the process at once."""
    process = folder.begun("twice")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    check(process.wait() == 130, f"two interrupts: code {process.returncode}")
    print(f"two interrupts: ended after {time.monotonic() - began:.2f} s", flush=True)
    folder.ends("twice")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("neural", nargs="?", default=str(root / "target/release/neural"))
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=2000, help="epochs of a run; each is killed again and again until it ends")
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Folder(arguments.neural, pathlib.Path(temporary), arguments.epochs)
        for accident in [two_processes, full_disk, read_only, closed_output, twice]:
            accident(folder)
        kills(folder, arguments.kills)


main()
