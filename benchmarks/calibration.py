"""Whether the deviation of ``DAEP.posterior`` is the error, in four tasks.

    python benchmarks/calibration.py --data FOLDER [--images kodak24] [--count 24] [--samples 16] [--options fresh=0.5]

* Images: crops of 64 x 64 pixels from the middle of Kodak24, or of training images (``--images train``).
* Tasks: Gaussian blur of 1.6 pixels with noise of 2.55; bicubic reduction by 3 with noise of 1; 70 % of the pixels
  missing, noise of 2.55; parallel-beam tomography with 60 angles, grey, noise of 2.55. White is 255.
* ``coverage``: share of the pixels within the 90 % interval. ``rank``: Spearman's correlation of deviation and absolute
  error over all pixels of a crop; ``rank 8x8``: of their root mean squares over windows of 8 x 8 pixels. Means over the
  crops. ``mean`` and ``default``: PSNR of the samples' mean and of ``DAEP`` in dB.
* ``factor``: what the deviation is still to be multiplied by for the intervals to cover 90 % of all pixels. With
  ``CALIBRATION`` of ``daep_deepinv.posterior`` at 1, training images gave the values that are there.

Writes ``results/calibration.csv``, for training images ``results/calibration_train.csv``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist

import deepinv as dinv
import torch
from csv_table import Table
from deepinv.physics import LinearPhysics
from gallery import SIZE, images
from protocol import data_folder
from rich.console import Console
from torch import Tensor
from torch.nn.functional import avg_pool2d

from daep_deepinv import DAEP, degradation

RESULTS = Path(__file__).parent / "results"
SEED = 0
#: Share of the pixels that an interval is to cover, and half its width in standard deviations.
SHARE = 0.9
HALF_WIDTH = NormalDist().inv_cdf((1 + SHARE) / 2)
#: Side of the windows of ``rank 8x8``, pixels.
WINDOW = 8


def deblurring(shape: tuple[int, ...], number: int) -> LinearPhysics:
    """Gaussian blur, circular."""
    return degradation(dinv.physics.functional.gaussian_blur(sigma=(1.6, 1.6)), sigma=2.55 / 255, padding="circular")


def super_resolution(shape: tuple[int, ...], number: int) -> LinearPhysics:
    """Bicubic reduction by 3."""
    return degradation(factor=3, sigma=1 / 255, img_size=(shape[0], shape[1], shape[2]))


def missing_pixels(shape: tuple[int, ...], number: int) -> LinearPhysics:
    """30 % of the pixels are known, another mask for each crop."""
    mask = (torch.rand((1, *shape[1:]), generator=torch.Generator().manual_seed(number)) < 0.3).float()
    noise = dinv.physics.GaussianNoise(2.55 / 255)
    return dinv.physics.Inpainting(shape, mask=mask.expand(shape), noise_model=noise)


def tomography(shape: tuple[int, ...], number: int) -> LinearPhysics:
    """60 angles."""
    noise = dinv.physics.GaussianNoise(2.55 / 255)
    return dinv.physics.Tomography(angles=60, img_width=shape[-1], circle=False, normalize=True, noise_model=noise)


TASKS: dict[str, tuple[Callable[[tuple[int, ...], int], LinearPhysics], float]] = {
    "deblurring": (deblurring, 2.55 / 255),
    "super-resolution": (super_resolution, 1 / 255),
    "missing pixels": (missing_pixels, 2.55 / 255),
    "tomography": (tomography, 2.55 / 255),
}


def spearman(a: Tensor, b: Tensor) -> float:
    """Rank correlation of all values."""
    ranks = torch.stack([v.flatten().argsort().argsort().double() for v in (a, b)])
    return float(torch.corrcoef(ranks)[0, 1])


def in_windows(x: Tensor) -> Tensor:
    """Root mean square over windows."""
    return avg_pool2d(x.square().mean(1, keepdim=True), WINDOW).sqrt()


def measured(task: str, clean: list[Tensor], samples: int, **options: float) -> dict[str, float]:
    """The row of a task."""
    build, sigma = TASKS[task]
    rows, ratios = [], []
    for number, x in enumerate(clean):
        x = x.mean(1, keepdim=True) if task == "tomography" else x
        side = SIZE - SIZE % 3 if task == "super-resolution" else SIZE
        x = x[..., :side, :side]
        physics = build(tuple(x.shape[1:]), number)
        y = physics.A(x)
        y = y + sigma * torch.randn(y.shape, generator=torch.Generator().manual_seed(number))
        if task == "missing pixels":
            y = y * physics.mask
        model = DAEP(sigma, check_noise=False)
        began = time.perf_counter()
        found = model.posterior(y, physics, n=samples, seed=SEED, **options)
        seconds = time.perf_counter() - began
        error, psnr = (found.mean - x).abs(), dinv.metric.PSNR()
        low, high = found.interval(SHARE)
        deviation = found.deviation.clamp_min(1e-8)
        ratios.append((error / deviation).flatten())
        rows.append(
            {
                "coverage": float(((low <= x) & (x <= high)).float().mean()),
                "rank": spearman(deviation, error),
                "rank 8x8": spearman(in_windows(deviation), in_windows(error)),
                "mean": float(psnr(found.mean.clamp(0, 1), x)),
                "default": float(psnr(model(y, physics), x)),
                "seconds": seconds,
            }
        )
    row = {name: sum(one[name] for one in rows) / len(rows) for name in rows[0]}
    return row | {"factor": float(torch.cat(ratios).quantile(SHARE)) / HALF_WIDTH}


def main() -> None:
    """Measure the tasks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--images", default="kodak24", choices=("kodak24", "train"))
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--tasks", default="")
    parser.add_argument("--options", nargs="*", default=[], help="of SamplingPlan, as fresh=0.5 levels=10")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    clean = images(data_folder(arguments.data), arguments.images, arguments.count)
    name = "calibration.csv" if arguments.images == "kodak24" else "calibration_train.csv"
    table, console = Table(arguments.results / name, "task"), Console()
    named = dict(option.split("=") for option in arguments.options)
    options = {name: int(value) if name == "levels" else float(value) for name, value in named.items()}
    for task in TASKS:
        if arguments.tasks not in task:
            continue
        row = measured(task, clean, arguments.samples, **options)
        shown = {"task": task, "crops": str(len(clean)), "samples": str(arguments.samples)}
        table.drop(lambda old, task=task: old["task"] == task)
        table.add(shown | {name: f"{value:.3f}" for name, value in row.items()})
        console.print(task, shown, {name: round(value, 3) for name, value in row.items()})


if __name__ == "__main__":
    main()
