#!/usr/bin/env python3
"""Cuts the power of a disk on which a run is trained, at random moments, and resumes from the state of the disk. Every
run must end with the history and the weights of one that was never cut, to the last bit.

The disk is an ext4 image on a btrfs: a clone of the image is the disk at one moment, with the data that was written
back and without the data that was in memory only. A resumed clone is cut in its turn.

usage: sudo tests/power.py [--cuts N] [--seed N] [PATH-OF-NEURAL]     (Linux; mkfs.ext4, mkfs.btrfs, losetup)
"""

import argparse
import contextlib
import fcntl
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import cut

root = pathlib.Path(__file__).resolve().parent.parent

# From linux/fs.h.
FICLONE = 0x40049409


def clone(image: pathlib.Path, to: pathlib.Path) -> None:
    with image.open("rb") as source, to.open("wb") as target:
        fcntl.ioctl(target.fileno(), FICLONE, source.fileno())


@contextlib.contextmanager
def mounted(image: pathlib.Path, folder: pathlib.Path, options: str = ""):
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop" + options, image, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("neural", nargs="?", default=str(root / "target/release/neural"))
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=400)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("power.py: must be run as root, to mount disks")
    random.seed(arguments.seed)
    # In memory if there is such a place: the disk is simulated in any case.
    place = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=place) as temporary:
        folder = pathlib.Path(temporary)
        recipe = cut.write(folder, arguments.epochs)
        began = time.monotonic()
        whole = [arguments.neural, "train", recipe, "--runs", folder, "--name", "whole", "--quiet"]
        subprocess.run(whole, check=True, stdout=subprocess.DEVNULL)
        lasts = time.monotonic() - began
        expected = cut.outcome(folder / "whole")

        outer, blank = folder / "outer.img", folder / "outer/blank.img"
        outer.touch()
        os.truncate(outer, 4 << 30)
        subprocess.run(["mkfs.btrfs", "--quiet", outer], check=True, stdout=subprocess.DEVNULL)
        with mounted(outer, folder / "outer"):
            blank.touch()
            os.truncate(blank, 64 << 20)
            subprocess.run(["mkfs.ext4", "-q", blank], check=True)
            cuts = resumed = begun = mended = 0
            disks = []
            while cuts < arguments.cuts or disks:
                if disks:
                    disk = disks.pop()
                else:
                    disk = folder / f"outer/new-{cuts}.img"
                    clone(blank, disk)
                is_cut = disk.name.startswith("cut")
                # A journal that is written every second loses less, but leaves more files half written.
                with mounted(disk, folder / "disk", random.choice(["", ",commit=1"])) as here:
                    run = here / "runs/run"
                    words = [arguments.neural, "train", "--tensorboard"]
                    if run.joinpath("recipe.toml").exists():
                        words += ["--resume", run]
                        begun += is_cut
                    else:
                        words += [recipe, "--runs", here / "runs", "--name", "run"]
                    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                    for moment in sorted(random.uniform(0, lasts) for _ in range(2)):
                        time.sleep(moment / 2)
                        if process.poll() is None and cuts < arguments.cuts:
                            cuts += 1
                            disks.append(folder / f"outer/cut-{cuts}.img")
                            clone(disk, disks[-1])
                    said = process.communicate()[0]
                    if process.returncode != 0:
                        sys.exit(f"{disk.name}: ended with code {process.returncode}: {said}")
                    if cut.outcome(run) != expected:
                        sys.exit(f"{disk.name} is not the run that was never cut")
                    resumed += is_cut
                    mended += "made anew from the checkpoint" in said
                disk.unlink()
                print(
                    f"{cuts} cuts, {resumed} gone on with, {begun} of them with a run begun, {mended} with a mended history,"
                    " every one ended with the same bits",
                    flush=True,
                )


main()
