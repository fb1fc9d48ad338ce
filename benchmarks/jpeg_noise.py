"""The noise level to assume in blurred JPEG photographs: PSNR for eleven levels, and the constants that follow.

    python benchmarks/jpeg_noise.py --data FOLDER [--again]

Crops of 256 x 256 pixels of training images, in colour and in grey, under trails, straight motion, defocus and Gaussian
blur, with noise of 0, 0.5, 1 and 3 %, stored with quality 60 to 95; restored by ``fast`` with the true kernel. The
constants ``OF_ERROR`` and ``OF_NOISE`` of ``daep_deepinv.noise_estimation.jpeg`` are those with the least mean loss
against the best level, on two thirds of the crops; in grey, the larger one of this level and that for white noise is
taken. The loss on the others is printed, too, and that of the estimate for white noise, at least 1.5/255. Writes
``results/jpeg-noise.csv``. Cases in the file are not measured again.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from blind_cases import BlindCase, Crops, blurred, trail
from csv_table import Table
from deepinv.physics import Blur, GaussianNoise
from protocol import as_jpeg, data_folder
from rich.console import Console
from torch import Tensor

from daep_cli.kernels.shapes import disk, gaussian, motion
from daep_deepinv import DAEP, DAEPrior, DivergenceError
from daep_deepinv.blind.restoration import LEAST_NOISE, noise_level
from daep_deepinv.noise_estimation.jpeg import jpeg_traces

RESULTS = Path(__file__).parent / "results"
COUNT, SIDE, SEED = 8, 256, 41
QUALITIES = (60, 75, 90, 95)
#: Of 255.
LEVELS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0)
#: Every third crop is held out.
HELD_OUT = 3
FACTORS = np.arange(0.0, 2.51, 0.1)


def cases(data: Path) -> Iterator[BlindCase]:
    """The blurred crops, before they are stored."""
    crops = Crops(data, SEED, lambda x: float(x.mean(1).std()) > 0.1, SIDE)
    for number in range(COUNT):
        shapes = (
            lambda n=number: trail(19, (43, n)),
            lambda n=number: torch.as_tensor(motion(15, 37 * n)),
            lambda: torch.as_tensor(disk(4)),
            lambda n=number: trail(11, (43, n)),
            lambda: torch.as_tensor(gaussian(1.8)),
        )
        kernel = shapes[number % len(shapes)]().float()
        x = crops.next(max(kernel.shape))
        noise = (0.0, 0.005, 0.01, 0.03)[number // 2 % 4]
        for channels in (3, 1):
            image = x if channels == 3 else x.mean(1, keepdim=True)
            yield blurred(f"{number}, {channels}, {noise}", image, kernel, noise, number)


def measured(case: BlindCase, quality: int, prior: DAEPrior) -> dict[str, str]:
    """The row of a stored crop."""
    y = as_jpeg(case.y, quality)
    traces = jpeg_traces(y)
    results = [restored(y, case, level / 255, prior) for level in LEVELS]
    return {
        "case": f"{case.name}, {quality}",
        "error": "" if traces is None else f"{255 * traces.error:.3f}",
        "noise": "" if traces is None else f"{255 * traces.noise:.3f}",
        "true error": f"{255 * float((y - case.y).mean(1).square().mean().sqrt()):.3f}",
        "white": f"{255 * noise_level(y):.3f}",
        **{f"{level:g}": f"{value:.3f}" for level, value in zip(LEVELS, results, strict=True)},
    }


def restored(y: Tensor, case: BlindCase, level: float, prior: DAEPrior) -> float:
    """PSNR of the photograph ``y``, restored for a noise level, dB; of ``y`` itself, if that diverges."""
    physics = Blur(case.kernel[None, None], padding="valid", noise_model=GaussianNoise(level))
    down, right = ((n - 1) // 2 for n in case.kernel.shape)
    try:
        with torch.no_grad():
            wide = DAEP(level, preset="fast", denoiser=prior.denoiser, check_noise=False)(y, physics)
        x = wide[..., down : down + y.shape[-2], right : right + y.shape[-1]]
    except DivergenceError:
        x = y
    return -10 * math.log10(float((x - case.sharp).square().mean()))


def loss(row: dict[str, str], level: float) -> float:
    """What a level, of 255, loses against the best one, dB."""
    values = [float(row[f"{one:g}"]) for one in LEVELS]
    return max(values) - float(np.interp(math.log(level), np.log(LEVELS), values))


def mean_loss(rows: list[dict[str, str]], channels: int, of_error: float, of_noise: float) -> float:
    """What the levels of two constants lose in the mean, dB. In grey, the noise is found by other means."""
    levels = [math.hypot(of_error * float(row["error"]), of_noise * float(row["noise"])) for row in rows]
    if channels == 1:
        levels = [max(level, float(row["white"])) for level, row in zip(levels, rows, strict=True)]
    return float(np.mean([loss(row, max(level, LEVELS[0])) for row, level in zip(rows, levels, strict=True)]))


def split(rows: list[dict[str, str]], channels: int) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """The rows of a number of channels in which JPEG shows: those that choose, and those that are held out."""
    found = [row for row in rows if row["error"] and row["case"].split(", ")[1] == str(channels)]
    held = [row for row in found if int(row["case"].split(",")[0]) % HELD_OUT == 0]
    return [row for row in found if row not in held], held


def best_constants(rows: list[dict[str, str]], channels: int) -> tuple[float, float]:
    """``OF_ERROR`` and ``OF_NOISE`` with the least mean loss."""
    of_noises = FACTORS if channels == 3 else FACTORS[:1]
    pairs = [(float(of_error), float(of_noise)) for of_error in FACTORS for of_noise in of_noises]
    return min(pairs, key=lambda constants: mean_loss(rows, channels, *constants))


def summary(rows: list[dict[str, str]], channels: int) -> str:
    """The best constants for a number of channels, and the losses."""
    chosen, held = split(rows, channels)
    best = best_constants(chosen, channels)
    losses = [mean_loss(some, channels, *best) for some in (chosen, held)]
    white = np.mean([loss(row, max(255 * LEAST_NOISE, float(row["white"]))) for row in held])
    return (
        f"{channels} channels: OF_ERROR {best[0]:.1f}, OF_NOISE {best[1]:.1f}; loss {losses[0]:.2f} dB on "
        f"{len(chosen)}, {losses[1]:.2f} dB on {len(held)} held out, {white:.2f} dB with the level of white noise"
    )


def main() -> None:
    """Measure the missing crops."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    data, prior, console = data_folder(arguments.data), DAEPrior("dae"), Console()
    table = Table(arguments.results / "jpeg-noise.csv", "case")
    if arguments.again:
        table.drop(lambda row: True)
    for case in cases(data):
        for quality in QUALITIES:
            if table.find(f"{case.name}, {quality}") is None:
                table.add(measured(case, quality, prior))
                console.print("  ".join(table.rows[-1].values()), highlight=False)
    for channels in (3, 1):
        console.print(summary(table.rows, channels), highlight=False)


if __name__ == "__main__":
    main()
