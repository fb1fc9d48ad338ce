"""A density in the plane whose optimal DAE is known exactly, and a small network that learns it (the paper's Figure 2).

A point is an image of two pixels, (B, 2, 1, 1), so that the functions of ``daep_prior`` take points as they are.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from daep_prior import NoiseSource, energy_gradient

__all__ = ["PlaneDAE", "Spiral", "grid", "stochastic_mean_shift", "train_dae"]


class Spiral:
    """Narrow round Gaussians side by side along a spiral, which ends one unit from the origin.

    :param float turns: how often it goes round.
    :param int components: number of Gaussians, equally spaced along the curve.
    :param float thickness: standard deviation of each.
    """

    def __init__(self, turns: float = 1.75, components: int = 300, thickness: float = 0.02):
        angle = torch.linspace(0.15 * math.pi, 2 * math.pi * turns, 20_000, dtype=torch.float64)
        radius = angle / angle[-1]
        curve = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
        length = torch.cat([torch.zeros(1), (curve[1:] - curve[:-1]).norm(dim=1).cumsum(0)])
        places = torch.searchsorted(length, torch.linspace(0, 1, components) * length[-1]).clamp(max=len(curve) - 1)
        self.centres = curve[places].float()  # (components, 2)
        self.thickness = thickness

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """``count`` points drawn from the density, (count, 2, 1, 1)."""
        chosen = self.centres[torch.randint(len(self.centres), (count,), generator=rng)]
        return (chosen + self.thickness * torch.randn(count, 2, generator=rng))[..., None, None]

    def log_density(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """``log (g_{s^2} * p)(x)``, the density smoothed by a Gaussian of standard deviation ``sigma``; (B,)."""
        variance = self.thickness**2 + sigma**2
        exponents = -self._squared_distances(x) / (2 * variance)
        return exponents.logsumexp(1) - math.log(len(self.centres) * 2 * math.pi * variance)

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        """The optimal DAE: the mean of the clean points that may have become ``x`` under noise ``sigma``."""
        variance = self.thickness**2 + sigma**2
        weights = (-self._squared_distances(x) / (2 * variance)).softmax(1)
        centre = (weights @ self.centres)[..., None, None]
        # of one Gaussian: its centre, and of the way from there the share that is not noise
        return centre + self.thickness**2 / variance * (x - centre)

    def _squared_distances(self, x: Tensor) -> Tensor:
        return torch.cdist(x.flatten(1), self.centres).square()


class PlaneDAE(nn.Module):
    """A small residual network, ``A(x) = x + s r(x / s)``, for points and one noise level ``s``."""

    def __init__(self, sigma: float, width: int = 96):
        super().__init__()
        self.sigma = sigma
        self.body = nn.Sequential(
            nn.Linear(2, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, 2),
        )

    def forward(self, x: Tensor, sigma: float | Tensor | None = None) -> Tensor:
        # in units of the noise, so that the network sees how the density bends
        return x + self.sigma * self.body(x.flatten(1) / self.sigma)[..., None, None]


def train_dae(spiral: Spiral, sigma: float, steps: int = 1500, batch: int = 512, seed: int = 0) -> PlaneDAE:
    """Train a :class:`PlaneDAE` to take away Gaussian noise of standard deviation ``sigma``; a few seconds."""
    rng = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PlaneDAE(sigma)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        clean = spiral.sample(batch, rng)
        noisy = clean + sigma * torch.randn(clean.shape, generator=rng)
        loss = ((network(noisy) - clean) / sigma).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval().requires_grad_(False)


def stochastic_mean_shift(network: nn.Module, x: Tensor, sigma: float, samples: int = 64, seed: int = 0) -> Tensor:
    """``2 (E[A_s(x - eps)] - x)``: eq. 8's approximation of the mean shift of width ``sqrt(2) s``; (B, 2, 1, 1)."""
    noise = NoiseSource(seed, samples, antithetic=True).draw(x)
    return -2 * energy_gradient(network, x, sigma, noise, jacobian=False)


def grid(side: int, extent: float = 1.2) -> Tensor:
    """Points on a square grid over ``[-extent, extent]^2``, row by row from below, (side * side, 2, 1, 1)."""
    axis = torch.linspace(-extent, extent, side)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2, 1, 1)
