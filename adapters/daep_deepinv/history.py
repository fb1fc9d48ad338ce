"""What happened during a restoration: residual, discrepancy and step length of every iteration, image by image."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.physics import Inpainting, LinearPhysics
from deepinv.utils import TensorList
from torch import Tensor

from daep_deepinv.data_terms.least_squares import PerImageL2

__all__ = ["Monitor", "measured_values"]


#: An image moves no longer when its step length is this share of the noise.
STILL = 0.1


class Monitor:
    r"""Watches the iterates of one restoration.

    * ``data_residual``: root mean square of :math:`Kx - y` over the measured values, in image units;
    * ``discrepancy``: :math:`\|Kx - y\|^2 / (n \sigma^2)`, which is about 1 when all that is left is the noise;
      infinite for a measurement that is told to be noise-free;
    * ``step_length``: root mean square of the change of the image, in image units;
    * ``energy``: of the prior, where the solver computes the cost.

    :param PerImageL2 data_fidelity: which knows the physics.
    :param torch.Tensor y: measurement.
    :param deepinv.physics.LinearPhysics physics: its forward model.
    :param float sigma: noise of the measurement.
    :param float, None target: an image whose discrepancy is at most this, and that moves by less than a tenth of the
        noise, is done and kept as it is from then on.
    """

    def __init__(
        self, data_fidelity: PerImageL2, y: Any, physics: LinearPhysics, sigma: float, target: float | None = None
    ):
        self._data_fidelity, self._y, self._physics = data_fidelity, y, physics
        self._sigma, self._target = sigma, target
        self._count = measured_values(y, physics)
        self._values: dict[str, list[Tensor]] = {"data_residual": [], "step_length": []}
        #: Images that are done, (B,).
        self.done: Tensor | None = None

    def data_residual(self, x: Tensor) -> Tensor:
        """Root mean square of ``Kx - y`` over the measured values, (B,)."""
        return (self._data_fidelity.squared_residual(x, self._y, self._physics) / self._count).sqrt()

    def watch(self, x: Tensor, previous: Tensor, energy: Tensor | None = None) -> None:
        """Take down the iterate ``x`` (B, C, H, W) that follows on ``previous``."""
        residual = self.data_residual(x)
        step = (x - previous).square().flatten(1).mean(1).sqrt()
        self._values["data_residual"].append(residual)
        self._values["step_length"].append(step)
        if energy is not None:
            self._values.setdefault("energy", []).append(energy)
        if self._target is not None:
            # a proximal step can meet the noise at once, long before the image has settled
            reached = (residual**2 <= self._target * self._sigma**2) & (step <= STILL * self._sigma)
            self.done = reached if self.done is None else self.done | reached

    def keep_done(self, old: tuple[Tensor, ...], new: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """``new``, with the images that are done as they were."""
        if self.done is None or not bool(self.done.any()):
            return new
        done = self.done.view(-1, 1, 1, 1)
        old = old if len(old) == len(new) else (old[0],) * len(new)
        return tuple(torch.where(done, a, b) for a, b in zip(old, new, strict=True))

    def history(self) -> dict[str, list[list[float]]]:
        """Name -> image -> one value an iteration, as deepinv keeps its metrics."""
        series = {name: torch.stack(values, 1).tolist() for name, values in self._values.items() if values}
        scale = 1 / self._sigma if self._sigma > 0 else float("inf")
        if "data_residual" in series:
            # a product becomes infinite where a power would raise an error, at a noise level of next to nothing
            series["discrepancy"] = [[r * scale * (r * scale) for r in row] for row in series["data_residual"]]
        return series


def measured_values(y: Tensor | TensorList, physics: LinearPhysics) -> float:
    """Values that were measured of one image: all of ``y``, but for missing pixels."""
    if isinstance(physics, Inpainting) and isinstance(physics.mask, Tensor) and isinstance(y, Tensor):
        return max(1.0, float((physics.mask[:1] > 0).expand_as(y[:1]).sum()))
    return float(sum(part[0].numel() for part in (y if isinstance(y, TensorList) else [y])))
