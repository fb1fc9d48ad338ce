"""Random blur kernels for the training of a network: ``random_kernel(rng)``, (64, 64), not negative, peak 1.

Five kinds: curved trails, random walks, straight motion, apertures and Gaussians. A small Gaussian softens 30 % of the
kernels; 12 % are the convolution of two kernels of any kind. Lengths are in pixels, angles in radians. The middle is
pixel (32, 32); each shape is moved from it by up to half a pixel. All numbers were chosen by hand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Side of a kernel and its middle, pixels.
SIDE = 64
MIDDLE = SIDE // 2
#: Range of the larger side of a trail or walk, of the length of a straight motion, of the radius of an aperture, and of
#: the standard deviation of a Gaussian; pixels.
EXTENT, LENGTH, RADIUS, WIDTH = (3, 56), (2, 45), (1, 14), (0.4, 6)
#: Largest standard deviation of the Gaussian that softens another kernel, pixels.
SOFTENING = 1.5
#: Number of points on a trail, a walk and a straight motion.
TRAIL_POINTS, WALK_POINTS, LINE_POINTS = 3000, 2000, 1500
#: Number of sub-pixels along the side of a pixel of an aperture.
SUBPIXELS = 4
#: Smaller values are set to 0, share of the peak: a convolution by Fourier transforms leaves some of 1e-17.
LEAST = 3e-8
#: Shares of softened kernels, and of convolutions of two kernels of any kind.
SOFTENED, COMPOSED = 0.3, 0.12


def random_kernel(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A kernel (64, 64), not negative, with peak 1: ``k = a`` or ``k = a * b``."""
    kernel, kind = _of_any_kind(rng), rng.random()
    if kind < SOFTENED:
        kernel = _convolved(kernel, gaussian(rng, SOFTENING))
    elif kind < SOFTENED + COMPOSED:
        kernel = _convolved(kernel, _of_any_kind(rng))
    kernel = kernel / kernel.max()
    return np.where(kernel < LEAST, 0, kernel).astype(np.float32)


def trail(rng: np.random.Generator) -> Array:
    r"""A curve :math:`\sum_{m=1}^n a_m m^{-p} \sin(\pi m t + \phi_m)` in both directions; the time spent at ``t``
    varies by a factor of up to :math:`e^{3.2}`."""
    t = np.linspace(0, 1, TRAIL_POINTS)
    waves, power = rng.integers(1, 7), rng.uniform(0.5, 2)
    curve = np.zeros((2, TRAIL_POINTS))
    for axis in (0, 1):
        for m in range(1, waves + 1):
            curve[axis] += rng.normal() / m**power * np.sin(np.pi * m * t + _phase(rng))
    time = np.exp(rng.uniform(0, 1.6) * np.sin(2 * np.pi * rng.uniform(0.3, 3) * t + _phase(rng)))
    return _drawn(_placed(curve, rng), time)


def walk(rng: np.random.Generator) -> Array:
    r"""A walk with inertia, :math:`v_{i+1} = a v_i + 0.2 n_i`, whose velocity changes abruptly up to four times on
    average."""
    inertia, pushes = rng.uniform(0.97, 0.999), rng.normal(size=(WALK_POINTS, 2))
    velocity = rng.normal(size=2) * rng.uniform(0, 6)
    jerks = rng.random(WALK_POINTS) < rng.uniform(0, 4) / WALK_POINTS
    velocities = np.empty((WALK_POINTS, 2))
    for i in range(WALK_POINTS):
        velocity = inertia * velocity + 0.2 * pushes[i]
        if jerks[i]:
            velocity = rng.normal(size=2) * np.linalg.norm(velocity) * rng.uniform(0.5, 2)
        velocities[i] = velocity
    return _drawn(_placed(np.cumsum(velocities, 0).T, rng), np.ones(WALK_POINTS))


def line(rng: np.random.Generator) -> Array:
    r"""Straight motion at constant speed, :math:`L t (\sin\alpha, \cos\alpha)`, :math:`|t| \le 1/2`."""
    t, angle = np.linspace(-0.5, 0.5, LINE_POINTS), rng.uniform(0, np.pi)
    points = _log_uniform(rng, *LENGTH) * np.stack([np.sin(angle) * t, np.cos(angle) * t])
    return _drawn(points + MIDDLE + _offset(rng)[:, None], np.ones(LINE_POINTS))


def aperture(rng: np.random.Generator) -> Array:
    r"""A disc, or in 40 % a regular polygon of 5 to 9 corners, of radius ``R``; in 25 % its values are
    :math:`1 + c (r/R)^2`."""
    radius, (down, right) = _log_uniform(rng, *RADIUS), _distances(rng, SUBPIXELS)
    distance = np.hypot(down, right)
    if rng.random() < 0.4:
        sector = 2 * np.pi / rng.integers(5, 10)
        angle = np.arctan2(down, right) + _phase(rng)
        # the edge of the polygon with circumradius 1 in this direction
        distance = distance * np.cos(angle % sector - sector / 2) / np.cos(sector / 2)
    inside = (distance <= radius).astype(float)
    if rng.random() < 0.25:
        inside *= 1 + rng.uniform(-0.7, 1.5) * (distance / radius) ** 2
    shares: Array = inside.reshape(SIDE, SUBPIXELS, SIDE, SUBPIXELS).mean((1, 3))
    return shares


def gaussian(rng: np.random.Generator, widest: float = WIDTH[1]) -> Array:
    r""":math:`\exp(-(u^2 + v^2)^{p/2} / 2)` of the distances along two axes, in standard deviations; 40 % are elliptic,
    30 % have ``p`` from 1 to 2.5 in place of 2."""
    width = _log_uniform(rng, WIDTH[0], widest)
    ratio = np.exp(rng.uniform(-0.9, 0.9)) if rng.random() < 0.4 else 1.0
    angle, (down, right) = rng.uniform(0, np.pi), _distances(rng)
    along = (np.cos(angle) * down + np.sin(angle) * right) / width
    across = (np.cos(angle) * right - np.sin(angle) * down) / (width * ratio)
    power = rng.uniform(1, 2.5) if rng.random() < 0.3 else 2.0
    values: Array = np.exp(-0.5 * (along**2 + across**2) ** (power / 2))
    return values


#: The kinds and their shares.
KINDS = (trail, walk, line, aperture, gaussian)
SHARES = (0.3, 0.22, 0.14, 0.17, 0.17)


def _of_any_kind(rng: np.random.Generator) -> Array:
    """A kernel of one of :data:`KINDS`, with a peak of any value."""
    return KINDS[rng.choice(len(KINDS), p=SHARES)](rng)


def _drawn(points: Array, times: Array) -> Array:
    """The time that a curve (2, n) of rows and columns spends in each pixel; bilinear shares."""
    corner = np.floor(points).astype(int)
    inside, kernel = points - corner, np.zeros(SIDE * SIDE)
    for down in (0, 1):
        for right in (0, 1):
            share = np.abs(1 - down - inside[0]) * np.abs(1 - right - inside[1]) * times
            kernel += np.bincount((corner[0] + down) * SIDE + corner[1] + right, share, SIDE * SIDE)
    return kernel.reshape(SIDE, SIDE)


def _placed(curve: Array, rng: np.random.Generator) -> Array:
    """A curve (2, n) around the middle, its farthest coordinate half an extent of :data:`EXTENT` away."""
    curve = curve - curve.mean(1, keepdims=True)
    scale = _log_uniform(rng, *EXTENT) / 2 / max(1e-9, float(np.abs(curve).max()))
    return scale * curve + MIDDLE + _offset(rng)[:, None]


def _distances(rng: np.random.Generator, subpixels: int = 1) -> tuple[Array, Array]:
    """Rows (n, 1) and columns (1, n) as distances from a point near the middle, pixels; ``n = 64 subpixels``."""
    places = (np.arange(SIDE * subpixels) + 0.5) / subpixels - 0.5 - MIDDLE
    down, right = _offset(rng)
    return places[:, None] - down, places[None, :] - right


def _convolved(a: Array, b: Array) -> Array:
    """The circular convolution of two kernels whose middle is pixel (32, 32)."""
    b = np.roll(b, (-MIDDLE, -MIDDLE), (0, 1))
    return np.maximum(np.fft.irfft2(np.fft.rfft2(a) * np.fft.rfft2(b), s=(SIDE, SIDE)), 0)


def _offset(rng: np.random.Generator) -> Array:
    """A shift by up to half a pixel down and right, (2,)."""
    return rng.uniform(-0.5, 0.5, 2)


def _phase(rng: np.random.Generator) -> float:
    """An angle in [0, 2 pi)."""
    return rng.uniform(0, 2 * np.pi)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    r""":math:`e^u` with ``u`` uniform between the logarithms of both numbers."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
