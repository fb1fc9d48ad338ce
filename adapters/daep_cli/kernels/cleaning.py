"""Remove from a kernel what is no kernel: a white or grey ground; move a middle that lies in the corner."""

import numpy as np
from scipy import ndimage

from daep_cli.photographs.photo import Array

# Chosen by hand: no kernel of `daep kernel`, whole or cut by a pixel, is changed.

#: Black on white: so many corners have at least this share of the peak, as no corner of a kernel of `daep kernel` has;
#: the mean of the border has at least this share, and some pixel less.
WHITE_CORNERS, WHITE, HALF = 2, 0.95, 0.5
#: The ground of a point of light is between these shares of the peak, and most pixels are no brighter than twice that.
GROUND = (0.02, 0.5)
#: A weaker ground is one if it is even (ratio of the darkest to the brightest twentieth of the border), and this share
#: of the light.
EVEN, LIGHT_IN_GROUND = 0.8, 0.02
#: Light within so many standard deviations of the ground's noise is noise.
NOISE = 3.0
#: Smallest side, and share of the light near the corners, of a kernel whose middle is in the corner.
SMALLEST_IN_CORNERS, IN_CORNERS = 8, 0.9
#: Share of the peak that the pixels of a spot of light exceed.
SPOT = 0.01
#: Ratio of the standard deviation of normal noise to its median absolute deviation.
ROBUST = 1.4826


def cleaned(values: Array, name: str, image: bool) -> tuple[Array, str]:
    """The kernel (h, w), and a warning about what was changed; empty: nothing.

    :param bool image: it is an image, and may be a photograph of a point of light.
    """
    kernel = values.astype(np.float64)
    if min(kernel.shape) < 3 or not np.isfinite(kernel).all() or kernel.max() <= 0:
        return values, ""  # the checks that follow say what is wrong
    border, peak = _border(kernel), float(kernel.max())
    if _is_black_on_white(kernel, border, peak):
        inverted, remark = cleaned(peak - kernel, name, image)
        also = f" {remark.partition(': ')[2]}" if remark else ""
        return inverted, f"--kernel {name}: is black on white, so it was inverted; make the light white.{also}"
    if _starts_in_corner(kernel):
        shifted, remark = cleaned(np.fft.fftshift(kernel), name, image)
        also = f" {remark.partition(': ')[2]}" if remark else ""
        return shifted, f"--kernel {name}: has its middle in the corner, so it was moved to the middle.{also}"
    level = _ground(kernel, border)
    if level <= 0:
        return values, ""
    middle = float(np.median(border))
    deviation = ROBUST * float(np.median(abs(border - middle)))
    light = kernel - middle
    light[light <= NOISE * deviation] = 0
    advice = f"; if it is a photograph of a point of light, give spot:{name}" if image else ""
    share = f"{100 * level / peak:.2g}" if level < 0.01 * peak else f"{100 * level / peak:.0f}"
    return (
        light,
        f"--kernel {name}: its border is not black ({share} % of its peak), so this ground was subtracted{advice}.",
    )


def _starts_in_corner(kernel: Array) -> bool:
    """Whether the light lies around the first pixel, in all four corners, where Fourier transforms have the middle."""
    if min(kernel.shape) < SMALLEST_IN_CORNERS:
        return False
    down, across = (side // 4 for side in kernel.shape)
    corners = np.fft.fftshift(kernel - np.median(kernel))
    if kernel.argmax() != 0:  # beside the first pixel: one spot of light, not the two of a double image
        spots, _ = ndimage.label(corners > SPOT * corners.max())
        corners = np.where(spots == spots.flat[corners.argmax()], corners, 0)
        if corners.sum() <= IN_CORNERS * (kernel - np.median(kernel)).sum():
            return False
    middle = (corners.shape[0] // 2, corners.shape[1] // 2)
    near = corners[middle[0] - down : middle[0] + down + 1, middle[1] - across : middle[1] + across + 1]
    sides = (near[: down or 1].sum(), near[down + 1 :].sum(), near[:, :across].sum(), near[:, across + 1 :].sum())
    return bool(near.sum() > IN_CORNERS * corners.sum() and min(sides) > 0)


def _is_black_on_white(kernel: Array, border: Array, peak: float) -> bool:
    corners = kernel[[0, 0, -1, -1], [0, -1, 0, -1]]
    white = np.sum(corners >= WHITE * peak) >= WHITE_CORNERS and border.mean() > HALF * peak
    return bool(white and kernel.min() < HALF * peak)


def _border(kernel: Array) -> Array:
    return np.concatenate([kernel[0], kernel[-1], kernel[1:-1, 0], kernel[1:-1, -1]])


def _ground(kernel: Array, border: Array) -> float:
    """Level of a ground around the light; 0 if there is none.

    A kernel that is cut to its size may touch the border, but most of its pixels are brighter than the border.
    """
    level, peak = float(np.quantile(border, 0.1)), float(kernel.max())
    low, high = GROUND
    if low * peak < level < high * peak and np.median(kernel) < 2 * level:
        return level
    darkest, brightest = np.quantile(border, [0.05, 0.95])
    even = brightest > 0 and darkest >= EVEN * brightest and brightest < high * peak
    return level if even and level * kernel.size > LIGHT_IN_GROUND * kernel.sum() else 0.0
