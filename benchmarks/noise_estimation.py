"""The noise level that ``DAEP("estimate")`` finds on crops of training images, over the true one.

    python benchmarks/noise_estimation.py --data FOLDER [--crops 8] [--only PATTERN] [--minutes 9] [--shares]

* Images: the middle 64 x 64 or 128 x 128 pixels of the crops of ``training_crops.py``; in colour, the mean of the
  channels, or that as a complex image (two channels) of smooth phase.
* Operators: noise, half of the pixels, a mosaic, two blurs, half the size, a random matrix, random Hadamard rows,
  Fourier columns, tomography. White noise of 0, 1, 2.55, 7.65 and 25 of 255, times the gain of the operator.

Every measured level is appended to ``results/noise_estimation.csv``; an interrupted run continues there. At the end the
median and the extremes of found over true level are printed for each operator, kind, size and level; for noise-free
measurements the found level, of 255. ``warned`` is the share of the crops with a warning, ``inside`` that with the true
level in the plan's range.

``--shares`` chooses ``ASSUMED_SHARE`` and ``SAMPLED_SHARE`` of
:mod:`daep_deepinv.noise_estimation.by_restoration`. The noise of :data:`SHARE_LEVELS` is found with each share in
:data:`SHARES`; the least share is chosen whose root mean square of ``log(found / true)`` is at most 5 % above the best.
Writes
``results/noise_estimation_shares.csv`` in the same way. ``in pixels`` is what the pixels of a blurred image show, and
their relative standard error: where that is above ``SURE`` of :mod:`daep_deepinv.noise_estimation.estimate`, the
smaller of both levels is used.
"""

from __future__ import annotations

import argparse
import math
import re
import time
from collections.abc import Callable
from pathlib import Path

import torch
from csv_table import Table
from deepinv import physics as dp
from deepinv.physics.functional import gaussian_blur
from physics_matrix_images import _with_phase
from protocol import data_folder
from rich.console import Console
from torch import Tensor
from training_crops import RESULTS, crops, kernel

from daep_deepinv import DAEP, DAEPrior, as_filter, starting_point
from daep_deepinv.noise_estimation.by_restoration import restored_level
from daep_deepinv.noise_estimation.pixels import pixel_noise
from daep_deepinv.noise_estimation.response import gain_of

LEVELS = (0.0, 1.0, 2.55, 7.65, 25.0)
SIZES = (64, 128)
KEY = ("operator", "kind", "size", "level", "crop")
#: Errors are alike up to this ratio. The least of the shares with such errors is chosen: weaker noise, which brings
#: a warning, wants less.
ALIKE = 1.05
#: The shares that are compared, by the constant that they are for; at weaker noise than these levels, a warning says
#: that texture looks like noise; the operators and the number of crops of each. Images of 64 x 64 pixels.
SHARES = {"ASSUMED_SHARE": (0.1, 0.2, 0.3, 0.45), "SAMPLED_SHARE": (0.3, 0.5, 0.7)}
SHARE_KEY = ("constant", "operator", "kind", "level", "crop", "share")
SHARE_LEVELS = (7.65, 25.0)
SHARE_OPERATORS = {
    "ASSUMED_SHARE": {("Gaussian blur", "grey"): 4, ("motion blur", "grey"): 4, ("half the size", "grey"): 4}
    | {("tomography", "grey"): 2},
    "SAMPLED_SHARE": {("half of the pixels", "grey"): 4, ("Hadamard", "grey"): 4, ("Fourier columns", "complex"): 4}
    | {("random matrix", "grey"): 4},
}


def _rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _columns(x: Tensor) -> Tensor:
    width = x.shape[-1]
    kept = torch.rand(width, generator=_rng()) < 0.15
    kept[width // 2 - width // 16 : width // 2 + width // 16] = True
    return kept.float().expand(1, 1, x.shape[-2], width)


def _shape(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape[1:])


#: Name -> kinds of images, largest size, and the physics of an image and a crop's number.
OPERATORS: dict[str, tuple[tuple[str, ...], int, Callable[[Tensor, int], dp.LinearPhysics]]] = {
    "noise": (("grey", "colour", "complex"), 128, lambda x, i: dp.Denoising()),
    "half of the pixels": (
        ("grey", "colour"),
        128,
        lambda x, i: dp.Inpainting(_shape(x), mask=0.5, rng=_rng()),
    ),
    "mosaic": (("colour",), 128, lambda x, i: dp.Demosaicing(_shape(x))),
    "Gaussian blur": (("grey", "colour"), 128, lambda x, i: dp.Blur(gaussian_blur(sigma=(1.6, 1.6)), padding="valid")),
    "motion blur": (("grey", "colour"), 128, lambda x, i: dp.BlurFFT(_shape(x), as_filter(kernel(i)))),
    "half the size": (
        ("grey", "colour"),
        128,
        lambda x, i: dp.Downsampling(_shape(x), filter="bicubic", factor=2, padding="circular"),
    ),
    "random matrix": (
        ("grey",),
        64,
        lambda x, i: dp.CompressedSensing(x[0].numel() // 4, _shape(x), channelwise=True, rng=_rng()),
    ),
    "Hadamard": (
        ("grey", "colour"),
        128,
        lambda x, i: dp.SinglePixelCamera(x[0, 0].numel() * 3 // 10, _shape(x), rng=_rng()),
    ),
    "Fourier columns": (("complex",), 128, lambda x, i: dp.MRI(_columns(x), _shape(x)[1:])),
    "tomography": (("grey",), 64, lambda x, i: dp.Tomography(40, x.shape[-1], circle=False, normalize=True)),
}


def of_kind(x: Tensor, kind: str) -> Tensor:
    """A colour image as one of this kind."""
    if kind == "colour":
        return x
    grey = x.mean(1, keepdim=True)
    if kind == "grey":
        return grey
    phase = _with_phase(grey)
    return torch.cat([phase.real, phase.imag], 1)


def measurement(x: Tensor, physics: dp.LinearPhysics, level: float, seed: int) -> tuple[Tensor, float]:
    """The noisy measurement, and the gain of the operator."""
    clean, gain = physics.A(x), gain_of(physics, x)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1000 + seed))
    seen = physics.A(torch.rand(x.shape, generator=_rng())) != 0
    return clean + level / 255 * gain * noise * seen, gain


def measured(x: Tensor, physics: dp.LinearPhysics, level: float, seed: int) -> tuple[dict[str, str], float]:
    """A row without its key: found and true level, of 255, at gain 1; and the seconds."""
    y, gain = measurement(x, physics, level, seed)
    begin = time.perf_counter()
    found = DAEP("estimate").plan(y, physics)[0].noise
    seconds = time.perf_counter() - begin
    row = {"found": f"{255 * found.level / gain:.3f}", "uncertainty": f"{found.uncertainty or 0:.2f}"}
    return row | {"warned": str(int(found.warning() is not None))}, seconds


def with_share(x: Tensor, physics: dp.LinearPhysics, level: float, seed: int, share: float) -> dict[str, str]:
    """The same by a restoration that assumes a share of the found level."""
    y, gain = measurement(x, physics, level, seed)
    found = restored_level(y, physics, DAEPrior(), starting_point(y, physics), share=share).level
    row = {"found": f"{255 * found / gain:.3f}", "in pixels": "", "their error": ""}
    if isinstance(physics, (dp.Blur, dp.BlurFFT)):
        shown = pixel_noise(y)
        row |= {"in pixels": f"{255 * shown.level:.3f}", "their error": f"{shown.uncertainty:.2f}"}
    return row


def compare_shares(clean: list[Tensor], table: Table, console: Console, minutes: float) -> None:
    """Measure the missing levels of each share, and print the best ones."""
    begin = time.monotonic()
    edge = (clean[0].shape[-1] - SIZES[0]) // 2
    for constant, shares in SHARES.items():
        for (name, kind), count in SHARE_OPERATORS[constant].items():
            for number, level, share in ((n, v, s) for n in range(count) for v in SHARE_LEVELS for s in shares):
                key = (constant, name, kind, f"{level:g}", str(number), f"{share:g}")
                if table.find(*key) or time.monotonic() - begin > 60 * minutes:
                    continue
                x = of_kind(clean[number][..., edge : edge + SIZES[0], edge : edge + SIZES[0]], kind)
                with torch.no_grad():
                    row = with_share(x, OPERATORS[name][2](x, number), level, number, share)
                table.add(dict(zip(SHARE_KEY, key, strict=True)) | row)
        errors = {}
        for share in shares:
            rows = [r for r in table.rows if (r["constant"], r["share"]) == (constant, f"{share:g}")]
            squares = [math.log(float(row["found"]) / float(row["level"])) ** 2 for row in rows]
            errors[share] = math.sqrt(sum(squares) / max(len(squares), 1))
            console.print(f"{constant} {share:g}: {errors[share]:.3f} ({len(rows)} measurements)")
        best = min(errors.values())
        console.print(f"{constant} = {min(share for share, error in errors.items() if error <= ALIKE * best):g}")


def summary(rows: list[dict[str, str]], console: Console) -> None:
    """Median and extremes of each operator, kind, size and level."""
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[column] for column in KEY[:-1]), []).append(row)
    for key, members in sorted(groups.items()):
        level = float(key[-1])
        ratios = sorted(float(row["found"]) / (level or 1.0) for row in members)
        middle = (ratios[(len(ratios) - 1) // 2] + ratios[len(ratios) // 2]) / 2
        warned = sum(int(row["warned"]) for row in members) / len(members)
        inside = sum(
            float(row["found"]) * (1 - min(float(row["uncertainty"]), 1))
            <= level
            <= float(row["found"]) * (1 + float(row["uncertainty"]))
            for row in members
        ) / len(members)
        console.print(
            f"{', '.join(key):45}{middle:6.2f} median {ratios[0]:6.2f} to {ratios[-1]:5.2f}"
            f"{warned:6.2f} warned {inside:5.2f} inside"
        )


def main() -> None:
    """Measure the missing levels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--crops", type=int, default=8)
    parser.add_argument("--only", default="", help="a regular expression for 'operator, kind, size, level'")
    parser.add_argument("--minutes", type=float, default=60, help="then stop, to be continued")
    parser.add_argument("--results", type=Path, default=RESULTS / "noise_estimation.csv")
    parser.add_argument("--shares", action="store_true", help="compare the shares, and nothing else")
    arguments = parser.parse_args()
    begin, console = time.monotonic(), Console(width=160, highlight=False)
    clean = crops(data_folder(arguments.data) / "train", arguments.crops)
    if arguments.shares:
        table = Table(arguments.results.with_stem("noise_estimation_shares"), *SHARE_KEY)
        compare_shares(clean, table, console, arguments.minutes)
        return
    table = Table(arguments.results, *KEY)
    for number, crop in enumerate(clean):
        for name, (kinds, largest, make) in OPERATORS.items():
            for kind, size, level in ((k, s, v) for k in kinds for s in SIZES if s <= largest for v in LEVELS):
                key = (name, kind, str(size), f"{level:g}", str(number))
                if table.find(*key) or not re.search(arguments.only, ", ".join(key[:-1])):
                    continue
                if time.monotonic() - begin > 60 * arguments.minutes:
                    break
                edge = (crop.shape[-1] - size) // 2
                x = of_kind(crop[..., edge : edge + size, edge : edge + size], kind)
                with torch.no_grad():
                    row, seconds = measured(x, make(x, number), level, number)
                table.add(dict(zip(KEY, key, strict=True)) | row | {"seconds": f"{seconds:.2f}"})
    summary(table.rows, console)


if __name__ == "__main__":
    main()
