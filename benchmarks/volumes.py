"""Grey volumes of training images, slice by slice and with three neighbouring slices as colours.

    python benchmarks/volumes.py --data FOLDER [--crops 3] [--denoised 6]

* Volumes: 6 slices of 64 x 64 pixels of a grey training image, each 0, 1 or 2 pixels beside the one before, or of
  unlike images.
* Denoising: white noise of 0.03 and 0.1, as the network sees them, by ``AnyChannelDenoiser``.
* Blur: the mean of 3 x 3 x 3 pixels, circular; slices that move by 1 and 2 pixels; Gaussian noise of 5 % of the root
  mean square of the measurement, Poisson noise of 10 %. ``DAEP()``, and total variation with the best of its three
  weights, chosen with the clean volume.

Appends to ``results/volumes.csv`` the PSNR in dB of four methods: slice by slice (``slices``), always with neighbouring
slices (``forced``), with them where the prior finds the slices alike (``prior``), and total variation (``tv``). Rows in
this file are not measured again.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import torch
from csv_table import Table
from deepinv.physics import Blur
from physics_matrix_methods import Problem, total_variation
from physics_matrix_operators import noise_of
from rich.console import Console
from torch import Tensor, nn
from training_crops import crops

from daep_deepinv import DAEP, AnyChannelDenoiser, DAEPrior
from daep_prior import neighbouring_slices

RESULTS = Path(__file__).parent / "results" / "volumes.csv"
KEY = ("task", "noise", "moves", "crop")
SIDE, SLICES, LEFT = 64, 6, 40
MOVES: tuple[int | None, ...] = (0, 1, 2, None)
LEVELS = (0.03, 0.1)
#: Correlations that no volume or every volume has: nothing, or everything, is alike.
NOTHING, EVERYTHING = 2.0, -2.0


def volume(images: list[Tensor], number: int, moves: int | None) -> Tensor:
    """(1, 1, D, H, W); ``moves=None``: each slice of another image."""
    slices = []
    for i in range(SLICES):
        image = images[number if moves is not None else (number + i) % len(images)]
        left = LEFT + (moves or 0) * i
        slices.append(image[..., LEFT : LEFT + SIDE, left : left + SIDE])
    return torch.stack(slices, 2)


def denoising(images: list[Tensor], count: int) -> Iterator[tuple[tuple[str, ...], Tensor, Callable[[], Tensor], None]]:
    """Key, clean volume, and how it is denoised."""
    model = AnyChannelDenoiser("dae")
    for moves in MOVES:
        for level in LEVELS:
            for number in range(count):
                x = volume(images, number, moves)
                y = x + level * torch.randn(x.shape, generator=torch.Generator().manual_seed(number))
                key = ("denoising", f"{level}", "unlike" if moves is None else str(moves), str(number))
                yield key, x, lambda y=y, level=level: model(y, level), None  # type: ignore[misc]


def blurs(images: list[Tensor], count: int) -> Iterator[tuple[tuple[str, ...], Tensor, Callable[[], Tensor], Problem]]:
    """The same for a blur."""
    network = DAEPrior().denoiser
    for noise in ("gaussian", "poisson"):
        for moves in (1, 2):
            for number in range(count):
                x = volume(images, number, moves)
                physics = Blur(torch.ones(1, 1, 3, 3, 3) / 27, padding="circular")
                clean = physics.A(x)
                physics.noise_model = noise_of(noise, clean)
                torch.manual_seed(number)  # deepinv's noise models have no generator
                y = physics(x)
                problem = Problem(x, y, physics, float((y - clean).square().mean().sqrt()))
                key = ("blur", noise, str(moves), str(number))
                yield key, x, lambda y=y, physics=physics: DAEP(denoiser=network)(y, physics), problem  # type: ignore[misc]


def decided(problem: Problem, network: nn.Module, row: dict[str, str]) -> dict[str, str]:
    """As the plan decides, without restoring again; and total variation."""
    (plan,) = DAEP(denoiser=network).plan(problem.y, problem.physics)
    best = max(-10 * float((out - problem.x).square().mean().log10()) for out in total_variation(problem, network))
    return {"prior": row["forced" if "neighbouring" in str(plan) else "slices"], "tv": f"{best:.2f}"}


def main() -> None:
    """Measure the missing rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--crops", type=int, default=3)
    parser.add_argument("--denoised", type=int, default=6)
    arguments, console, table = parser.parse_args(), Console(highlight=False), Table(RESULTS, *KEY)
    images = [crop.mean(1, keepdim=True) for crop in crops(arguments.data / "train", 8)]
    network = DAEPrior().denoiser
    with torch.no_grad():
        for key, x, restore, problem in (*denoising(images, arguments.denoised), *blurs(images, arguments.crops)):
            if table.find(*key):
                continue

            def psnr(out: Tensor, x: Tensor = x) -> str:
                return f"{-10 * float((out - x).square().mean().log10()):.2f}"

            row = dict(zip(KEY, key, strict=True))
            for name, least in (("slices", NOTHING), ("forced", EVERYTHING)):
                with patch.object(neighbouring_slices, "ALIKE", least):
                    row[name] = psnr(restore())
            row |= {"prior": psnr(restore()), "tv": ""} if problem is None else decided(problem, network, row)
            table.add(row)
            console.print(*row.values())


if __name__ == "__main__":
    main()
