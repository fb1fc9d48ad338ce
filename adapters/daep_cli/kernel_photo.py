"""A blur kernel read from a photograph of a point of light: ``spot:PHOTO``."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from daep_cli.errors import named
from daep_cli.images import read_photo

__all__ = ["find_spot", "read_spot"]

Plane = npt.NDArray[np.float64]

#: A spot stands out of the noise of its surroundings this many times, and of black by this share of white.
SIGNIFICANT, FAINTEST = 10.0, 0.02
#: Where a spot ends: this share of its peak above the background, or this many times the noise.
EDGE, EDGE_NOISE = 0.01, 4.0
#: Gaps of twice this many pixels do not part a spot: the path of a shaking hand fades where it is fast.
GAP = 3
#: A second spot with this share of the first one's light is one too many.
RIVAL = 0.1
#: More saturated pixels than this share of the spot have lost its shape; one alone may be its peak.
SATURATED = 0.02
#: The background is fitted this often to what is within so many standard deviations of it.
GROUND_ROUNDS, DARK = 4, 3.0
#: and to about so many pixels, evenly spaced.
GROUND_SAMPLES = 100_000
#: The standard deviation of normal noise over its median absolute deviation.
ROBUST = 1.4826


def read_spot(path: Path) -> Plane:
    """The point-spread function in a photograph of one point of light on a dark ground.

    :param Path path: 8- or 16-bit image; its colours are averaged, as sRGB values turned into amounts of light.
    :return: (h, w), both odd, sum 1, its centre of mass in the middle pixel.
    :raises FileNotFoundError: no such file.
    :raises ValueError: unreadable; no spot, several, a saturated one, or one that is cut by the edge.
    """
    with named("--kernel spot:", path):
        photo = read_photo(path)
    values = photo.colour / photo.largest
    try:
        return find_spot(linear(values).mean(axis=2), (photo.colour == photo.largest).any(axis=2))
    except ValueError as error:
        raise ValueError(f"--kernel spot:{path}: {error}") from error


def linear(values: Plane) -> Plane:
    """Amounts of light in [0, 1] of sRGB values in [0, 1] (IEC 61966-2-1)."""
    light: Plane = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return light


def find_spot(light: Plane, saturated: npt.NDArray[np.bool_]) -> Plane:
    """Cut the one spot out of its background, centre and normalise it.

    :param light: amounts of light, (H, W).
    :param saturated: where they are not known because they are too high, (H, W).
    :return: see :func:`read_spot`.
    :raises ValueError: as there.
    """
    light, noise = _without_ground(light)
    smooth = ndimage.gaussian_filter(light, 1.0)
    peak = float(smooth.max())
    # smoothing by one pixel divides white noise by 3.5
    if light.max() < FAINTEST or peak < SIGNIFICANT * noise / 3.5:
        raise ValueError("no point of light stands out of the background; expose longer, or cut the picture around it.")
    mask = smooth > max(EDGE * peak, EDGE_NOISE * noise / 3.5)
    labels, count = ndimage.label(ndimage.binary_dilation(mask, iterations=GAP))
    weights = ndimage.sum_labels(np.where(mask, smooth, 0), labels, np.arange(1, count + 1))
    order = np.argsort(weights)[::-1]
    if count > 1 and weights[order[1]] > RIVAL * weights[order[0]]:
        rows, columns = zip(*(ndimage.center_of_mass(smooth, labels, 1 + i) for i in order[:2]), strict=True)
        places = " and ".join(f"({c:.0f}, {r:.0f})" for r, c in zip(rows, columns, strict=True))
        raise ValueError(f"several points of light, at (x, y) = {places}; cut the picture around one of them.")
    spot = labels == 1 + order[0]
    edges = (spot[0], spot[-1], spot[:, 0], spot[:, -1])
    if any(edge.any() for edge in edges):
        raise ValueError("the point of light touches the edge of the picture; keep some of the dark ground around it.")
    if saturated[spot].sum() > max(1, SATURATED * (mask & spot).sum()):
        raise ValueError(
            "the point of light is saturated (white), so its shape is lost; expose shorter. A drawn kernel is given by "
            "its name alone, without spot:."
        )
    # the light around the spot itself, in case the background is no plane
    ring = ndimage.binary_dilation(spot, iterations=2 * GAP) & ~spot
    # GAP only joins; beyond one pixel around the light there is nothing but noise
    cut = np.where(spot & ndimage.binary_dilation(mask), (light - np.median(light[ring])).clip(0), 0)
    return _centred(cut)


def _without_ground(light: Plane) -> tuple[Plane, float]:
    """``light`` less its background, a plane fitted to what is not bright, and the standard deviation of the noise."""
    step = math.ceil(math.sqrt(light.size / GROUND_SAMPLES))
    values = light[::step, ::step]
    down, right = np.mgrid[: light.shape[0] : step, : light.shape[1] : step]
    terms = np.stack([np.ones(values.size), down.ravel(), right.ravel()], axis=1)
    values = values.ravel()
    plane, noise = np.array([np.median(values), 0, 0]), 0.0
    for _ in range(GROUND_ROUNDS):
        off = abs(values - terms @ plane)
        noise = ROBUST * float(np.median(off))
        dark = off <= DARK * noise
        plane = np.linalg.lstsq(terms[dark], values[dark], rcond=None)[0]
    ground = plane[0] + plane[1] * np.arange(light.shape[0])[:, None] + plane[2] * np.arange(light.shape[1])
    return light - ground, noise


def _centred(cut: Plane) -> Plane:
    """The part around the centre of mass that holds all that is not zero, with odd sides and sum 1."""
    row, column = (round(c) for c in ndimage.center_of_mass(cut))
    rows, columns = cut.nonzero()
    down, right = int(abs(rows - row).max()), int(abs(columns - column).max())
    padded = np.pad(cut, ((down, down), (right, right)))
    kernel: Plane = padded[row : row + 2 * down + 1, column : column + 2 * right + 1]
    return kernel / kernel.sum()
