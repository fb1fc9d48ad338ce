"""Blind deblurring: found kernels beside true ones.

    python benchmarks/blind.py --data FOLDER [--set levin|training] [--cases N] [--starts 3] [--preset fast] [--again]

* ``levin``: the 32 photographs that Levin et al. (2009) blurred with a real camera, grey, 255 x 255 (``blind/levin`` in
  the data folder; kernels 4 and 8 as stored, the others turned by 180 degrees). One setting for all.
  ``docs/unknown-blur.md`` names what was chosen after these kernels had been looked at.
* ``training``: crops of 255 x 255 pixels of training images (``train/``), every second one grey. Kernels: camera shake
  in five of eight (deepinv's ``MotionBlurGenerator``, 13 to 29 pixels), straight motion, defocus, Gaussian. Noise of
  0.5, 1 and 2 %, 8 bits. Settings are chosen here.
* PSNR: 15 pixels cropped from each side, the best shift in quarter pixels within 5 pixels.
* Error ratio: the squared error with the found kernel over that with the true kernel, both restored in the same way.

Writes ``results/blind-SET.csv``, ``.md`` and ``.png``, the kernels. Cases in the file are not measured again.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from csv_table import Table
from deepinv.physics import Blur
from deepinv.physics.generator import MotionBlurGenerator
from PIL import Image
from protocol import data_folder, eight_bits, read
from rich.console import Console
from torch import Tensor

from daep_cli.kernels.shapes import disk, gaussian, motion
from daep_deepinv import BlindDAEP
from daep_deepinv.blind.restoration import deblurred
from daep_prior.blind import similarity

RESULTS = Path(__file__).parent / "results"
#: Side of a training crop, frame without PSNR, and largest shift, pixels.
SIDE, FRAME, REACH = 255, 15, 5
#: Number of training crops, and of quarter pixels in a pixel.
TRAINING_CASES, QUARTERS = 32, 4
SEED = 5


@dataclass
class BlindCase:
    """A blurred photograph, its sharp image and its kernel (h, w)."""

    name: str
    sharp: Tensor
    y: Tensor
    kernel: Tensor


def levin(data: Path) -> Iterator[BlindCase]:
    """The 32 photographs of Levin et al."""
    folder = data / "blind" / "levin"
    for image in range(1, 5):
        for number in range(1, 9):
            kernel = read(folder / f"kernel{number}.png")[0, 0]
            kernel = kernel if number in (4, 8) else kernel.flip(0, 1)
            sharp = read(data / "levin" / f"im{image}.png")[:, :1]
            y = read(folder / f"im{image}_kernel{number}_img.png")[:, :1]
            yield BlindCase(f"{image}/k{number}", sharp, y, kernel / kernel.sum())


def training(data: Path) -> Iterator[BlindCase]:
    """Blurred crops of training images."""
    rng = np.random.default_rng(SEED)
    files = list(rng.permutation(sorted((data / "train").glob("*/*.jpg"))))
    for number in range(TRAINING_CASES):
        kind, kernel = drawn_kernel(number)
        height, width = kernel.shape
        wide = SIDE + max(height, width) - 1
        while True:
            path = files.pop()
            columns, rows = Image.open(path).size
            if min(rows, columns) < wide:
                continue
            top, left = int(rng.integers(rows - wide + 1)), int(rng.integers(columns - wide + 1))
            x = read(path, (top, top + wide, left, left + wide))
            if float(x.mean(1).std()) > 0.1:
                break
        x = x.mean(1, keepdim=True) if number % 2 == 0 else x
        x = x[..., : SIDE + height - 1, : SIDE + width - 1]
        y = Blur(kernel[None, None], padding="valid").A(x)
        noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(number))
        y = eight_bits(y + (0.005, 0.01, 0.02)[number % 3] * noise)
        r, c = (height - 1) // 2, (width - 1) // 2
        yield BlindCase(f"{number} {kind}", x[..., r : r + SIDE, c : c + SIDE], y, kernel)


def drawn_kernel(number: int) -> tuple[str, Tensor]:
    """Kind and kernel (h, w) of a training crop."""
    rng = np.random.default_rng((7, number))
    kind = ("shake", "shake", "shake", "motion", "shake", "defocus", "shake", "gaussian")[number % 8]
    if kind == "shake":
        size = int(rng.choice([13, 17, 21, 25, 29]))
        smoothness, strength = float(rng.choice([0.2, 0.3, 0.5])), float(rng.choice([0.25, 0.35, 0.5]))
        shake = MotionBlurGenerator((size, size), l=smoothness, sigma=strength).step(seed=100 + number)
        kernel = shake["filter"][0, 0].double()
        return kind, (kernel / kernel.sum()).float()
    if kind == "motion":
        return kind, torch.as_tensor(motion(float(rng.uniform(7, 20)), float(rng.uniform(0, 180)))).float()
    if kind == "defocus":
        return kind, torch.as_tensor(disk(float(rng.uniform(2, 4.5)))).float()
    return kind, torch.as_tensor(gaussian(float(rng.uniform(1, 2.5)))).float()


def squared_error(x: Tensor, sharp: Tensor) -> float:
    """Mean squared error of ``x`` against ``sharp``, both (1, C, H, W), at the best shift."""
    whole = [(a, b) for a in range(-REACH, REACH + 1) for b in range(-REACH, REACH + 1)]
    _, row, column = min((_shifted_error(x, sharp, a, b), a, b) for a, b in whole)
    near = [n / QUARTERS for n in range(-QUARTERS, QUARTERS + 1)]
    return min(_shifted_error(x, sharp, row + a, column + b) for a in near for b in near)


def _shifted_error(x: Tensor, sharp: Tensor, down: float, right: float) -> float:
    """The error if pixel (i, j) of ``sharp`` is compared with (i + down, j + right) of ``x``, by cubic convolution."""
    height, width = (n - 2 * FRAME for n in sharp.shape[-2:])
    row, column = math.floor(down), math.floor(right)
    weights = torch.outer(_cubic(down - row), _cubic(right - column))
    top, left = FRAME + row - 1, FRAME + column - 1
    part = x[..., top : top + height + 3, left : left + width + 3]
    moved = F.conv2d(part.transpose(0, 1), weights[None, None]).transpose(0, 1)
    return float((moved - sharp[..., FRAME:-FRAME, FRAME:-FRAME]).square().mean())


def _cubic(t: float) -> Tensor:
    """Weights of four neighbours at a distance ``t`` behind the second (Keys, a = -1/2)."""
    return torch.tensor(
        [
            ((-0.5 * t + 1) * t - 0.5) * t,
            (1.5 * t - 2.5) * t * t + 1,
            ((-1.5 * t + 2) * t + 0.5) * t,
            (t - 1) * t * t / 2,
        ]
    )


def measured(case: BlindCase, starts: int, preset: str) -> tuple[dict[str, str], Tensor]:
    """The row of a case, and its kernel."""
    model, began = BlindDAEP(starts=starts, preset=preset), time.perf_counter()
    x = model(case.y)
    seconds = time.perf_counter() - began
    height, width = case.kernel.shape
    side = max(height, width) | 1
    rows, columns = side - height, side - width
    square = F.pad(case.kernel, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
    known = deblurred(case.y, square, None, preset, model.prior.denoiser)
    errors = [squared_error(eight_bits(image), case.sharp) for image in (case.y, x, known)]
    blurred, found, true = (-10 * math.log10(error) for error in errors)
    row = {
        "case": case.name,
        "blurred": f"{blurred:.2f}",
        "psnr": f"{found:.2f}",
        "psnr, true kernel": f"{true:.2f}",
        "error ratio": f"{errors[1] / errors[2]:.2f}",
        "similarity": f"{similarity(model.kernel[0, 0], case.kernel):.3f}",
        "confidence": f"{model.confidence[0]:.3f}",
        "verdict": model.verdict[0],
        "seconds": f"{seconds:.1f}",
    }
    return row, model.kernel[0, 0]


def summary(rows: list[dict[str, str]]) -> str:
    """Means as a Markdown table."""

    def mean(column: str) -> float:
        return sum(float(row[column]) for row in rows) / len(rows)

    ratios = sorted(float(row["error ratio"]) for row in rows)
    within = sum(ratio <= 2 for ratio in ratios)
    return (
        "| cases | blurred | found kernel | true kernel | error ratio, mean | median | ratio <= 2 |\n"
        "|---|---|---|---|---|---|---|\n"
        f"| {len(rows)} | {mean('blurred'):.2f} | {mean('psnr'):.2f} | {mean('psnr, true kernel'):.2f} | "
        f"{mean('error ratio'):.2f} | {ratios[len(ratios) // 2]:.2f} | {within} |\n"
    )


def draw(pairs: list[tuple[str, Tensor, Tensor]], path: Path) -> None:
    """True and found kernels side by side; the square root makes faint parts visible."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(8, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    figure, axes = plt.subplots(rows, 2 * columns, figsize=(1.2 * 2 * columns, 1.4 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for number, (name, true, found) in enumerate(pairs):
        for offset, (title, kernel) in enumerate(((name, true), ("found", found))):
            axis = axes[number // columns, 2 * (number % columns) + offset]
            axis.imshow(kernel.clamp_min(0).sqrt(), cmap="gray")
            axis.set_title(title, fontsize=7)
    figure.savefig(path, dpi=60, bbox_inches="tight")
    plt.close(figure)


def main() -> None:
    """Measure the missing cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--set", choices=("levin", "training"), default="levin")
    parser.add_argument("--cases", type=int, help="the first so many; default all")
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    base, console = arguments.results / f"blind-{arguments.set}", Console()
    table = Table(base.with_suffix(".csv"), "case")
    if arguments.again:
        table.drop(lambda row: True)
    cases = list({"levin": levin, "training": training}[arguments.set](data_folder(arguments.data)))
    kernels = base.with_suffix(".npz")
    found = dict(np.load(kernels)) if kernels.exists() and not arguments.again else {}
    for case in cases[: arguments.cases]:
        if table.find(case.name) is None:
            row, kernel = measured(case, arguments.starts, arguments.preset)
            table.add(row)
            found[case.name.replace("/", " ")] = kernel.numpy()
            np.savez_compressed(kernels, **found)
            console.print("  ".join(row.values()), highlight=False)
    base.with_suffix(".md").write_text(summary(table.rows))
    drawn = [(c.name, c.kernel, torch.as_tensor(found[k])) for c in cases if (k := c.name.replace("/", " ")) in found]
    draw(drawn, base.with_suffix(".png"))
    console.print(summary(table.rows), highlight=False)


if __name__ == "__main__":
    main()
