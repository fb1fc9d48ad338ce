"""A blur kernel from a photograph of a point of light: ``spot:PHOTO``."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from daep_cli.errors import named
from daep_cli.photographs.reading import read_photo
from daep_cli.photographs.tone_curves import curve_of
from daep_cli.photographs.value_range import is_clipped, ranged

Plane = npt.NDArray[np.float64]

# Chosen by hand on simulated photographs.

#: Least peak of a spot above the background, as a multiple of the noise level, and of white.
MIN_PEAK_TO_NOISE, MIN_PEAK = 10.0, 0.02
#: A spot ends where it falls below this share of its peak, or below this multiple of the noise level.
EDGE, EDGE_TO_NOISE = 0.01, 4.0
#: Half the width in pixels of gaps within a spot: the trace of a shaking camera fades where the movement is fast.
GAP = 3
#: A second spot with more than this share of the light of the first is refused.
SECOND_SPOT = 0.1
#: A spot with more than this share of saturated pixels is refused. One pixel alone may be the peak.
SATURATED = 0.02
#: The background is fitted this many times, to the pixels within so many standard deviations of it.
FITS, MAX_DEVIATION = 4, 3.0
#: Number of pixels that the background is fitted to, about.
FITTED_PIXELS = 100_000
#: Ratio of the standard deviation of normal noise to its median absolute deviation.
ROBUST = 1.4826
#: Level of white noise after a Gaussian filter of one pixel, relative to before: 1 / (2 sqrt(pi)), rounded.
SMOOTHED_NOISE = 1 / 3.5


def read_spot(path: Path) -> Plane:
    """The point-spread function in a photograph of one point of light on a dark background.

    :param Path path: an image. Its values are converted to amounts of light, see
        :mod:`daep_cli.photographs.tone_curves`, and the colours are averaged.
    :return: (h, w), both odd, sum 1, the centre of mass in the middle pixel.
    :raises ValueError: unreadable, or there is no spot, or several, or it is saturated, or it touches the edge.
    """
    with named("--kernel spot:", path):
        photo = ranged(read_photo(path))
        curve = curve_of(photo)
    values = (photo.colour - photo.black) / (photo.white - photo.black)
    # photon noise makes the darkest pixel of linear data arbitrary; the background is subtracted anyway
    # floats have no largest value; where a sensor was full, they have a plateau
    limit = photo.largest if photo.colour.dtype.kind in "iu" else math.inf
    saturated = photo.colour >= (photo.white if is_clipped(photo.colour) else limit)
    try:
        return find_spot(curve.light(values).mean(axis=2), np.asarray(saturated.any(axis=2)))
    except ValueError as error:
        raise ValueError(f"--kernel spot:{path}: {error}") from error


def find_spot(light: Plane, saturated: npt.NDArray[np.bool_]) -> Plane:
    """Subtract the background of a photograph (H, W), cut out the one spot, centre it, and normalise it to sum 1."""
    light, noise = _without_background(light)
    smooth = ndimage.gaussian_filter(light, 1.0)
    peak = float(smooth.max())
    noise *= SMOOTHED_NOISE
    if light.max() < MIN_PEAK or peak < MIN_PEAK_TO_NOISE * noise:
        raise ValueError("no point of light stands out of the background; expose longer, or crop the photograph to it.")
    mask = smooth > max(EDGE * peak, EDGE_TO_NOISE * noise)
    labels, count = ndimage.label(ndimage.binary_dilation(mask, iterations=GAP))
    weights = ndimage.sum_labels(np.where(mask, smooth, 0), labels, np.arange(1, count + 1))
    order = np.argsort(weights)[::-1]
    if count > 1 and weights[order[1]] > SECOND_SPOT * weights[order[0]]:
        rows, columns = zip(*(ndimage.center_of_mass(smooth, labels, 1 + i) for i in order[:2]), strict=True)
        places = " and ".join(f"({c:.0f}, {r:.0f})" for r, c in zip(rows, columns, strict=True))
        raise ValueError(f"several points of light, at (x, y) = {places}; crop the photograph to one of them.")
    spot = labels == 1 + order[0]
    edges = (spot[0], spot[-1], spot[:, 0], spot[:, -1])
    if any(edge.any() for edge in edges):
        raise ValueError("the point of light touches the edge of the photograph; include some dark background.")
    if saturated[spot].sum() > max(1, SATURATED * (mask & spot).sum()):
        raise ValueError(
            "the point of light is saturated (white), so its shape is lost; expose shorter. If it is the image of a "
            "kernel, leave spot: out."
        )
    # the background close to the spot, in case it is not a plane
    ring = ndimage.binary_dilation(spot, iterations=2 * GAP) & ~spot
    # the gaps are filled with noise, so only one pixel around the light is kept
    cut = np.where(spot & ndimage.binary_dilation(mask), (light - np.median(light[ring])).clip(0), 0)
    return _centred(cut)


def _without_background(light: Plane) -> tuple[Plane, float]:
    """``light`` minus a linear function fitted to the dark pixels, and the standard deviation of the noise."""
    step = math.ceil(math.sqrt(light.size / FITTED_PIXELS))
    values = light[::step, ::step]
    down, right = np.mgrid[: light.shape[0] : step, : light.shape[1] : step]
    terms = np.stack([np.ones(values.size), down.ravel(), right.ravel()], axis=1)
    values = values.ravel()
    plane, noise = np.array([np.median(values), 0, 0]), 0.0
    for _ in range(FITS):
        off = abs(values - terms @ plane)
        noise = ROBUST * float(np.median(off))
        dark = off <= MAX_DEVIATION * noise
        plane = np.linalg.lstsq(terms[dark], values[dark], rcond=None)[0]
    background = plane[0] + plane[1] * np.arange(light.shape[0])[:, None] + plane[2] * np.arange(light.shape[1])
    return light - background, noise


def _centred(cut: Plane) -> Plane:
    """The part around the centre of mass that contains all positive pixels, with odd sides and sum 1."""
    row, column = (round(c) for c in ndimage.center_of_mass(cut))
    rows, columns = cut.nonzero()
    down, right = int(abs(rows - row).max()), int(abs(columns - column).max())
    padded = np.pad(cut, ((down, down), (right, right)))
    kernel: Plane = padded[row : row + 2 * down + 1, column : column + 2 * right + 1]
    return kernel / kernel.sum()
