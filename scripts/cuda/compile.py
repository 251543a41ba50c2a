"""Compiles every program that a GPU would be given, without a GPU, and reports the results.

usage: scripts/cuda_compile [--recipes] [--chips CHIP ...] [--only WORD ...] [--report FILE] [--write-bounds] [--write-docs]
       scripts/cuda_compile --jax PYTHON
"""

import argparse
import json
import os
import pathlib
import queue
import resource
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import analysis
from chips import CHIPS
from programs import Compilation, Recorder, settings, unasked

BOUNDS = pathlib.Path(__file__).resolve().parent / "launches.json"
DOCS = pathlib.Path(__file__).resolve().parent.parent.parent / "docs/cuda.md"
# The table of all programs lies between these lines of the page.
MARKS = ("<!-- scripts/cuda_compile --write-docs writes from here -->\n", "<!-- to here -->\n")
# The chip that the bounds are for.
BOUNDED = "sm_90"


class Outcome(NamedTuple):
    compilation: Compilation
    chip: str
    seconds: float
    program: analysis.Program | None
    faults: list[str]


class Compiler:
    """A process that compiles for a chip, one program after the other."""

    def __init__(self, tools: argparse.Namespace, chip: str, devices: int, folder: pathlib.Path):
        folder.mkdir(parents=True)
        self.dump = folder / "dump"
        target = folder / "target.txtpb"
        target.write_text(CHIPS[chip].target())
        flags = [f"--xla_dump_to={self.dump}", "--xla_gpu_force_compilation_parallelism=1"]
        self.errors = open(folder / "stderr", "w")
        self.process = subprocess.Popen(
            [tools.ahead, tools.plugin, target, f"1x1x{devices}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, text=True, env=os.environ | {"XLA_FLAGS": " ".join(flags)},
        )

    def stems(self) -> set[str]:
        names = self.dump.iterdir() if self.dump.is_dir() else []
        return {name.name.split(".sm_")[0] for name in names if name.name.endswith("gpu_after_optimizations.txt")}

    def compile(self, compilation: Compilation, chip: str) -> Outcome:
        before = self.stems()
        self.process.stdin.write(f"{compilation.program} {compilation.options}\n")
        self.process.stdin.flush()
        word, _, rest = self.process.stdout.readline().partition(" ")
        if word != "ok":
            return Outcome(compilation, chip, 0.0, None, [rest.strip()[:500] or "the compiler ended"])
        seconds, _, _, aliased, _ = rest.split()
        (stem,) = self.stems() - before
        program = analysis.read(self.dump, stem)
        faults = program.faults + unasked(compilation.options.read_bytes())
        if compilation.precise and program.rounded:
            faults.append(f"{program.rounded} products and convolutions may round to TF32")
        if int(aliased) != program.aliased:
            faults.append(f"{program.aliased} bytes were to take over an argument's memory, {aliased} do")
        return Outcome(compilation, chip, float(seconds), program, faults)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.errors.close()


def distinct(compilations: list[Compilation]) -> list[Compilation]:
    """The first of each group of equal programs with equal settings."""
    found = {}
    for compilation in compilations:
        key = (compilation.program.read_bytes(), settings(compilation.options.read_bytes()), compilation.devices)
        found.setdefault(key, compilation)
    return list(found.values())


def compile_all(tools, compilations, chips, scratch) -> list[Outcome]:
    """Compiles with a process for each core, each for a chip and a number of devices at a time."""
    outcomes: list[Outcome] = []
    for chip in chips:
        wanted = [compilation for compilation in compilations if compilation.everywhere or chip == BOUNDED or tools.everything]
        for devices in sorted({compilation.devices for compilation in wanted}):
            waiting = queue.SimpleQueue()
            # The largest first, so that no core waits long for the last one.
            for compilation in sorted(wanted, key=lambda compilation: -compilation.program.stat().st_size):
                if compilation.devices == devices:
                    waiting.put(compilation)

            def work(number: int, chip=chip, devices=devices, waiting=waiting) -> None:
                compiler = Compiler(tools, chip, devices, scratch / f"{chip}-{devices}-{number}")
                while True:
                    try:
                        compilation = waiting.get_nowait()
                    except queue.Empty:
                        break
                    outcome = compiler.compile(compilation, chip)
                    outcomes.append(outcome)
                    print(line(outcome), flush=True)
                    if tools.report:
                        with open(tools.report, "a") as report:
                            report.write(f"{line(outcome)}\n")
                compiler.close()

            threads = [threading.Thread(target=work, args=[i]) for i in range(min(os.cpu_count() or 1, waiting.qsize()))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    return outcomes


def line(outcome: Outcome) -> str:
    """A row of the report."""
    name = f"| {outcome.compilation.name} | {outcome.chip} |"
    if outcome.program is None:
        return f"{name} | | | | | failed: {outcome.faults[0]} |"
    return f"{name} {outcome.seconds:.1f} | {' | '.join(cells(outcome))} |{''.join(f' **{fault}**' for fault in outcome.faults)}"


def cells(outcome: Outcome) -> list[str]:
    """A program's launches in a step and in each turn of its loops; JAX's; its command buffers; the launches outside them."""
    step, loops = outcome.program.step(outcome.compilation.loops)
    steps = outcome.program.steps(outcome.compilation.loops)
    inner = [f"{turns} · {loop.launches}" for loop, turns in loops]
    counted = " + ".join([str(step.launches), *inner])
    counted = f"{launches(outcome)}, {counted} in a turn of {steps} steps" if steps > 1 else counted
    jax = bounds().get(outcome.compilation.name, {}).get("jax")
    ratio = f"{jax} ({launches(outcome) / jax:.2f})" if jax else ""
    breaks = ", ".join(f"{count} {kind.removeprefix('k')}" for kind, count in sorted(step.breaks.items()))
    return [counted, ratio, str(step.command_buffers), breaks]


def docs_table(outcomes: list[Outcome]) -> list[str]:
    """A row for each program, and one for all layers."""
    rows = ["| program | chips | seconds | launches a step | JAX's (ratio) | command buffers | launches outside of them |", "|---|---|---|---|---|---|---|"]
    of_name: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.program is not None:
            # A layer's programs have no loop over steps.
            name = outcome.compilation.name if outcome.compilation.loops or "exported" in outcome.compilation.name else "layers with gradients"
            of_name.setdefault(name, []).append(outcome)
    for name, found in sorted(of_name.items()):
        chips = [chip for chip in CHIPS if any(outcome.chip == chip for outcome in found)]
        count = len({outcome.compilation.name for outcome in found})
        bounded = [outcome for outcome in found if outcome.chip == BOUNDED] or found
        seconds = sum(outcome.seconds for outcome in bounded)
        if count > 1:
            fewest, most = (f(launches(outcome) for outcome in bounded) for f in (min, max))
            rest = [f"{fewest} to {most}", "", "", ""]
        else:
            rest = cells(bounded[0])
        rows.append(f"| {name}{f' ({count} programs)' if count > 1 else ''} | {', '.join(chips)} | {seconds:.0f} | {' | '.join(rest)} |")
    return rows


def write_docs(outcomes: list[Outcome]) -> None:
    before, _, rest = DOCS.read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    DOCS.write_text(before + MARKS[0] + "\n".join(docs_table(outcomes)) + "\n" + MARKS[1] + after)


def bounds() -> dict:
    return json.loads(BOUNDS.read_text()) if BOUNDS.is_file() else {}


def launches(outcome: Outcome) -> float:
    return outcome.program.launches(outcome.compilation.loops)


def check_bounds(outcomes: list[Outcome], needed: bool) -> list[str]:
    known, faults = bounds(), []
    for outcome in outcomes:
        if outcome.chip != BOUNDED or outcome.program is None:
            continue
        bound = known.get(outcome.compilation.name, {}).get("most")
        if bound is None and needed and outcome.compilation.everywhere:
            faults.append(f"{outcome.compilation.name}: no bound in {BOUNDS.name}; --write-bounds adds it")
        elif bound is not None and launches(outcome) > bound:
            faults.append(f"{outcome.compilation.name}: {launches(outcome)} launches a step, at most {bound} in {BOUNDS.name}")
    return faults


def write_bounds(outcomes: list[Outcome], column: str) -> None:
    known = bounds()
    for outcome in outcomes:
        if outcome.chip == BOUNDED and outcome.program is not None:
            known.setdefault(outcome.compilation.name, {})[column] = launches(outcome)
    rows = [f"  {json.dumps(name)}: {json.dumps(known[name])}" for name in sorted(known)]
    BOUNDS.write_text("{\n" + ",\n".join(rows) + "\n}\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/cuda_compile", description=__doc__)
    parser.add_argument("--recipes", action="store_true", help="only the recipes and models, on one chip")
    parser.add_argument("--chips", nargs="+", choices=CHIPS, help="instead of all of them")
    parser.add_argument("--everything", action="store_true", help=f"all programs for all chips, not for {BOUNDED} alone")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="only programs whose name has one of these words")
    parser.add_argument("--report", type=pathlib.Path, metavar="FILE", help="write the table there too")
    parser.add_argument("--write-bounds", action="store_true", help="make what is found the bounds of later runs")
    parser.add_argument("--write-docs", action="store_true", help="write the table of all programs into docs/cuda.md")
    parser.add_argument("--jax", metavar="PYTHON", help="count the launches of the same models in that Python's JAX instead")
    for tool in ["recorder", "ahead", "plugin", "cpu", "mpi"]:
        parser.add_argument(f"--{tool}", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    started = time.monotonic()
    if arguments.report:
        arguments.report.write_text("")
    with tempfile.TemporaryDirectory(prefix="cuda_compile-") as folder:
        scratch = pathlib.Path(folder)
        recorder = Recorder(arguments.recorder, arguments.cpu, scratch)
        jobs = [] if arguments.jax else recorder.recipes()
        if not arguments.recipes and not arguments.jax:
            jobs += recorder.networks() + recorder.variants() + recorder.layers() + recorder.examples()
        if arguments.only:
            jobs = [job for job in jobs if any(word in job.name for word in arguments.only)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            compilations = [compilation for found in pool.map(recorder.record, jobs) for compilation in found]
        recorded, compilations = len(compilations), distinct(compilations)
        print(f"{recorded} programs, {len(compilations)} of them distinct, were recorded in {time.monotonic() - started:.0f} s\n")
        shared = []
        if not arguments.jax and not arguments.only:
            launcher = arguments.mpi / "bin/mpiexec"
            if launcher.is_file():
                shared = recorder.shared(launcher)
            else:
                print("skipped: two processes, as scripts/setup --mpi has not been run")
        trained = {job.name for job in jobs} & {"mnist_cnn", "lstm", "attention"}
        compilations += [compilation for name in sorted(trained) for compilation in recorder.exported(name)]
        if arguments.jax:
            compilations = recorder.jax(arguments.jax)
        print("| program | chip | compiled in, s | launches a step | JAX's | command buffers | launches outside of them |")
        print("|---|---|---|---|---|---|---|")
        chips = arguments.chips or ([BOUNDED] if arguments.recipes or arguments.jax else sorted(CHIPS, key=BOUNDED.__ne__))
        outcomes = compile_all(arguments, compilations, chips, scratch)
    if arguments.jax:
        write_bounds(outcomes, "jax")
        return 0
    if arguments.write_bounds:
        write_bounds(outcomes, "most")
    if arguments.write_docs:
        write_docs(outcomes)
    faults = [f"{o.compilation.name}, {o.chip}: {fault}" for o in outcomes for fault in o.faults]
    faults += check_bounds(outcomes, arguments.recipes) + shared
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = f"{time.monotonic() - started:.0f} s, {spent.ru_utime + spent.ru_stime:.0f} s of processor time"
    print(f"\n{len(outcomes)} compilations in {seconds}, {len(faults)} faults")
    for fault in faults:
        print(f"fault: {fault}")
    return 1 if faults else 0


sys.exit(main())
