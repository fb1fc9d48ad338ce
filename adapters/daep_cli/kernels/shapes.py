"""Blur kernels drawn from a few numbers: ``motion:15:30``, ``gaussian:1.6``, ``disk:4``.

Kernels are (h, w), both odd, with sum 1. A number out of range is a ``ValueError``.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Kernel = npt.NDArray[np.float64]

#: Number of sub-pixels along the side of a pixel. Shapes with an edge are averaged over them.
SUBPIXELS = 16
#: Pixels along the side of the largest kernel. A photograph with a larger blur cannot be restored.
LARGEST = 301


def motion(length: float, angle: float) -> Kernel:
    """A straight movement at constant speed: a line that is one pixel wide.

    :param float length: of the line, pixels, at least 1.
    :param float angle: of the line, degrees, counter-clockwise from the horizontal of the displayed image.
    """
    if not 1 <= length <= LARGEST:
        raise ValueError(f"a length of {length:g} pixels; expected 1 to {LARGEST}")
    if not math.isfinite(angle):
        raise ValueError(f"an angle of {angle:g}; expected degrees")
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))

    def inside(right: Kernel, down: Kernel) -> npt.NDArray[np.bool_]:
        along, across = cos * right - sin * down, sin * right + cos * down
        return (abs(along) <= length / 2) & (abs(across) <= 0.5)

    return _covered(inside, length / 2 + 1)


def disk(radius: float) -> Kernel:
    """Defocus: a uniform disk; ``radius`` in pixels, at least 0.5."""
    if not 0.5 <= radius <= LARGEST / 2:
        raise ValueError(f"a radius of {radius:g} pixels; expected 0.5 to {LARGEST // 2}")
    return _covered(lambda right, down: right**2 + down**2 <= radius**2, radius)


def gaussian(sigma: float) -> Kernel:
    """A Gaussian, by deepinv; standard deviation ``sigma`` in pixels, at least 0.1."""
    if not 0.1 <= sigma <= LARGEST / 7:
        raise ValueError(f"a standard deviation of {sigma:g} pixels; expected 0.1 to {LARGEST // 7}")
    from deepinv.physics.functional import gaussian_blur

    kernel: Kernel = gaussian_blur(sigma=(sigma, sigma))[0, 0].double().numpy()
    return kernel / kernel.sum()


#: Name -> (function, form of its name, example).
SHAPES: dict[str, tuple[Callable[..., Kernel], str, str]] = {
    "motion": (motion, "motion:LENGTH:ANGLE (pixels; degrees, counter-clockwise)", "motion:15:30"),
    "gaussian": (gaussian, "gaussian:SIGMA (pixels)", "gaussian:1.6"),
    "disk": (disk, "disk:RADIUS (pixels)", "disk:4"),
}


def draw_kernel(specification: str) -> Kernel:
    """The kernel of a text such as ``motion:15:30``."""
    shape, *texts = specification.split(":")
    draw, form, example = SHAPES[shape]
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        numbers = []
    if len(numbers) != example.count(":"):
        raise ValueError(f"--kernel {specification}: expected {form}, as in {example}.")
    try:
        return draw(*numbers)
    except ValueError as error:
        raise ValueError(f"--kernel {specification}: got {error}.") from error


def _covered(inside: Callable[[Kernel, Kernel], npt.NDArray[np.bool_]], reach: float) -> Kernel:
    """The kernel of a shape around the middle: the share of each pixel that is inside, normalised to sum 1.

    :param Callable inside: whether points are inside, of their distance to the right and down from the middle, pixels.
    :param float reach: the largest distance of the shape from the middle, pixels.
    """
    side = 2 * math.ceil(reach) + 1
    middles = (np.arange(side * SUBPIXELS) + 0.5) / SUBPIXELS - side / 2
    covered = inside(middles[None, :], middles[:, None]).reshape(side, SUBPIXELS, side, SUBPIXELS).mean((1, 3))
    top, left = (min(i.min(), side - 1 - i.max()) for i in covered.nonzero())
    covered = covered[top : side - top, left : side - left]
    total: float = covered.sum()
    return covered / total
