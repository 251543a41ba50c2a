"""A compiled program, from the files that XLA leaves in a folder with `--xla_dump_to`."""

import pathlib
import re
from typing import NamedTuple

BYTES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "f16": 2, "bf16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
# Thunks, the steps of an XLA program, that hold others or only wait.
GROUPS = {"kWhile", "kConditional", "kCommandBuffer", "kSequential", "kAsyncStart", "kAsyncDone", "kDynamicSliceFusion"}
# Instructions that have no place in a step: they go through the host, or take far longer than another form would.
UNWANTED = ["sort", "select-and-scatter", "infeed", "outfeed", "send", "recv"]
# The libraries and compilers that XLA calls for a GPU.
LIBRARIES = ("__cudnn$", "__cublas$", "__triton", "__cub$", "__gpu$", "TopK")


class Loop(NamedTuple):
    depth: int  # 1 for the loop over steps
    launches: int  # in a turn, without the launches of inner loops
    command_buffers: int
    breaks: dict[str, int]  # the launches outside of command buffers, by their kind


class Program(NamedTuple):
    loops: list[Loop]  # the first is the code outside of loops
    turns: list[int | None]  # the trip count of each loop, where XLA knows it
    counts: list[int]  # the increment of each loop's counter in a turn: the steps that the turn takes
    aliased: int  # the bytes of the results that are to take over an argument's memory
    rounded: int  # products and convolutions that may round their operands to TF32
    faults: list[str]

    def step(self, loops: bool) -> tuple[Loop, list[tuple[Loop, int | None]]]:
        """The loop over steps, the outermost one, or the whole program without one; and the loops within it."""
        at = min(int(loops), len(self.loops) - 1)
        return self.loops[at], list(zip(self.loops, self.turns))[at + 1:]

    def steps(self, loops: bool) -> int:
        """The number of steps in a turn of the outermost loop."""
        return self.counts[min(int(loops), len(self.loops) - 1)]

    def launches(self, loops: bool) -> float:
        """The launches of a step, including the loops in it."""
        step, inner = self.step(loops)
        turn = step.launches + sum(loop.launches * (turns or 1) for loop, turns in inner)
        each = turn / self.steps(loops)
        return int(each) if each.is_integer() else round(each, 1)


def read_thunks(lines: list[str]) -> list[Loop]:
    found = [[0, 0, 0, {}]]
    inside = [(-1, 0)]  # the loops around a line: the indent and the number of each
    buffer = None  # the indent of the command buffer around a line
    asking = False
    for line in lines:
        text = line.strip()
        if not text:
            continue
        indent = len(line) - len(line.lstrip())
        # A loop whose number of turns is known is not asked whether it goes on.
        if text in ("condition:", "body:"):
            asking = text == "condition:"
        if asking:
            continue
        if text == "body:":
            found.append([len(inside), 0, 0, {}])
            inside.append((indent, len(found) - 1))
            continue
        matched = re.match(r"\d+: (k\w+)", text)
        if not matched:
            continue
        kind = matched[1]
        while indent <= inside[-1][0]:
            inside.pop()
        if buffer is not None and indent <= buffer:
            buffer = None
        loop = found[inside[-1][1]]
        if kind == "kCommandBuffer":
            loop[2] += 1
            buffer = indent
        elif kind not in GROUPS:
            loop[1] += 1
            if buffer is None:
                loop[3][kind] = loop[3].get(kind, 0) + 1
    return [Loop(*loop) for loop in found]


def size(shape: str) -> int:
    total = 0
    for kind, dims in re.findall(r"\b([a-z]+\d*)\[([\d,]*)\]", shape):
        count = 1
        for dim in filter(None, dims.split(",")):
            count *= int(dim)
        total += BYTES.get(kind, 0) * count
    return total


def read(dump: pathlib.Path, stem: str) -> Program:
    (optimized,) = dump.glob(f"{stem}.*gpu_after_optimizations.txt")
    text = optimized.read_text()
    thunks = dump / f"{stem}.thunk_sequence_after_thunk_passes.txt"
    if not thunks.is_file():  # XLA did nothing more to them
        thunks = dump / f"{stem}.thunk_sequence.txt"
    loops = read_thunks(thunks.read_text().splitlines())

    header = text.splitlines()[0]
    results = re.search(r"entry_computation_layout=\{.*?->(.*?)\}(?:, \w+=|$)", header)
    results = re.findall(r"[a-z]+\d*\[[\d,]*\]", results[1]) if results else []
    aliases = re.search(r"input_output_alias=\{(.*?\))\s*\}", header)
    aliased = sum(size(results[int(i)]) for i in re.findall(r"\{(\d+)\}: \(", aliases[1])) if aliases else 0

    faults, rounded = [], 0
    loops_of: dict[str, list[tuple[str, int | None, int]]] = {}  # of a computation: each loop's body, turns and count
    computation = entry = ""
    for line in re.sub(r"/\*index=\d+\*/", "", text).splitlines():
        if start := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            computation = start[2]
            entry = computation if start[1] else entry
            continue
        matched = re.match(r"\s*(?:ROOT )?%?([\w.\-]+) = (?:\([^=]*?\)|\S+) ([\w\-]+)\(", line)
        if not matched:
            continue
        name, operation = matched.groups()
        if operation == "dot" or "__cudnn$conv" in line or "__cublas$" in line:
            rounded += "operand_precision={highest,highest}" not in line and '"HIGHEST","HIGHEST"' not in line
        if operation == "while":
            body = re.search(r"body=%?([\w.\-]+)", line)[1]
            turns = re.search(r'"known_trip_count":\{"n":"(\d+)"', line)
            count = re.search(r'"known_init_step":\{"init":"\d+","step":"(\d+)"', line)
            loops_of.setdefault(computation, []).append((body, int(turns[1]) if turns else None, int(count[1]) if count else 1))
            if not turns:
                faults.append(f"{name}: XLA does not know how often the loop turns")
        elif operation == "convolution":
            faults.append(f"{name}: a convolution that is no call of cuDNN: {' '.join(line.split())[:200]}")
        elif operation == "custom-call":
            target = re.search(r'custom_call_target="([^"]*)"', line)
            if not target or not target[1].startswith(LIBRARIES):
                faults.append(f"{name}: a call of {target[1] if target else 'something'}")
        elif operation.removesuffix("-start").removesuffix("-done") in UNWANTED:
            faults.append(f"{name}: {operation}")
        if re.search(r"\{[\d,]*:\S*S\(5\)", line):
            faults.append(f"{name}: an array in the host's memory")

    # In the order of the thunks: a loop, then those within it.
    def within(computation: str) -> list[tuple[int | None, int]]:
        return [loop for body, *turning in loops_of.get(computation, []) for loop in [tuple(turning), *within(body)]]

    turns, counts = zip((1, 1), *within(entry))
    return Program(loops, list(turns), list(counts), aliased, rounded, faults)
