"""Presets and peers on crops of training images. Presets are tuned on such crops, never on test images.

    python benchmarks/training_crops.py --data FOLDER [--crops 8] [--methods annealed,fast,pnp-hqs,...] [--again]
                                       [--problems "blur 2.55" ...]

* Images: crops of 180 x 180 pixels of random *training* images (``train/`` in the data folder), from a fixed seed.
* Deblurring: ``valid`` blur, one kernel a crop: random motion of 15 to 31 pixels, defocus, or Gaussian. Noise of 2.55,
  7.65 and 12.75 of 255; noise of 5.1 where 2.55 is assumed; noise-free in 8 bits. The same kernels with circular
  boundaries, noise of 2.55 and 7.65.
* Super-resolution: bicubic reduction by 2 to 5, noise-free in 8 bits.
* PSNR without a frame of 15 pixels, half the largest kernel: the unmeasured border would dominate small crops. With
  circular boundaries there is none.

Writes the means to ``results/training_crops.csv``. Means in this file are not measured again; ``--again`` removes those
of the methods named.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from csv_table import Table
from deepinv.physics.generator import MotionBlurGenerator
from measurements import MEASUREMENTS, measure, restore
from PIL import Image
from protocol import Case, blurred, data_folder, eight_bits, read
from rich.console import Console
from torch import Tensor

from daep_cli.kernels.shapes import disk, gaussian
from daep_deepinv import DAEDenoiser, degradation

RESULTS = Path(__file__).parent / "results"
#: Side of a crop and frame without PSNR, pixels.
SIZE, MARGIN = 180, 15
SEED = 0
#: Sides of the motion kernels, pixels.
MOTION = (15, 19, 21, 25, 27, 31)
#: Names in ``MEASUREMENTS``.
NOISE = ("2.55", "7.65", "12.75", "5.1, assumed 2.55", "2.55, circular", "7.65, circular")
#: Names of all problems.
PROBLEMS = (*(f"blur {name}" for name in NOISE), "blur 0", "x2", "x3", "x4", "x5")


def crops(folder: Path, count: int) -> list[Tensor]:
    """Random crops, (1, 3, SIZE, SIZE), of the images in ``folder`` that are large enough."""
    rng, found = np.random.default_rng(SEED), []
    for path in rng.permutation(sorted(folder.glob("*/*.jpg"))):
        width, height = Image.open(path).size
        if min(width, height) >= SIZE and len(found) < count:
            top, left = (int(rng.integers(side - SIZE + 1)) for side in (height, width))
            found.append(read(path, (top, top + SIZE, left, left + SIZE)))
    return found


def kernel(number: int) -> npt.NDArray[np.float64]:
    """The kernel of a crop, (h, w): random motion in six of eight."""
    rng = np.random.default_rng((SEED, number))
    if number % 8 == 6:
        return disk(rng.uniform(2, 4))
    if number % 8 == 7:
        return gaussian(rng.uniform(1, 2.5))
    size = MOTION[number % len(MOTION)]
    smoothness, strength = (0.3, 0.5)[number % 2], (0.25, 0.5)[number % 3 == 0]
    motion = MotionBlurGenerator((size, size), l=smoothness, sigma=strength).step(seed=number)["filter"][0, 0].double()
    return (motion / motion.sum()).numpy()


def cases(clean: list[Tensor]) -> Iterator[tuple[str, list[Case]]]:
    """The problems by name, one case a crop."""
    margin = (MARGIN, MARGIN)
    kernels = [kernel(i) for i in range(len(clean))]
    for name in NOISE:
        how = MEASUREMENTS[name]
        measured = [measure(x, i, k, how) for i, (x, k) in enumerate(zip(clean, kernels, strict=True))]
        yield f"blur {name}", measured if how.border == "circular" else [replace(c, margin=margin) for c in measured]
    exact = [blurred("", x, k, 0.0) for x, k in zip(clean, kernels, strict=True)]
    yield "blur 0", [replace(case, measurement=eight_bits(case.measurement), margin=margin) for case in exact]
    for factor in (2, 3, 4, 5):
        reduce = degradation(factor=factor, img_size=(3, SIZE, SIZE))
        yield f"x{factor}", [Case("", x, eight_bits(reduce.A(x)), reduce, 0.0, margin) for x in clean]


def main() -> None:
    """Measure the missing means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--denoiser", default="dae")
    parser.add_argument("--crops", type=int, default=8)
    parser.add_argument("--methods", default="annealed,fast,pnp-hqs,pnp-hqs-24")
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    clean = crops(data_folder(arguments.data) / "train", arguments.crops)
    table, console = Table(arguments.results / "training_crops.csv", "problem", "method", "crops"), Console()
    methods, count = arguments.methods.split(","), str(len(clean))
    if arguments.again:
        table.drop(lambda row: row["method"] in methods and row["problem"] in arguments.problems)
    network = DAEDenoiser(arguments.denoiser)
    for problem, measured in cases(clean):
        for method in methods if problem in arguments.problems else ():
            if table.find(problem, method, count):
                continue
            psnr = sum(case.psnr(restore(method, case, network)) for case in measured) / len(measured)
            table.add({"problem": problem, "method": method, "crops": count, "psnr": f"{psnr:.3f}"})
            console.print(f"{problem:10} {method:10} {psnr:.3f} dB")


if __name__ == "__main__":
    main()
