r"""A spiral in the plane whose mean-shift field is known exactly, and a small network that learns it (Figure 2).

The density is a mixture of narrow Gaussians along a spiral. Smoothed by a Gaussian it is another mixture, so its score,
its optimal denoiser and the prior have closed forms. Points are images of two channels and one pixel, (N, 2, 1, 1), as
the functions of ``daep_prior`` expect.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

#: Thickness of the spiral, whose arms are 0.4 apart.
THICKNESS = 0.05
TURNS = 2.0
#: Standard deviation of the noise the denoiser is trained for.
WIDTH = 0.05


class Spiral:
    """A density in the square [-1, 1] x [-1, 1], concentrated on an Archimedean spiral.

    :param float thickness: standard deviation of the Gaussians.
    :param int count: number of Gaussians, at equal distances along the curve.
    """

    def __init__(self, thickness: float = THICKNESS, count: int = 200, dtype: torch.dtype = torch.float32):
        self.thickness = thickness
        # the arc length of r = a + b t grows with r, so equal steps of r^2 are nearly equal steps along the curve
        radius = torch.linspace(0.1**2, 0.9**2, count, dtype=torch.float64).sqrt()
        angle = 2 * math.pi * TURNS * (radius - 0.1) / 0.8
        self.centres = torch.stack([radius * angle.cos(), radius * angle.sin()], 1).to(dtype)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Random points of the density, (count, 2, 1, 1)."""
        chosen = torch.randint(len(self.centres), (count,), generator=generator)
        spread = torch.randn(count, 2, generator=generator).to(self.centres)
        return (self.centres[chosen] + self.thickness * spread)[..., None, None]

    def log_density(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """``log (g_{sigma^2} * p)(x)`` of points (N, 2, 1, 1): (N,)."""
        variance = self.thickness**2 + sigma**2
        normaliser = math.log(2 * math.pi * variance * len(self.centres))
        return torch.logsumexp(-self._squared_distance(x) / (2 * variance), 1) - normaliser

    def field(self, x: Tensor, sigma: float) -> Tensor:
        """The mean-shift field ``sigma^2 grad log (g_{sigma^2} * p)(x)`` (eq. 6), differentiated by autograd."""
        x = x.detach().requires_grad_()
        (score,) = torch.autograd.grad(self.log_density(x, sigma).sum(), x)
        return sigma**2 * score

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        """The optimal DAE ``E[clean | x]``: that of each Gaussian, weighted by its share of the smoothed density."""
        variance = self.thickness**2 + sigma**2
        share = torch.softmax(-self._squared_distance(x) / (2 * variance), 1)
        keep = self.thickness**2 / variance
        return ((1 - keep) * share @ self.centres + keep * x.flatten(1)).view_as(x)

    def _squared_distance(self, x: Tensor) -> Tensor:
        return (x.flatten(1)[:, None] - self.centres).square().sum(2)


class PointDAE(nn.Module):
    """A small residual network on points, called as a denoiser: ``dae(x, sigma)``."""

    def __init__(self, hidden: int = 64):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(2, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.tail = nn.Linear(hidden, 2)

    def forward(self, x: Tensor, sigma: float | Tensor | None = None) -> Tensor:
        """``x + r(x)`` of points (N, 2, 1, 1); trained for one level, so ``sigma`` is ignored."""
        # input and residual are scaled to unit size, which saves two thirds of the training steps
        residual: Tensor = WIDTH * self.tail(self.body(x.flatten(1) / (2 * WIDTH)))
        return x + residual.view_as(x)


def train(spiral: Spiral, sigma: float = WIDTH, steps: int = 4000, batch: int = 512, seed: int = 0) -> PointDAE:
    """A DAE for ``spiral``, trained on the squared error (eq. 4) in a few seconds on one core."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        dae = PointDAE()
    optimiser = torch.optim.Adam(dae.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        clean = spiral.sample(batch, generator)
        noise = torch.randn(clean.shape, generator=generator)
        loss = (dae(clean + sigma * noise, sigma) - clean).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return dae.eval().requires_grad_(False)


def stochastic_field(denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigma: float, nodes: int = 8) -> Tensor:
    r"""Eq. 8: ``2 (E_eps[A_s(x - eps)] - x)``, an approximation to the mean-shift field at ``sqrt(2) s``.

    The expectation is a Gauss-Hermite sum; the solver takes one sample an iteration instead.

    :param Callable denoise: ``denoise(x, sigma)``.
    :param int nodes: of the sum, in each of the two directions.
    """
    position, weight = np.polynomial.hermite_e.hermegauss(nodes)
    weight = weight / weight.sum()
    mean = torch.zeros_like(x)
    with torch.no_grad():
        for i, j in itertools.product(range(nodes), repeat=2):
            noise = sigma * torch.tensor([position[i], position[j]]).to(x).reshape(1, 2, 1, 1)
            mean += float(weight[i] * weight[j]) * denoise(x - noise, sigma)
    return 2 * (mean - x)


def plane(count: int, half: float = 1.15) -> Tensor:
    """A square grid of points, (count * count, 2, 1, 1), rows from bottom to top."""
    axis = torch.linspace(-half, half, count)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)[..., None, None]


def compare(field: Tensor, exact: Tensor, weight: Tensor) -> dict[str, float]:
    """Difference of a field to ``exact``, both (N, 2, 1, 1).

    :param torch.Tensor weight: weight of each point, (N,), such as the density there.
    :return: ``error``, the root mean squared difference over the root mean square of ``exact``; ``cosine`` of the angle
        between the two as vectors of all points; ``scale``, the factor on ``field`` with the smallest error.
    """

    def inner(a: Tensor, b: Tensor) -> float:
        return float((weight * (a * b).flatten(1).sum(1)).sum())

    square, product, norm = inner(field, field), inner(field, exact), inner(exact, exact)
    return {
        "error": math.sqrt(inner(field - exact, field - exact) / norm),
        "cosine": product / math.sqrt(square * norm),
        "scale": product / square,
    }
