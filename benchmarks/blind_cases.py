"""Blurred photographs with known kernels: Levin's, and crops of training images.

* ``levin``: the 32 photographs that Levin et al. (2009) blurred with a real camera, grey, 255 x 255 (``blind/levin`` in
  the data folder; kernels 4 and 8 as stored, the others turned by 180 degrees).
* ``training``: crops of 255 x 255 pixels of training images (``train/``), every second one grey. Kernels: camera shake
  in five of eight (deepinv's ``MotionBlurGenerator``, 13 to 29 pixels), straight motion, defocus, Gaussian. Noise of
  0.5, 1 and 2 %, 8 bits.
* ``hard``: grey, dim crops of 255 x 255 pixels of other training images with little texture. Kernels: trails of 15
  to 27 pixels whose speed varies, so that they have faint tails. Noise of 0.3 % in two of three, 1 % in the others, 8
  bits.
* ``soft``: grey crops of 255 x 255 pixels of other training images, softened until their edges are as soft as those of
  Levin's images, which are softer than 95 % of the training crops. Kernels: trails and camera shakes in turn, 15 to 27
  pixels. Noise of 0.3 % in two of three, 1 % in the others, 8 bits.
* ``limits``: crops of 400 x 400 pixels under trails of 45, 61 and 75 pixels, whose size is given, and one of 45 whose
  size is not; a photograph stored as JPEG; one with saturated lights.
* ``wide``: colour crops of 400 x 400 pixels under trails of 75 pixels, noise of 1 %.
* ``jpeg``: colour crops of 320 x 320 pixels of training images under trails and straight motion of 13 to 25 pixels,
  noise of 0.5 %, stored as JPEG of quality 60, 75 and 90.
* ``sharpness``: colour crops of 255 x 255 pixels of training images as they are or softened by a Gaussian of 0.5
  pixels, called sharp, and with small blurs of all kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from deepinv.physics import Blur
from deepinv.physics.generator import MotionBlurGenerator
from PIL import Image
from protocol import as_jpeg, eight_bits, read
from torch import Tensor

from daep_cli.kernels.shapes import disk, gaussian, motion

#: Side of a training crop, and of those of ``limits`` and ``wide``, pixels.
SIDE, LIMITS_SIDE = 255, 400
#: Number of cases of the sets made from training images, and the seed of their crops.
TRAINING_CASES, HARD_CASES, SHARPNESS_CASES, SOFT_CASES = 32, 24, 80, 16
SEED, HARD_SEED, SHARPNESS_SEED, LIMITS_SEED, SOFT_SEED = 5, 6, 8, 14, 31
#: Of the set ``wide``; the last is the side of its kernels, pixels.
WIDE_CASES, WIDE_SEED, WIDE_KERNEL = 8, 91, 75
#: Of the set ``jpeg``.
JPEG_CASES, JPEG_SIDE, JPEG_SEED = 12, 320, 77
#: Brightness of a hard crop, and limits of its standard deviation before, images in [0, 1].
DIM, HARD_CONTRAST = 0.7, (0.1, 0.22)
#: Largest mean absolute gradient of a hard crop before it is dimmed: little texture.
HARD_TEXTURE = 0.035
#: Softness of a crop of ``soft``, see :func:`_softness`. Levin's images have 0.32 to 0.40.
SOFT = (0.32, 0.40)


@dataclass
class BlindCase:
    """A blurred photograph, its sharp image and its kernel (h, w)."""

    name: str
    sharp: Tensor
    y: Tensor
    kernel: Tensor
    size: int | None = None


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
    crops = Crops(data, SEED, lambda x: float(x.mean(1).std()) > 0.1)
    for number in range(TRAINING_CASES):
        kind, kernel = drawn_kernel(number)
        x = crops.next(max(kernel.shape))
        x = x.mean(1, keepdim=True) if number % 2 == 0 else x
        yield blurred(f"{number} {kind}", x, kernel, (0.005, 0.01, 0.02)[number % 3], number)


def hard(data: Path) -> Iterator[BlindCase]:
    """Dim crops with little texture under trails with faint tails."""
    crops = Crops(data, HARD_SEED, _is_hard)
    for number in range(HARD_CASES):
        kernel = trail((15, 19, 23, 27)[number % 4], (9, number))
        x = DIM * crops.next(max(kernel.shape)).mean(1, keepdim=True)
        yield blurred(f"{number} trail", x, kernel, (0.003, 0.003, 0.01)[number % 3], number)


def soft(data: Path) -> Iterator[BlindCase]:
    """Crops with soft edges and little texture under trails and camera shakes."""
    crops = Crops(data, SOFT_SEED, lambda x: float(x.mean(1).std()) > HARD_CONTRAST[0] and _texture(x) < HARD_TEXTURE)
    for number in range(SOFT_CASES):
        side = (15, 19, 23, 27)[number // 2 % 4]
        kernel = trail(side, (32, number)) if number % 2 == 0 else shake(side, 0.3, 0.35, 320 + number)
        goal = SOFT[0] + (SOFT[1] - SOFT[0]) * (number % 5) / 4
        x = _softened(crops.next(side).mean(1, keepdim=True), goal)
        yield blurred(
            f"{number} {'shake' if number % 2 else 'trail'}", x, kernel, (0.003, 0.003, 0.01)[number % 3], number
        )


def limits(data: Path) -> Iterator[BlindCase]:
    """Wide trails, a JPEG and saturated lights."""
    crops = Crops(data, LIMITS_SEED, lambda x: float(x.mean(1).std()) > 0.15, LIMITS_SIDE)
    for number, side in enumerate((45, 61, 75, 45)):
        case = blurred(
            f"trail {side}", crops.next(side).mean(1, keepdim=True), trail(side, (13, number)), 0.005, number
        )
        unknown = number == 3
        yield replace(case, name=case.name + ", size not given") if unknown else replace(case, size=side)
    case = blurred("JPEG, quality 75", crops.next(19), trail(19, (13, 4)), 0.005, 4)
    yield replace(case, y=as_jpeg(case.y, 75))
    x = crops.next(19)
    lights = 1.7 * x * x.amax(1, keepdim=True)  # the brightest parts are clipped after the blur
    case = blurred("saturated lights", lights, trail(19, (13, 5)), 0.005, 5)
    yield replace(case, sharp=case.sharp.clamp(0, 1))


def wide(data: Path) -> Iterator[BlindCase]:
    """Photographs under the widest kernels that are sought."""
    crops = Crops(data, WIDE_SEED, lambda x: float(x.mean(1).std()) > 0.12, LIMITS_SIDE)
    for number in range(WIDE_CASES):
        kernel = trail(WIDE_KERNEL, (WIDE_SEED, number))
        case = blurred(f"{number}, trail {WIDE_KERNEL}", crops.next(WIDE_KERNEL), kernel, 0.01, number)
        yield replace(case, size=WIDE_KERNEL)


def jpeg(data: Path) -> Iterator[BlindCase]:
    """Blurred photographs that were stored as JPEG."""
    crops = Crops(data, JPEG_SEED, lambda x: float(x.mean(1).std()) > 0.13, JPEG_SIDE)
    for number in range(JPEG_CASES):
        side, quality = (19, 15, 25, 13)[number % 4], (75, 90, 60)[number % 3]
        straight = torch.as_tensor(motion(15, 37 * number)).float()
        kernel = straight if number % 4 == 1 else trail(side, (78, number))
        case = blurred(f"{number}, quality {quality}", crops.next(max(kernel.shape)), kernel, 0.005, number)
        yield replace(case, y=as_jpeg(case.y, quality), size=31)


def sharpness(data: Path) -> Iterator[BlindCase]:
    """Sharp crops and slightly blurred ones; the names of the sharp ones begin with ``sharp``."""
    crops = Crops(data, SHARPNESS_SEED, lambda x: float(x.mean(1).std()) > 0.06)
    for number in range(SHARPNESS_CASES):
        kind, kernel = small_kernel(number)
        noise = (0.0, 0.005, 0.015)[number % 3]
        yield blurred(f"{kind} {number}", crops.next(max(kernel.shape)), kernel, noise, number)


def drawn_kernel(number: int) -> tuple[str, Tensor]:
    """Kind and kernel (h, w) of a training crop."""
    rng = np.random.default_rng((7, number))
    kind = ("shake", "shake", "shake", "motion", "shake", "defocus", "shake", "gaussian")[number % 8]
    if kind == "shake":
        size = int(rng.choice([13, 17, 21, 25, 29]))
        smoothness, strength = float(rng.choice([0.2, 0.3, 0.5])), float(rng.choice([0.25, 0.35, 0.5]))
        return kind, shake(size, smoothness, strength, 100 + number)
    if kind == "motion":
        return kind, torch.as_tensor(motion(float(rng.uniform(7, 20)), float(rng.uniform(0, 180)))).float()
    if kind == "defocus":
        return kind, torch.as_tensor(disk(float(rng.uniform(2, 4.5)))).float()
    return kind, torch.as_tensor(gaussian(float(rng.uniform(1, 2.5)))).float()


def shake(side: int, smoothness: float, strength: float, seed: int) -> Tensor:
    """A camera shake of deepinv's generator, (side, side)."""
    drawn = MotionBlurGenerator((side, side), l=smoothness, sigma=strength).step(seed=seed)
    kernel = drawn["filter"][0, 0].double()
    return (kernel / kernel.sum()).float()


def small_kernel(number: int) -> tuple[str, Tensor]:
    """Kind and kernel of a crop of ``sharpness``; every second one is sharp."""
    rng = np.random.default_rng((11, number))
    if number % 2 == 0:
        return ("sharp", torch.ones(1, 1)) if number % 4 else ("sharp, soft", torch.as_tensor(gaussian(0.5)).float())
    kind = ("gaussian", "motion", "defocus", "trail")[number // 2 % 4]
    if kind == "trail":
        return kind, trail(int(rng.choice([7, 9, 11, 15])), (12, number))
    shapes: dict[str, Callable[[], np.ndarray]] = {
        "gaussian": lambda: gaussian(float(rng.uniform(1, 2.2))),
        "motion": lambda: motion(float(rng.uniform(4, 9)), float(rng.uniform(0, 180))),
        "defocus": lambda: disk(float(rng.uniform(1.5, 3))),
    }
    return kind, torch.as_tensor(shapes[kind]()).float()


def trail(side: int, seed: tuple[int, int]) -> Tensor:
    """A curved trail (side, side) whose speed varies by a factor of up to ten."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, 4000)
    curves = []
    for _ in range(2):
        waves = [rng.normal() / n * np.sin(np.pi * n * t + rng.uniform(0, 2 * np.pi)) for n in (1, 2, 3)]
        curves.append(np.sum(waves, 0))
    places = np.stack(curves)
    places -= places.mean(1, keepdims=True)
    places *= (side / 2 - 1) / np.abs(places).max()
    duration = np.exp(1.2 * np.sin(2 * np.pi * rng.uniform(0.7, 2) * t + rng.uniform(0, 2 * np.pi)))
    corners = np.floor(places).astype(int)
    inside, kernel = places - corners, np.zeros((side, side))
    for down in (0, 1):
        for right in (0, 1):
            share = np.abs(1 - down - inside[0]) * np.abs(1 - right - inside[1]) * duration
            np.add.at(kernel, (corners[0] + side // 2 + down, corners[1] + side // 2 + right), share)
    return torch.as_tensor(kernel / kernel.sum()).float()


class Crops:
    """Crops (1, 3, h, w) of random training images, each image at most once."""

    def __init__(self, data: Path, seed: int, wanted: Callable[[Tensor], bool], side: int = SIDE):
        self._rng = np.random.default_rng(seed)
        self._files = list(self._rng.permutation(sorted((data / "train").glob("*/*.jpg"))))
        self._wanted, self._side = wanted, side

    def next(self, kernel_side: int) -> Tensor:
        """The next one that a kernel of that side blurs into a photograph of the wanted side."""
        wide = self._side + kernel_side - 1
        while True:
            path = self._files.pop()
            columns, rows = Image.open(path).size
            if min(rows, columns) < wide:
                continue
            top, left = int(self._rng.integers(rows - wide + 1)), int(self._rng.integers(columns - wide + 1))
            x = read(path, (top, top + wide, left, left + wide))
            if self._wanted(x):
                return x


def _is_hard(x: Tensor) -> bool:
    return HARD_CONTRAST[0] < float(x.mean(1).std()) < HARD_CONTRAST[1] and _texture(x) < HARD_TEXTURE


def _texture(x: Tensor) -> float:
    """Mean absolute difference to the pixel above, in grey."""
    grey = x.mean(1)
    return float((grey[:, 1:] - grey[:, :-1]).abs().mean())


def _softness(x: Tensor) -> float:
    """Root mean square difference to the next pixel over that to the fourth: 0.25 of a ramp, 0.5 of a sharp edge."""
    near, far = (
        (x[..., step:, :] - x[..., :-step, :]).square().mean() + (x[..., step:] - x[..., :-step]).square().mean()
        for step in (1, 4)
    )
    return float((near / far).sqrt())


def _softened(x: Tensor, goal: float) -> Tensor:
    """``x`` (1, 1, h, w), made as soft as ``goal`` by a Gaussian; its width grows in steps of 0.05 pixels."""
    width, softer = 0.05, x
    while _softness(softer) > goal:
        width += 0.05
        kernel = torch.as_tensor(gaussian(width)).float()
        softer = F.conv2d(F.pad(x, (kernel.shape[0] // 2,) * 4, mode="reflect"), kernel[None, None])
    return softer


def blurred(name: str, x: Tensor, kernel: Tensor, noise: float, seed: int) -> BlindCase:
    """The photograph that a kernel (h, w), both odd, makes of ``x`` (1, C, H, W), with noise, in 8 bits.

    It has ``max(h, w) - 1`` rows and columns less than ``x``.
    """
    height, width = kernel.shape
    rows, columns = (n - max(height, width) + 1 for n in x.shape[-2:])
    x = x[..., : rows + height - 1, : columns + width - 1]
    y = Blur(kernel[None, None], padding="valid").A(x)
    field = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed))
    r, c = (height - 1) // 2, (width - 1) // 2
    return BlindCase(name, x[..., r : r + rows, c : c + columns], eight_bits(y + noise * field), kernel)
