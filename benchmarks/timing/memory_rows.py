"""Rows about the peak memory of a gradient (Linux). Run as a program it prints that peak.

python -m timing.memory_rows NETWORK SIDE PLAIN
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from daep_prior import load_dae
from timing.race import Figure, Row, by_autograd, figure, gradient, image

SIDE = 512


def memory(a: argparse.Namespace) -> Iterator[Row]:
    """The gradient with one bit an activation against autograd's, each in a process of its own."""

    def measure(name: str) -> Figure:
        ours, other = (peak(name, SIDE, plain) / SIDE**2 for plain in (False, True))
        return figure(ours, other, "bytes a pixel at the peak", "autograd against bits")

    for name in ("dae", "dae-sigma25"):
        yield f"memory | {name}, {SIDE} x {SIDE}", partial(measure, name)


def peak(name: str, side: int, plain: bool) -> int:
    """Bytes that a gradient adds to the peak of a new process."""
    command = [sys.executable, "-m", "timing.memory_rows", name, str(side), str(int(plain))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return int(run.stdout.split()[-1])


def print_peak(name: str, side: int, plain: bool) -> None:
    """The program that :func:`peak` runs."""
    torch.set_num_threads(1)
    dae = load_dae(name)

    def run(size: int) -> int:
        work = gradient(dae, image(size, torch.device("cpu")))
        (by_autograd(work) if plain else work)()
        # not ru_maxrss, which a program inherits from the one that started it
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

    small = run(64)  # libraries and weights
    print(run(side) - small)


if __name__ == "__main__":
    print_peak(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1")
