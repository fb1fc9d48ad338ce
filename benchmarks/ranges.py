"""The range of the image values: measurements times a factor, shifted ones, and saturated ones.

    python benchmarks/ranges.py [-o benchmarks/results/ranges.csv] [--size 96] [--factors 0.00390625,0.1,10,256]
                                [--dark --data FOLDER]

Columns: case, what is changed, dB of the restored image, compared in the values of the unchanged one. Photographs of
scikit-image. In the saturated cases lamps of three times white lie under a disk blur of radius 5, the measurement is
clipped to 8 bits, and the image is judged outside of the lamps. ``--dark --data FOLDER`` measures only the scale of
dark fields, by which ``DARK``, ``SHARPER`` and the others of :mod:`daep_deepinv.value_range` were chosen: synthetic
stars and cells, and the training photographs that count as dark, under a Gaussian blur, with ``"fast"``. Rows: the
scale found, that of the squares alone, and given ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from unittest import mock

import torch
import torch.nn.functional as F
from csv_table import write_rows
from deepinv.loss.metric import PSNR
from deepinv.physics import Blur, Inpainting, LinearPhysics
from deepinv.physics.functional import gaussian_blur
from protocol import data_folder
from regression import photograph
from torch import Tensor
from training_crops import crops

from daep_deepinv import DAEP, value_range

NOISE = 2.55 / 255
#: Centres of the lamps as shares of the side, and their radius in pixels.
LAMPS, LAMP_RADIUS = ((0.5, 0.5), (0.26, 0.63), (0.73, 0.31)), 4
#: Pixels around a lamp that are not judged: the blurred lamp.
MARGIN = 12


def tasks(size: int) -> dict[str, LinearPhysics]:
    """Deblurring and missing pixels."""
    mask = (torch.rand(1, size, size, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    blur = Blur(gaussian_blur(sigma=(1.6, 1.6)), padding="circular")
    return {"deblurring": blur, "missing pixels": Inpainting((3, size, size), mask=mask.expand(3, size, size))}


def measured(x: Tensor, physics: LinearPhysics) -> Tensor:
    """The measurement with noise of a fixed seed."""
    y = physics.A(x)
    y = y + NOISE * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    return physics.A(y) if isinstance(physics, Inpainting) else y


def decibels(found: Tensor, x: Tensor) -> str:
    """PSNR, two decimals."""
    return f"{float(PSNR()(found, x)):.2f}"


def factors_and_shifts(size: int, factors: list[float], shifts: list[float]) -> Iterator[dict[str, str]]:
    """A row for each factor and each shift of each task."""
    x = photograph("chelsea")[..., :size, :size]
    for task, physics in tasks(size).items():
        y = measured(x, physics)
        for c in factors:
            yield {"case": task, "change": f"times {c:g}", "dB": decibels(DAEP(c * NOISE)(c * y, physics) / c, x)}
        for b in shifts:
            shifted = y + physics.A(torch.full_like(x, b))
            yield {"case": task, "change": f"plus {b:g}", "dB": decibels(DAEP(NOISE)(shifted, physics) - b, x)}


def saturated(size: int) -> Iterator[dict[str, str]]:
    """A row for 0, 1 and 3 lamps, with the clipped pixels as limits and as equations."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    r = torch.arange(-5, 6)
    disk = ((r[:, None] ** 2 + r[None] ** 2) <= 25).float()
    physics = Blur((disk / disk.sum())[None, None], padding="circular")
    for count in (0, 1, 3):
        x = 0.6 * F.interpolate(photograph("coffee"), size=(size, size), mode="bicubic").clamp(0, 1)
        lit = torch.zeros(size, size, dtype=torch.bool)
        for row, column in LAMPS[:count]:
            lit |= (rows - row * size) ** 2 + (columns - column * size) ** 2 <= LAMP_RADIUS**2
        x[..., lit] = 3.0
        away = F.max_pool2d(lit[None, None].float(), 2 * MARGIN + 1, 1, MARGIN)[0, 0] == 0
        y = (255 * measured(x, physics).clamp(0, 1)).round() / 255
        for saturation in ("found", None):
            found = DAEP(NOISE, saturation=saturation)(y, physics)[..., away]
            change = f"{count} lamps, " + ("found" if saturation else "not found")
            yield {"case": "saturated", "change": change, "dB": decibels(found[None], x[..., away][None])}


def stars(seed: int, count: int) -> Tensor:
    """Points of 0.2 to 1, 0.7 pixels wide, on 0.02; (1, 1, 64, 64)."""
    places = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed))
    grid = torch.arange(64.0)
    row, column = (torch.exp(-((grid - 4 - 56 * places[:, k, None]) ** 2) / (2 * 0.7**2)) for k in (0, 1))
    light = 0.2 + 0.8 * places[:, 2]
    return (0.02 + torch.einsum("k,ki,kj->ij", light, row, column)).clamp(0, 1)[None, None]


def cells(seed: int, count: int) -> Tensor:
    """Disks of 0.3 to 1, radius 2 to 5 pixels, on 0.01; (1, 1, 64, 64)."""
    places = torch.rand(count, 4, 1, 1, generator=torch.Generator().manual_seed(seed)).unbind(1)
    grid = torch.arange(64.0)
    distance = ((grid[:, None] - 6 - 52 * places[0]) ** 2 + (grid - 6 - 52 * places[1]) ** 2).sqrt()
    light = (0.3 + 0.7 * places[2]) * torch.sigmoid(2 * (2 + 3 * places[3] - distance))
    return light.amax(0).clamp_min(0.01)[None, None]


def is_dark(x: Tensor) -> bool:
    """Whether the peak of a field decides its scale."""
    return value_range._peak_of_dark(x, value_range._square_means(x), value_range._noise_level(x)) > 0


def dark_fields(data: Path, scales: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0)) -> Iterator[dict[str, str]]:
    """A row for each scale of each field."""
    fields = {f"stars {k}": stars(k, 4 + 4 * k) for k in range(4)} | {
        f"cells {k}": cells(k, 2 + 2 * k) for k in range(4)
    }
    photographs = (x.mean(1, keepdim=True)[..., :64, :64] for x in crops(data / "train", 60))
    fields |= {f"photograph {k}": x for k, x in enumerate(photographs) if is_dark(x)}
    for name, x in fields.items():
        physics = Blur(gaussian_blur(sigma=(1.6, 1.6)), padding="circular")
        y = measured(x, physics)
        for change, scale, dark in (
            ("found", None, value_range.DARK),
            ("of the squares", None, -1.0),
            *((f"scale {scale:g}", scale, value_range.DARK) for scale in scales),
        ):
            with mock.patch.object(value_range, "DARK", dark):
                found = DAEP(NOISE, preset="fast", scale=scale)(y, physics)
            yield {"case": name, "change": change, "dB": decibels(found, x)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results" / "ranges.csv")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--factors", default=f"{1 / 256},{1 / 16},0.1,0.3,1,3,10,256")
    parser.add_argument("--dark", action="store_true", help="only the scale of dark fields")
    parser.add_argument("--data")
    options = parser.parse_args()
    rows = []
    factors = [float(c) for c in options.factors.split(",")]
    if options.dark:
        options.output = options.output.with_stem("ranges-dark")
        cases = dark_fields(data_folder(options.data))
    else:
        shifts = [-0.5, -1.0, 0.5]
        cases = chain(factors_and_shifts(options.size, factors, shifts), saturated(2 * options.size))
    for row in cases:
        print(*row.values(), sep="  ")
        rows.append(row)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_rows(options.output, rows)


if __name__ == "__main__":
    main()
