"""``ValueRange``: the range of an image's values, and the scale and offset that bring it to the networks' [0, 1]."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor

from daep_prior.solvers import Bounds

__all__ = ["UNIT_RANGE", "ValueRange", "bounds_warning", "check_bounds", "check_scale", "find_ranges"]

#: Side of the squares, in pixels, over which the image is averaged. Outliers and noise count less there.
POOLED = 4
#: Share of the squares that may be brighter than the highest value, and darker than the lowest.
OUTLIERS = 0.002
#: A scaled image reaches at most this value. An image in [0, 1] overshoots a little where it was interpolated.
HIGHEST = 1.05
#: Scales are powers of 2 to this exponent. ``fast`` on 5 training crops whose highest value was 1, 0.9, 0.7 and 0.5:
#: blur 26.37, 26.38, 26.42, 26.46 dB; 70 % missing pixels 26.95, 27.00, 26.98, 26.65 dB.
STEP = 0.5
#: A lower value than this share of the highest, in the squares or in single pixels beyond the noise: the image is
#: signed. The network knows no negative values: a shift of the same crops by -0.25, -0.5 and -1 costs 0.6, 4 and 11 dB.
SIGNED = 0.05
#: An image whose highest value is above this, and at most HIGHEST, is one in [0, 1].
LEAST_OF_UNIT = 0.65
#: The highest value counts as at least this many times the noise level, so that the noise stays within the levels
#: that the network is trained for: 75/255 at scale 1.
NOISE_LEVELS = 3.5
#: A field is dark if this share of the squares is darker than that share of its peak, the highest mean of ``PEAK_SIDE``
#: squared pixels: stars, or cells far apart. A blur lowers narrow peaks, so the highest value is the peak times its
#: ratio to the mean around it, at most ``SHARPER``. ``benchmarks/ranges.py --dark``.
DARK_SQUARES, DARK, PEAK_SIDE, SHARPER = 0.75, 0.25, 3, 1.8
#: Keeps a scale positive.
TINY = 1e-12
#: Standard deviations of the noise that a value must be beyond a limit to contradict it.
BEYOND_NOISE = 5.0
#: Median absolute deviation of white Gaussian noise of level 1.
MEDIAN_DEVIATION = 0.6745


@dataclass(frozen=True)
class ValueRange:
    """Range of the values of one image. The solver works on ``(x - offset) / scale``.

    :param float scale: positive.
    :param tuple offset: one a channel, all equal if there are bounds; the network sees no negative values.
    :param tuple bounds: limits of the result, in the image's values.
    :param str source: ``"found"`` from the measurement, ``"given"``, or ``"assumed"``: [0, 1], as in the paper.
    """

    scale: float = 1.0
    offset: tuple[float, ...] = (0.0,)
    bounds: Bounds = (0.0, 1.0)
    source: Literal["found", "given", "assumed"] = "assumed"

    @property
    def solver_bounds(self) -> Bounds:
        """The limits of the image that the solver sees."""
        low, high = (None if limit is None else (limit - self.offset[0]) / self.scale for limit in self.bounds)
        return low, high

    def __str__(self) -> str:
        limits = " to ".join("unbounded" if limit is None else f"{limit:g}" for limit in self.bounds)
        limits = "unbounded" if self.bounds == (None, None) else limits
        offsets = sorted(set(self.offset))
        shift = "" if offsets == [0] else f", shifted by {', '.join(f'{value:g}' for value in offsets)}"
        return f"{limits} ({self.source})" + ("" if self.scale == 1 else f", scaled by {self.scale:g}") + shift


#: Images in [0, 1], as the paper assumes them.
UNIT_RANGE = ValueRange()


def check_bounds(bounds: Any) -> Bounds | Literal["found"] | None:
    """Two limits, each a number or ``None``; ``"found"``; ``None``: no limits.

    :raises ValueError: not two, or not in order.
    """
    if bounds is None:
        return None
    if isinstance(bounds, str) and bounds == "found":
        return "found"
    try:
        low, high = (None if limit is None else float(limit) for limit in bounds)
    except (TypeError, ValueError) as error:
        raise ValueError(f"bounds: got {bounds!r}; expected (low, high), each a number or None, or None.") from error
    if low is not None and high is not None and not low < high:
        raise ValueError(f"bounds: got {bounds!r}; expected low < high.")
    return low, high


def check_scale(scale: Any) -> float | None:
    """A positive number; ``None``: found.

    :raises ValueError: anything else.
    """
    if scale is None:
        return None
    try:
        number = float(scale)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"scale: got {scale!r}; expected a positive number, the value of white.")
    return number


def find_ranges(
    start: Tensor, scale: float | None, bounds: Bounds | Literal["found"] | None, side: int = 1
) -> list[ValueRange]:
    """The range of each image of a batch, found in its first image.

    ``scale`` is 1 for an image whose highest value is between 0.65 and 1.05, else a power of the root of 2. So images
    that differ by a factor are restored alike.

    :param torch.Tensor start: first images (B, C, ...).
    :param float scale: given; ``None``: found.
    :param bounds: given limits, ``None``: none, ``"found"``: [0, 1] for an image of scale 1 that contradicts neither
        limit; 0 and above for other images that are not negative; else none.
    :param int side: of the squares whose means the values of ``start`` are, pixels of the image.
    """
    return [_range(image, scale, bounds, max(POOLED // side, 1)) for image in start]


def bounds_warning(image: Tensor, bounds: Bounds) -> Warning | None:
    """A warning if the first image (C, ...) lies clearly beyond the limits of the result; else ``None``."""
    values = image.detach().float().reshape(image.shape[0], -1, *image.shape[-2:])
    margin = 3 * noise_level(values) / POOLED
    squares = _square_means(values).reshape(1, -1)
    low, high = float(quantile(squares, OUTLIERS)) + margin, float(quantile(squares, 1 - OUTLIERS)) - margin
    slack = SIGNED * max(abs(low), abs(high))
    (least, most), shows = bounds, "bounds: the measurement shows values"
    advice = "values beyond are clipped; bounds=None keeps them"
    if most is not None and high > most + slack:
        return UserWarning(f"{shows} up to {high:.3g}, the upper limit is {most:g}; {advice}.")
    if least is not None and low < least - slack:
        return UserWarning(f"{shows} down to {low:.3g}, the lower limit is {least:g}; {advice}.")
    return None


def _range(image: Tensor, scale: float | None, bounds: Bounds | Literal["found"] | None, pooled: int) -> ValueRange:
    """The range of one image (C, ...), averaged over squares of ``pooled`` pixels."""
    flat = image.detach().float().reshape(image.shape[0], -1, *image.shape[-2:])  # volumes: slices beside each other
    noise = noise_level(flat)
    squares = _square_means(flat, pooled)
    margin = 3 * noise / pooled
    high = float(quantile(squares.reshape(1, -1), 1 - OUTLIERS)) - margin
    # wide squares hide peaks; a scale that is too small costs more than one that is too large
    high = max(high, NOISE_LEVELS * noise) * (SHARPER if pooled == 1 else 1.0)
    lows = (quantile(flat.flatten(1), OUTLIERS) + 3 * noise).tolist()
    darkest, brightest = float(flat.min()) + BEYOND_NOISE * noise, float(flat.max()) - BEYOND_NOISE * noise
    largest = max(high, *(-low for low in lows))
    given: Bounds | None = None if bounds == "found" else bounds or (None, None)
    if not largest > 0:  # an image of zeros
        return ValueRange(scale or 1.0, (0.0,) * len(lows), given or (0.0, None), "found" if given is None else "given")
    signed = min(*lows, darkest) < -SIGNED * largest
    high = high if signed else max(high, _peak_of_dark(flat, squares, noise))
    if given is not None and given != (None, None):
        offset = (min(given[0] or 0.0, 0.0),) * len(lows)
        return ValueRange(scale or _snapped(max(high - offset[0], TINY)), offset, given, "given")
    offset = tuple(-_snapped(-low) if signed and low < -SIGNED * largest else 0.0 for low in lows)
    found = scale or _snapped(max(high - min(offset), TINY * largest))
    if given is not None:
        return ValueRange(found, offset, given, "given")
    unit = not signed and found == 1 and brightest <= HIGHEST + SIGNED
    return ValueRange(found, offset, (None if signed else 0.0, 1.0 if unit else None), "found")


def _peak_of_dark(image: Tensor, squares: Tensor, noise: float) -> float:
    """The highest value of a dark field (C, D, H, W); 0: the field is not dark."""
    means = F.avg_pool2d(image, [min(PEAK_SIDE, n) for n in image.shape[-2:]], 1)
    around = F.avg_pool2d(means, PEAK_SIDE + 2, 1, PEAK_SIDE // 2 + 1, count_include_pad=False)
    brightest = int(means.argmax())
    peak = float(means.flatten()[brightest]) - noise
    if float(quantile(squares.reshape(1, -1), DARK_SQUARES)) >= DARK * peak:
        return 0.0
    narrow = peak / max(float(around.flatten()[brightest]), TINY * peak)
    return peak if LEAST_OF_UNIT < peak <= HIGHEST else peak * min(max(narrow, 1.0), SHARPER)


def _snapped(value: float) -> float:
    """The least power of ``2**STEP`` that ``value`` exceeds at most by the factor ``HIGHEST``; 1 for a range of 1."""
    if LEAST_OF_UNIT < value <= HIGHEST:
        return 1.0
    return float(2.0 ** (STEP * math.ceil(math.log2(value / HIGHEST) / STEP)))


def quantile(values: Tensor, share: float) -> Tensor:
    """Of the rows of (N, M): (N,). torch.quantile takes at most 2**24 values."""
    return values.kthvalue(1 + round(share * (values.shape[1] - 1)), dim=1).values


def _square_means(image: Tensor, pooled: int = POOLED) -> Tensor:
    """Means over squares of ``pooled`` pixels of (C, D, H, W): (C, D, h, w)."""
    side = [min(pooled, n) for n in image.shape[-2:]]
    return F.avg_pool2d(image, side)


def noise_level(image: Tensor) -> float:
    """Level of white noise in (C, D, H, W), or more: from the median difference of neighbours."""
    if image.shape[-1] < 2:
        return 0.0
    return float((image[..., 1:] - image[..., :-1]).abs().median()) / (MEDIAN_DEVIATION * math.sqrt(2))
