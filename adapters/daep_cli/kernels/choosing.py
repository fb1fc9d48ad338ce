"""The kernel of one photograph: cut to its light, and one of several."""

import warnings

import numpy as np
import numpy.typing as npt

from daep_cli.kernels.shapes import SHAPES
from daep_cli.photographs.photo import Array
from daep_prior.images import RGB

Kernel = npt.NDArray[np.float64]

#: Share of the light that the cut border of a kernel may contain.
CUT = 0.005


def one_of(kernel: Kernel, channels: int, page: int, pages: int, name: str) -> Kernel:
    """Of a kernel (h, w), or (N, h, w) for several, that of a page: (h, w), or (C, h, w) for one a channel.

    :raises ValueError: as many kernels as there are neither channels nor pages.
    """
    if kernel.ndim == 2 or len(kernel) == channels:
        return kernel
    if len(kernel) == pages:
        return np.asarray(kernel[page])
    if len(kernel) == RGB and channels == pages == 1:
        warnings.warn(f"--kernel {name}: {RGB} kernels for a grey image; their mean is used.", stacklevel=2)
        return np.asarray(kernel.mean(0))
    raise ValueError(
        f"--kernel {name}: {len(kernel)} kernels, but the image has channels: {channels}, and pages: {pages}; give one "
        "kernel, one a channel, or one a page."
    )


def without_effect(kernel: Kernel) -> Kernel | None:
    """The kernel; ``None`` if it is one pixel in the middle, which blurs nothing."""
    rows, columns = kernel.shape[-2:]
    return None if (kernel[..., rows // 2, columns // 2] == 1).all() else kernel


def fitted(kernel: npt.NDArray[np.float64], size: tuple[int, int], name: str, image: bool) -> npt.NDArray[np.float64]:
    """The kernel (h, w) or (N, h, w) without the border that makes it larger than the photograph.

    A kernel as large as a photograph comes from an optics program, and has an empty border.

    :param tuple size: (width, height) of the photograph.
    :raises ValueError: the light itself is larger.
    """
    planes = kernel[None] if kernel.ndim == 2 else kernel
    width, height = size
    rows, columns = planes.shape[1:]
    fits = rows <= height and columns <= width
    reach = _reach(abs(planes).sum(0))
    if fits and (2 * max(rows / height, columns / width) <= 1 or 4 * max(reach) > max(rows, columns)):
        return kernel
    middle = (rows // 2, columns // 2)
    cut = planes[:, middle[0] - reach[0] : middle[0] + reach[0] + 1, middle[1] - reach[1] : middle[1] + reach[1] + 1]
    if cut.shape[2] > width or cut.shape[1] > height:
        advice = "cut off its empty border"
        if image:
            advice += f", or if it is a photograph of a point of light, give spot:{name}"
        elif name.partition(":")[0] in SHAPES:
            advice = "give a smaller one"
        raise ValueError(
            f"--kernel {name}: {columns} x {rows}, larger than the image of {width} x {height} pixels; {advice}."
        )
    if cut.sum() < 0.9999 * planes.sum():
        lost = 100 * (1 - cut.sum() / planes.sum())
        warnings.warn(f"--kernel {name}: its border, {lost:.1f} % of the light, was cut off.", stacklevel=2)
    cut = cut / cut.sum(axis=(1, 2), keepdims=True)
    return cut[0] if kernel.ndim == 2 else cut


def _reach(light: Array) -> tuple[int, int]:
    """Distances down and across from the middle that contain all light but the share :data:`CUT`, half of it each."""
    found = []
    for axis in (0, 1):
        profile = light.sum(1 - axis)
        middle = len(profile) // 2
        distance = abs(np.arange(len(profile)) - middle)
        order = np.argsort(distance, kind="stable")
        inside = np.cumsum(profile[order]) >= (1 - CUT / 2) * profile.sum()
        found.append(min(int(distance[order][inside.argmax()]), middle, len(profile) - 1 - middle))
    return found[0], found[1]
