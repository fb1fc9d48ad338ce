"""Checks of the photographs whose blur is sought, and of ``size`` and ``seed``."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from daep_prior.arguments import checked_seeds, whole_number
from daep_prior.blind.region import LEAST_SIDES
from daep_prior.images import RGB

#: Side of the largest kernel that is sought by default, as a share of the photograph's smaller side, and its limits,
#: pixels. Levin's photographs have kernels of up to 27 pixels in 255.
SIZE_SHARE, SMALLEST_SIZE, LARGEST_DEFAULT = 1 / 8, 9, 31
#: Least side of the largest kernel, pixels: at the coarsest scale it has three.
SMALLEST_SIDE = 3
#: Smallest height and width of a photograph, pixels. Chosen by hand.
LEAST_PIXELS = 32
#: A photograph with values outside these is not in [0, 1].
DARKEST, BRIGHTEST = -0.5, 1.5


def checked_photographs(y: Any) -> Tensor:
    """``y``, a batch of photographs, without a graph.

    :raises ValueError: it is not, or too small, or not in [0, 1].
    """
    if not isinstance(y, Tensor) or not y.is_floating_point() or y.ndim != 4 or 0 in y.shape:
        got = f"{y.dtype} of shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(f"y: got {got}; expected photographs, a floating-point tensor (B, C, h, w).")
    y = y.detach()
    if not bool(y.isfinite().all()):
        raise ValueError("y: the photograph contains NaN or infinite values; expected finite numbers.")
    if float(y.min()) < DARKEST or float(y.max()) > BRIGHTEST:
        raise ValueError(f"y: got {values_of(y)}; expected photographs in [0, 1].")
    if min(y.shape[2:]) < LEAST_PIXELS:
        last = y.shape[3] in (1, RGB) and y.shape[1] >= LEAST_PIXELS
        order = " Its channels seem to be last; expected (B, C, h, w), as y.movedim(-1, 1) gives." if last else ""
        raise ValueError(
            f"y: got {y.shape[3]} x {y.shape[2]} pixels; expected at least {LEAST_PIXELS} x {LEAST_PIXELS}.{order}"
        )
    return y


def values_of(y: Tensor) -> str:
    """The range of the values of photographs, in words."""
    return f"values from {float(y.min()):.3g} to {float(y.max()):.3g}"


def seeds_of(seed: int | Sequence[int], count: int) -> list[int]:
    """The seed of each of ``count`` photographs.

    :raises ValueError: no whole numbers, or not as many as photographs.
    """
    seeds = checked_seeds(seed)
    if isinstance(seeds, int):
        return [seeds] * count
    if len(seeds) != count:
        raise ValueError(f"seed: got {len(seeds)} seeds for {count} photographs; give one, or one a photograph.")
    return seeds


def checked_size(size: int | None, y: Tensor) -> int:
    """The side of the largest kernel for photographs ``y``, odd; an even ``size`` counts as the next odd one.

    :raises ValueError: it is not a whole number from 3 on, or too large for the photographs.
    """
    smaller = min(y.shape[2:])
    if size is None:
        return 2 * (round(min(LARGEST_DEFAULT, max(SMALLEST_SIZE, SIZE_SHARE * smaller))) // 2) + 1
    side = 2 * (whole_number("size", size, SMALLEST_SIDE) // 2) + 1
    if LEAST_SIDES * side > smaller:
        raise ValueError(
            f"size: got {size} pixels for a photograph of {y.shape[3]} x {y.shape[2]}; expected at most "
            f"{(smaller // LEAST_SIDES - 1) // 2 * 2 + 1}, a third of its smaller side."
        )
    return side
