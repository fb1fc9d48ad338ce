"""Blind deblurring of colour photographs under blurs of all kinds.

    python benchmarks/blind_synthetic.py --data FOLDER [--set kodak|training|mixed] [--cases N] [--all] [--again]

* Photographs: 384 x 384 pixels, the middle of the 24 Kodak images, or of the training images that are large enough.
* Kernels: twelve of 9 to 41 pixels, see :func:`kernels`: camera shake, straight motion, defocus, Gaussian, and
  compositions. Photograph i has kernel i modulo 12, with ``--all`` each.
* ``--set mixed``: 48 training photographs, some of them thrice, under as many other kernels of 7 to 41 pixels.
* Noise of 1 %, 8 bits, valid borders.
* ``BlindDAEP(size=41)`` for all, beside the same restoration with the true kernel; measured as in ``blind.py``.

Kodak reports; the other sets are for choices. Writes ``results/blind-synthetic-SET.*``, as ``blind.py`` does.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from blind import measure_missing
from blind_cases import BlindCase, blurred, trail
from PIL import Image
from protocol import data_folder, read
from scipy.signal import convolve2d
from torch import Tensor

from daep_cli.kernels.shapes import disk, gaussian, motion
from daep_deepinv.blind.kernels import STARTS

RESULTS = Path(__file__).parent / "results"
#: Side of a photograph and of the largest kernel, pixels; noise level.
SIDE, SIZE, NOISE = 384, 41, 2.55 / 255
#: Number of cases of the set ``mixed``.
MIXED_CASES = 48
#: Sides of its trails, pixels.
MIXED_SIDES = {"small": (7, 9, 11), "middle": (13, 17, 21, 25), "wide": (31, 35, 41)}


def kernels() -> dict[str, Tensor]:
    """Name -> kernel (n, n), n odd, sum 1; in the order in which the photographs get them."""
    drawn = {
        "shake 9": trail(9, (21, 0)),
        "motion 15": motion(15, 25),
        "defocus 13": disk(6),
        "shake 17": trail(17, (21, 1)),
        "gaussian 1.6": gaussian(1.6),
        "shake 25": trail(25, (21, 2)),
        "shake 13 and gaussian 1": convolve2d(trail(13, (21, 3)), gaussian(1.0)),
        "motion 29": motion(29, 110),
        "shake 33": trail(33, (21, 4)),
        "defocus 7 and motion 15": convolve2d(disk(3), motion(15, 60)),
        "gaussian 2.4": gaussian(2.4),
        "shake 41": trail(41, (21, 5)),
    }
    return {name: _square(torch.as_tensor(kernel).float()) for name, kernel in drawn.items()}


def _square(kernel: Tensor) -> Tensor:
    """A kernel (h, w), h and w odd, in the smallest square, with sum 1."""
    side = max(kernel.shape)
    down, across = ((side - n) // 2 for n in kernel.shape)
    return F.pad(kernel, (across, across, down, down)) / kernel.sum()


def photographs(data: Path, which: str) -> list[Path]:
    """The files of a set."""
    if which == "kodak":
        return sorted((data / "kodak24").glob("*.png"))
    files = sorted((data / "train").glob("*/*.jpg"))
    return [path for path in files if min(Image.open(path).size) >= SIDE + SIZE - 1]


def cases(data: Path, which: str, everything: bool) -> Iterator[BlindCase]:
    """The blurred photographs of a set, each with one kernel or with ``everything``."""
    blurs = list(kernels().items())
    for number, path in enumerate(photographs(data, which)):
        for name, kernel in blurs if everything else [blurs[number % len(blurs)]]:
            yield middle(read(path), f"{path.stem}, {name}", kernel, number)


def mixed(data: Path) -> Iterator[BlindCase]:
    """Training photographs under random trails, half of them small or wide, and some other kernels."""
    files = photographs(data, "training")
    for number in range(MIXED_CASES):
        kind, kernel = mixed_kernel(number)
        yield middle(read(files[number % len(files)]), f"{number}: {kind}", kernel, 1000 + number)


def mixed_kernel(number: int) -> tuple[str, Tensor]:
    """Kind and kernel (n, n) of a case of :func:`mixed`."""
    rng, turn = np.random.default_rng((505, number)), number // 8 % 3
    kind = ("small", "middle", "wide", "composed", "middle", "wide", "other", "small")[number % 8]
    sides = {name: int(rng.choice(several)) for name, several in MIXED_SIDES.items()}
    if kind == "other":
        shapes = (
            disk(float(rng.uniform(2, 7))),
            motion(float(rng.uniform(8, 30)), float(rng.uniform(0, 180))),
            gaussian(float(rng.uniform(1, 2.6))),
        )
        return kind, _square(torch.as_tensor(shapes[turn]).float())
    kernel = trail(sides.get(kind, 13), (505, number))
    if kind == "composed":
        kernel = torch.as_tensor(convolve2d(kernel, (gaussian(1.0), disk(2), motion(9, 40))[turn]))
    return kind, _square(kernel.float())


def middle(x: Tensor, name: str, kernel: Tensor, seed: int, side: int = SIDE) -> BlindCase:
    """The middle of a photograph (1, C, H, W) under a kernel (n, n), n odd, up to ``side`` pixels."""
    wide = min(side + kernel.shape[0] - 1, *x.shape[-2:])
    top, left = ((n - wide) // 2 for n in x.shape[-2:])
    return replace(blurred(name, x[..., top : top + wide, left : left + wide], kernel, NOISE, seed), size=SIZE)


def main() -> None:
    """Measure the missing cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--set", choices=("kodak", "training", "mixed"), default="kodak")
    parser.add_argument("--cases", type=int, help="the first so many; default all")
    parser.add_argument("--all", action="store_true", help="every photograph with every kernel; not of mixed")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    data = data_folder(arguments.data)
    made = mixed(data) if arguments.set == "mixed" else cases(data, arguments.set, arguments.all)
    wanted = list(made)[: arguments.cases]
    base = arguments.results / f"blind-synthetic-{arguments.set}"
    measure_missing(wanted, base, arguments.again, STARTS, "fast")


if __name__ == "__main__":
    main()
