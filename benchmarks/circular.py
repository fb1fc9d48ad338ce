"""Schedules of circular blurs for volumes and for Poisson noise, on training images.

    python benchmarks/circular.py --data FOLDER [--crops 2] [--only PATTERN]

* Volumes: 6 slices of 64 x 64 pixels of a grey training image, each two pixels beside the one before; restored slice by
  slice. Images: colour crops of 96 x 96 pixels.
* Kernels: Gaussians and a box, which suppress much of an image.
* Noise: white of 5.1 of 255, and Poisson noise of gain 0.01.
* Every schedule of :data:`TASKS` restores every measurement.

Appends the PSNR in dB, without clipping, to ``results/circular.csv``; rows in this file are not measured again.
``--only`` is a regular expression for ``crop image kernel noise``.
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from csv_table import Table
from deepinv.physics import Blur, GaussianNoise, NoiseModel, PoissonNoise
from deepinv.physics.functional import gaussian_blur
from rich.console import Console
from torch import Tensor
from training_crops import crops

from daep_deepinv import DAEP, DAEPrior
from daep_prior import schedules

RESULTS = Path(__file__).parent / "results" / "circular.csv"
KEY = ("crop", "image", "kernel", "noise", "task")
TASKS = ("general", "circular blur", "strong circular blur")
SIDE, SLICES, IMAGE_SIDE = 64, 6, 96
NOISE: dict[str, NoiseModel] = {"gaussian": GaussianNoise(5.1 / 255), "poisson": PoissonNoise(0.01, clip_positive=True)}


def _gaussian_volume(width: float) -> Tensor:
    axis = torch.exp(-(torch.arange(-3.0, 4) ** 2) / (2 * width**2))
    kernel = axis[:, None, None] * axis[:, None] * axis
    return (kernel / kernel.sum())[None, None]


KERNELS = {
    "volume": {
        "box": torch.ones(1, 1, 3, 3, 3) / 27,
        "gaussian": _gaussian_volume(1.2),
    },
    "colour": {"gaussian": gaussian_blur(sigma=(1.6, 1.6))},
}


def measurements(folder: Path, count: int) -> Iterator[tuple[tuple[str, str, str, str], Tensor, Tensor, Blur]]:
    """Names, clean image, measurement and physics of each case."""
    for number, crop in enumerate(crops(folder, count)):
        grey = crop.mean(1, keepdim=True)
        volume = torch.stack([grey[..., :SIDE, 2 * i : 2 * i + SIDE] for i in range(SLICES)], 2)
        for kind, x in (("volume", volume), ("colour", crop[..., :IMAGE_SIDE, :IMAGE_SIDE])):
            for kernel, values in KERNELS[kind].items():
                for noise, model in NOISE.items():
                    physics = Blur(values, padding="circular", noise_model=model)
                    torch.manual_seed(number)  # deepinv's noise models have no generator
                    yield (str(number), kind, kernel, noise), x, physics(x), physics


def main() -> None:
    """Measure the missing rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--crops", type=int, default=2)
    parser.add_argument("--only", default="")
    arguments, console, table = parser.parse_args(), Console(highlight=False), Table(RESULTS, *KEY)
    network = DAEPrior().denoiser
    for names, x, y, physics in measurements(arguments.data / "train", arguments.crops):
        if not re.search(arguments.only, " ".join(names)):
            continue
        (plan,) = DAEP(denoiser=network).plan(y, physics)
        level = plan.noise.level / plan.range.scale
        with_schedule = {"scale": plan.range.scale, "bounds": plan.range.bounds, "denoiser": network}
        for task in TASKS:
            if table.find(*names, task):
                continue
            schedule = schedules.preset("annealed", level, task=task)
            restored = DAEP(schedule=schedule, **with_schedule)(y, physics)
            psnr = -10 * float((restored - x).square().mean().log10())
            table.add(dict(zip(KEY, (*names, task), strict=True)) | {"psnr": f"{psnr:.2f}"})
            console.print(*names, task, f"{psnr:.2f}")


if __name__ == "__main__":
    main()
