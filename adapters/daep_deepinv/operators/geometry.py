"""Where the pixels of a measurement lie in the image, for operators that map images to images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from deepinv.physics import Physics
from torch import Tensor

from daep_deepinv.operators.convolution import part_that_shows
from daep_deepinv.operators.failures import unless_it_fails
from daep_deepinv.operators.remembered import remembered
from daep_prior.back_projection import fill_missing

__all__ = ["Geometry", "image_geometry"]

# The limits were chosen by hand: blurs, masks and reductions stay far below them, random and Fourier operators far
# above.

#: A pixel is measured if ``K`` maps a white image to at least this share of the largest value there.
LEAST_GAIN = 0.1
#: A gain that differs from 1 by less is 1.
GAIN_ROUNDING = 1e-3
#: At least this many pixels of a channel are measured, along an axis of the image at least this many.
FEWEST_PIXELS, SHORTEST = 16, 4
#: Margins at the border of the image, as shares of its size, that are left out: the first that leaves this share of the
#: measured pixels.
MARGINS, LEAST_INSIDE = (1 / 4, 1 / 8, 1 / 16, 0.0), 0.05
#: The measured pixels lie on a grid: 80 % of their positions are at most this far from it, pixels, plus this share of
#: the image's size.
OFF_GRID, OFF_GRID_SHARE = 1.0, 0.03
#: Number of pixels that the grid is fitted to.
MOST_POINTS = 20000
#: A smooth image, one wave across, is measured as itself: largest error relative to its contrast.
UNLIKE = 0.35
#: A step of the grid is rounded if a whole number, or the reciprocal of one, is as close.
STEP_ROUNDING = 0.05


@dataclass(frozen=True)
class Geometry:
    """The measured pixel ``(i, j)`` is ``gain`` times the image around ``steps @ (i, j) + first``; rows before columns.

    :param list steps: 2 x 2 matrix, image pixels a measured pixel.
    :param list first: position of the first measured pixel, image pixels.
    :param torch.Tensor gain: ``K`` applied to a white image, (B, C, h, w); ``None``: 1.
    """

    steps: list[list[float]]
    first: list[float]
    gain: Tensor | None

    @property
    def factor(self) -> float | None:
        """Image pixels a measured pixel, the same along both axes; ``None``: they differ, or the image is turned."""
        (a, b), (c, d) = self.steps
        return a if a == d and b == c == 0 and a > 0 else None

    def image(self, y: Tensor, size: tuple[int, int], channels: int) -> tuple[Tensor, str]:
        """The measurement brought to the image's grid, (B, channels, *size), and how in words.

        Its border is continued by replication, pixels that were not measured are interpolated.
        """
        words = "the measurement"
        if self.gain is not None:
            known = self.gain.abs() > LEAST_GAIN * self.gain.abs().amax()
            y = torch.where(known, y / torch.where(known, self.gain, 1), 0)
            words = "the measurement over the gain of the operator"
            if not bool(known.all()):
                mask = known.to(y).expand_as(y)
                y, words = fill_missing(y, mask), "the measured pixels, the missing ones interpolated"
        x, moved = self._on_grid(y, size)
        return x.expand(-1, channels, -1, -1).clone(), words + moved

    def _on_grid(self, y: Tensor, size: tuple[int, int]) -> tuple[Tensor, str]:
        factor = self.factor
        if factor == 1:
            # the integer shift moves the measurement without smoothing its noise
            shift = [round(b) for b in self.first]
            if shift == [0, 0] and y.shape[-2:] == size:
                return y, ""
            rows, cols = ((torch.arange(size[k]) - shift[k]).clamp(0, y.shape[k - 2] - 1).to(y.device) for k in (0, 1))
            cropped = any(y.shape[k - 2] < size[k] for k in (0, 1))
            return y[..., rows, :][..., cols], ", padded by replication" if cropped else ", shifted"
        if factor is not None and factor >= 1:
            words = f", enlarged {factor:g} times (bicubic)"
            centred = all(abs(b - (factor - 1) / 2) < GAIN_ROUNDING * factor for b in self.first)
            if centred and [round(factor * n) for n in y.shape[-2:]] == list(size):
                return F.interpolate(y, size=size, mode="bicubic", align_corners=False), words
        else:
            words = ", resampled (bicubic)"
        back = torch.linalg.inv(torch.tensor(self.steps, dtype=torch.float64))
        grid = torch.cartesian_prod(*(torch.arange(n, dtype=torch.float64) for n in size))
        at = (grid - torch.tensor(self.first, dtype=torch.float64)) @ back.T
        half = torch.tensor(y.shape[-2:], dtype=torch.float64) / 2
        at = ((at + 0.5) / half - 1).reshape(1, *size, 2).flip(-1).to(y).expand(y.shape[0], -1, -1, -1)
        return F.grid_sample(y, at, mode="bicubic", padding_mode="border", align_corners=False), words


def image_geometry(physics: Physics, like: Tensor) -> Geometry | None:
    """The geometry of ``physics``; ``None``: its measurement is no image.

    Found with a white image, two ramps and a smooth image, and remembered.

    :param torch.Tensor like: images (B, C, H, W) of the shape that the physics takes; their values do not matter.
    """
    if like.ndim != 4 or like.is_complex() or min(like.shape[-2:]) < SHORTEST:
        return None
    if like.shape[0] > 1 and _takes_one(physics, like):  # so that the answer does not depend on the batch
        like = like[:1]
    part = part_that_shows(physics, like)
    geometry = _remembered_geometry(physics, part)
    if part is like or geometry is None or geometry.gain is None:
        return geometry
    return _remembered_geometry(physics, like)  # the gain has the size of the measurement


def _remembered_geometry(physics: Physics, like: Tensor) -> Geometry | None:
    question = ("geometry", tuple(like.shape), like.dtype, str(like.device))
    return remembered(physics, question, lambda: _geometry(physics, like))


def _takes_one(physics: Physics, like: Tensor) -> bool:
    """Whether the physics takes one image alone, and is not for a whole batch."""
    seen = unless_it_fails(lambda: physics.A(torch.ones_like(like[:1])), None)
    return isinstance(seen, Tensor) and seen.ndim > 0 and seen.shape[0] == 1


def _geometry(physics: Physics, like: Tensor) -> Geometry | None:
    gain = physics.A(torch.ones_like(like))
    if not isinstance(gain, Tensor) or gain.ndim != 4 or gain.is_complex() or min(gain.shape[-2:]) < SHORTEST:
        return None
    if gain.shape[0] != like.shape[0] or gain.shape[1] not in (1, like.shape[1]):
        return None
    known = gain.abs() > LEAST_GAIN * gain.abs().amax()
    if int(known.sum((-2, -1)).min()) < FEWEST_PIXELS:
        return None
    size = like.shape[-2:]
    places = torch.stack([physics.A(ramp.expand_as(like)) for ramp in _ramps(like)]) / torch.where(known, gain, 1)
    # a circular blur wraps the ramps around at the border
    enough = max(FEWEST_PIXELS, LEAST_INSIDE * int(known.sum()))
    points = next(inside for m in MARGINS if int((inside := known & _inside(gain, m)).sum()) >= enough).nonzero()
    points = points[:: len(points) // MOST_POINTS + 1]
    fitted = _fitted_grid(
        points[:, 2:].double().cpu(), places.movedim(0, -1)[tuple(points.T)].double().cpu(), OFF_GRID_SHARE * max(size)
    )
    if fitted is None:
        return None
    geometry = Geometry(*fitted, None if float((gain - 1).abs().max()) < GAIN_ROUNDING else gain)
    return geometry if _unlikeness(physics, like, geometry, gain, points) < UNLIKE else None


def _fitted_grid(at: Tensor, found: Tensor, slack: float) -> tuple[list[list[float]], list[float]] | None:
    """Steps and first position of the grid for pixels ``at`` (n, 2) that were found at ``found`` (n, 2); ``None``: they
    lie on no grid."""
    design = torch.cat([at, torch.ones_like(at[:, :1])], 1)
    solution = torch.linalg.lstsq(design, found, driver="gelsd").solution
    steps = [[_rounded(float(solution[j, i])) for j in (0, 1)] for i in (0, 1)]
    if abs(steps[0][0] * steps[1][1] - steps[0][1] * steps[1][0]) < STEP_ROUNDING**2:
        return None
    off = found - at @ torch.tensor(steps, dtype=torch.float64).T
    first = off.median(0).values
    distance = (off - first).abs().amax(1)
    if float(distance.quantile(0.8)) > OFF_GRID + slack:
        return None
    return steps, [round(float(b), 3) for b in first]


def _ramps(like: Tensor) -> list[Tensor]:
    """Row and column of each pixel, (1, 1, H, W)."""
    height, width = like.shape[-2:]
    rows = torch.arange(height, dtype=like.dtype, device=like.device)[:, None].expand(height, width)
    cols = torch.arange(width, dtype=like.dtype, device=like.device)[None].expand(height, width)
    return [rows[None, None], cols[None, None]]


def _inside(y: Tensor, margin: float) -> Tensor:
    """True but for this share of the rows and columns at each border, (h, w)."""
    inside = []
    for n in y.shape[-2:]:
        index, border = torch.arange(n, device=y.device), int(margin * n)
        inside.append((index >= border) & (index < n - border))
    return inside[0][:, None] & inside[1][None]


def _rounded(step: float) -> float:
    """The nearest whole number, or the reciprocal of one, if it is close."""
    whole = round(step)
    if abs(step - whole) < STEP_ROUNDING * max(1, abs(whole)):
        return float(whole)
    parts = round(1 / step)
    return 1 / parts if abs(step * parts - 1) < STEP_ROUNDING else step


def _unlikeness(physics: Physics, like: Tensor, geometry: Geometry, gain: Tensor, points: Tensor) -> float:
    """Error of a measured smooth image at ``points`` relative to its contrast. The channels are unlike, so that a
    mixture of them shows."""
    phases = torch.arange(gain.shape[1], dtype=torch.float64, device=like.device)

    def smooth(rows: Tensor, cols: Tensor, channel: Tensor) -> Tensor:
        height, width = like.shape[-2:]
        turn = phases[channel]
        vertical = torch.sin(2 * math.pi * rows.double() / height + 2.1 * turn)
        return vertical + torch.sin(2 * math.pi * cols.double() / width + 1.3 * turn)

    rows, cols = _ramps(like)
    channels = torch.arange(gain.shape[1], device=like.device).view(1, -1, 1, 1)
    image = smooth(rows, cols, channels).to(like).expand_as(like).contiguous()
    _, channel, i, j = points.T
    (a, b), (c, d) = geometry.steps
    expected = smooth(a * i + b * j + geometry.first[0], c * i + d * j + geometry.first[1], channel)
    got = (physics.A(image) / gain)[tuple(points.T)].double()
    contrast = (expected - expected.mean()).square().mean().sqrt()
    return float((got - expected).square().mean().sqrt() / contrast.clamp_min(1e-12))
