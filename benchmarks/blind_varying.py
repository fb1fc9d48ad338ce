"""Blind deblurring of photographs whose blur varies over the image.

    python benchmarks/blind_varying.py --data FOLDER [--case rotation|turn|lens|shake] [--again] [--varying]

Four training photographs, 416 x 416 pixels of each, 1 % noise, 8 bits. The blurs are deepinv's:

* ``rotation``: ``TiledSpaceVaryingBlur`` with a straight motion for each of 4 x 4 overlapping tiles: a camera that is
  moved and turned;
* ``turn``: the same with another photograph, movement and angle;
* ``lens``: ``DiffractionBlurGenerator`` through ``ProductConvolutionBlurGenerator``, four point spread functions of
  other aberrations, interpolated over the image;
* ``shake``: ``MotionBlurGenerator`` through ``TiledBlurGenerator``, one trail for each of 2 x 2 overlapping tiles.
  No two are alike, which no camera does.

PSNR as in ``blind.py``: 15 pixels cropped, one shift for the whole image, the best within 8 pixels. Columns: the
photograph, ``BlindDAEP(varying=True)``, ``BlindDAEP()``, and ``DAEP`` with the true blur. Writes
``results/blind-varying.csv`` and ``.png``. Cases in the file are not measured again; ``--again`` does so, and
``--varying`` measures ``varying=True`` alone again and keeps the other columns.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from blind import squared_error
from csv_table import Table
from deepinv.physics import GaussianNoise, LinearPhysics, SpaceVaryingBlur, TiledSpaceVaryingBlur
from deepinv.physics.generator import (
    DiffractionBlurGenerator,
    MotionBlurGenerator,
    ProductConvolutionBlurGenerator,
    TiledBlurGenerator,
)
from protocol import data_folder, eight_bits, read
from rich.console import Console
from torch import Tensor

from daep_cli.kernels.shapes import motion
from daep_deepinv import DAEP, BlindDAEP
from daep_deepinv.blind.varying_kernel import VaryingKernel
from daep_prior.blind.kernel_shape import fitted

RESULTS = Path(__file__).parent / "results"
#: Side of a photograph, of the generated kernels, and of the largest kernel that is sought, pixels; noise level.
SIDE, KERNEL, SIZE, NOISE = 416, 21, 21, 2.55 / 255
#: Case -> training photograph, and top and left of the crop.
PHOTOGRAPHS = {
    "rotation": ("n03538406_horse_cart", 12, 80),
    "turn": ("n02879718_bow", 12, 89),
    "lens": ("n03594945_jeep", 80, 120),
    "shake": ("n03461385_grocery_store", 130, 20),
}
#: Of the rotation: tiles down and across, angle in radians, and movement across and down, pixels.
TILES, ANGLE, MOVEMENT = 4, 0.03, (7.0, 3.0)
#: Angle and movement of the turn.
TURN, TURN_MOVEMENT = -0.04, (-2.0, 6.0)


@dataclass
class VaryingCase:
    """A photograph, its sharp image, and its blur."""

    name: str
    wide: Tensor
    y: Tensor
    physics: LinearPhysics

    @property
    def sharp(self) -> Tensor:
        """The sharp image on the grid of the photograph."""
        return inner(self.wide)


def inner(wide: Tensor) -> Tensor:
    """An image without the border that the blur does not measure."""
    margin = KERNEL // 2
    return wide[..., margin:-margin, margin:-margin]


def case(name: str, data: Path) -> VaryingCase:
    """The case of that name."""
    file, top, left = PHOTOGRAPHS[name]
    side = SIDE + KERNEL - 1
    x = read(data / "train" / "imagenet" / f"{file}.jpg", (top, top + side, left, left + side))
    physics = {"rotation": rotation, "turn": turn, "lens": lens, "shake": shake}[name](side)
    noise = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return VaryingCase(name, x, eight_bits(physics.A(x) + NOISE * noise), physics)


def turn(side: int) -> LinearPhysics:
    """As :func:`rotation`, more turned and less moved."""
    return rotation(side, TURN, TURN_MOVEMENT)


def rotation(side: int, turned: float = ANGLE, moved: tuple[float, float] = MOVEMENT) -> LinearPhysics:
    """A camera that is moved and turned around its axis."""
    stride = -(-side // (TILES + 1))
    filters = []
    for down in range(1, TILES + 1):
        for across in range(1, TILES + 1):
            x, y = stride * across - side / 2, stride * down - side / 2
            right, below = moved[0] - turned * y, moved[1] + turned * x
            angle = math.degrees(math.atan2(-below, right))
            kernel = torch.as_tensor(motion(max(1.0, math.hypot(right, below)), angle)).float()
            wide, high = ((KERNEL - n) // 2 for n in (kernel.shape[1], kernel.shape[0]))
            filters.append(F.pad(kernel, (wide, wide, high, high)))
    return TiledSpaceVaryingBlur(filters=torch.stack(filters)[None, None], patch_size=2 * stride, stride=stride)


def lens(side: int) -> LinearPhysics:
    """A lens of other aberrations in each corner."""
    generator = DiffractionBlurGenerator((KERNEL, KERNEL), fc=0.25, max_zernike_amplitude=0.25)
    product = ProductConvolutionBlurGenerator(generator, (side, side), n_eigen_psf=4, spacing=(side // 2, side // 2))
    return SpaceVaryingBlur(**product.step(1, seed=3), padding="valid", use_fft=True)


def shake(side: int) -> LinearPhysics:
    """A camera shake of another trail in each of 2 x 2 tiles."""
    stride = -(-side // 3)
    generator = TiledBlurGenerator(MotionBlurGenerator((KERNEL, KERNEL), l=0.4, sigma=0.5), 2 * stride, stride)
    filters = generator.step(1, img_size=(side, side), seed=4)["filters"]
    return TiledSpaceVaryingBlur(filters=filters, patch_size=2 * stride, stride=stride)


def measured(case: VaryingCase, before: dict[str, str] | None = None) -> tuple[dict[str, str], Tensor, VaryingKernel]:
    """The row of a case, the restored image, and the kernels; other methods are as ``before``, if that is given."""
    began = time.perf_counter()
    varying = BlindDAEP(size=SIZE, varying=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the row says it
        x = varying(case.y)
        seconds = time.perf_counter() - began
    psnr = {"blurred": quality(case.y, case), "varying": quality(x, case)}
    psnr |= others(case) if before is None else {name: float(before[name]) for name in ("one kernel", "true blur")}
    (kernel,) = varying.kernel
    assert isinstance(kernel, VaryingKernel)
    row = {
        "case": case.name,
        **{name: f"{value:.2f}" for name, value in psnr.items()},
        "regions": "x".join(map(str, kernel.kernels.shape[:2])),
        "trusted": str(int(kernel.trusted.sum())),
        "confidence": f"{varying.confidence[0]:.3f}",
        "verdict": varying.verdict[0],
        "seconds": f"{seconds:.0f}",
    }
    return row, x, kernel


def others(case: VaryingCase) -> dict[str, float]:
    """PSNR with one kernel and with the true blur."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        uniform = BlindDAEP(size=SIZE)(case.y)
    case.physics.noise_model = GaussianNoise(NOISE)
    known = inner(DAEP(NOISE, preset="fast", check_noise=False)(case.y, case.physics))
    return {"one kernel": quality(uniform, case), "true blur": quality(known, case)}


def quality(image: Tensor, case: VaryingCase) -> float:
    """PSNR of an image in 8 bits."""
    return -10 * math.log10(squared_error(eight_bits(image), case.sharp))


def draw(case: VaryingCase, row: dict[str, str], x: Tensor, kernel: VaryingKernel, path: Path) -> None:
    """The photograph, the result and the sharp image; the true and the found kernels where they stand."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    impulses = torch.zeros(1, 1, *case.wide.shape[-2:])
    margin = KERNEL // 2
    places = kernel.centres.round().long()
    for r, c in places.flatten(0, 1).tolist():
        impulses[..., r + margin, c + margin] = 1
    spread = case.physics.A(impulses.expand(1, 3, -1, -1))[0, 0]
    side = max(KERNEL, kernel.kernels.shape[-1])
    true, found = [], []
    for (r, c), one in zip(places.flatten(0, 1).tolist(), kernel.kernels.flatten(0, 1), strict=True):
        n = side // 2
        true.append(spread[r - n : r + n + 1, c - n : c + n + 1])
        found.append(fitted(one, side))
    panels = {
        f"photograph, {row['blurred']} dB": case.y,
        f"varying=True, {row['varying']} dB": x,
        "sharp": case.sharp,
        "true kernels": _grid(true, kernel.kernels.shape[1]),
        "found kernels": _grid(found, kernel.kernels.shape[1]),
    }
    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 4.3))
    for axis, (title, image) in zip(axes, panels.items(), strict=True):
        axis.imshow(np.asarray(image[0].permute(1, 2, 0).clamp(0, 1)), cmap="gray")
        axis.set_title(title)
        axis.axis("off")
    figure.savefig(path, dpi=60, bbox_inches="tight")
    plt.close(figure)


def _grid(kernels: list[Tensor], columns: int) -> Tensor:
    """Kernels (n, n) side by side, (1, 1, H, W); the square root makes faint parts visible."""
    rows = [torch.cat(kernels[i : i + columns], 1) for i in range(0, len(kernels), columns)]
    joined = torch.cat(rows)[None, None].clamp_min(0)
    return (joined / joined.max()).sqrt()


def main() -> None:
    """Measure the missing cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--case", choices=tuple(PHOTOGRAPHS))
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--varying", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    table = Table(arguments.results / "blind-varying.csv", "case")
    names = [name for name in PHOTOGRAPHS if arguments.case in (None, name)]
    for name in names:
        before = table.find(name)
        if before is not None and not (arguments.again or arguments.varying):
            continue
        one = case(name, data_folder(arguments.data))
        row, x, kernel = measured(one, before if arguments.varying else None)
        table.drop(lambda other, name=name: other["case"] == name)  # type: ignore[misc]
        table.add(row)
        draw(one, row, x, kernel, arguments.results / f"blind-varying-{name}.png")
        Console().print("  ".join(row.values()), highlight=False)


if __name__ == "__main__":
    main()
