"""What happened during a restoration: residual, discrepancy, step length and metrics of every iteration and image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from deepinv.loss.metric import PSNR
from deepinv.physics import LinearPhysics
from deepinv.utils import TensorList
from torch import Tensor

from daep_deepinv.data_terms.least_squares import PerImageL2
from daep_deepinv.measurement_parts import parts_of
from daep_deepinv.operators.measured import measured_values
from daep_deepinv.view import View
from daep_prior import MeanShiftPrior, Schedule
from daep_prior.solvers import MomentumState

__all__ = ["Recorder", "Watching", "measured_count", "residual_rms"]

Series = dict[str, list[list[float]]]
#: Keeps relative changes finite, as in :class:`deepinv.optim.BaseOptim`.
TINY = 1e-6


@dataclass(frozen=True)
class Watching:
    """What a caller wants to know of every iteration.

    :param bool metrics: deepinv's metrics.
    :param torch.Tensor x_gt: ground truth (B, C, H, W), for the PSNR.
    :param dict custom: name -> ``function(values so far, previous image, image)``, as in deepinv.
    :param str stop_by: ``"residual"`` or ``"cost"``: an image is finished when the relative change of its result or of
        its cost falls below ``threshold``; ``None``: all iterations are run.
    :param Callable callback: called with the iteration, from 0, and the result so far (B, C, H, W).
    """

    metrics: bool = False
    x_gt: Tensor | None = None
    custom: dict[str, Callable[..., Any]] | None = None
    stop_by: str | None = None
    threshold: float = 1e-5
    callback: Callable[[int, Tensor], None] | None = None


class Recorder:
    r"""Records the iterates of one restoration; a callback of :func:`daep_prior.restore`.

    * ``data_residual``: root mean square of :math:`Kx - y` over the measured values, in image units;
    * ``discrepancy``: :math:`\|Kx - y\|^2 / (n \sigma^2)`, about 1 when only the noise is left; infinite for a
      noise-free measurement;
    * ``step_length``: root mean square of the change of the image, in image units;
    * with metrics also deepinv's ``psnr``, ``residual``, ``cost`` and custom ones, and ``energy``, that of the prior.

    :param PerImageL2 data_term: the data term of the restoration.
    :param View view: measurement, physics and first images, in the units of the solver.
    :param float sigma: noise level of the measurement, in these units.
    :param bool has_cost: compute the cost: one more evaluation of the network an iteration.
    """

    def __init__(
        self,
        data_term: PerImageL2,
        view: View,
        sigma: float,
        prior: MeanShiftPrior,
        schedule: Schedule,
        watching: Watching,
        has_cost: bool,
    ):
        start = view.start
        self._data_term, self._y, self._physics, self._sigma = data_term, view.y, view.physics, sigma
        self._in_image_units, self._scale = view.in_image_units, view.range.scale
        self._prior, self._schedule, self._watching, self._has_cost = prior, schedule, watching, has_cost
        self._count = measured_count(view.y, view.physics, start)
        self._previous, self._mean = start, start
        self._cost: Tensor | None = None
        self._values: dict[str, list[Tensor]] = {}
        self._lists: Series = {name: [[] for _ in start] for name in watching.custom or {} if watching.metrics}
        self.finished = torch.zeros(start.shape[0], dtype=torch.bool, device=start.device)
        if watching.metrics and watching.x_gt is not None:
            self._add("psnr", PSNR()(view.in_image_units(start), watching.x_gt))

    def __call__(self, k: int, state: MomentumState) -> Tensor | None:
        """Record iteration ``k``; which images are finished, if the caller wants to stop early."""
        watching, x, mean = self._watching, state.x, state.mean
        self._add("data_residual", self._scale * self.residual(x))
        self._add("step_length", self._scale * (x - self._previous).square().flatten(1).mean(1).sqrt())
        changes: dict[str, Tensor] = {}
        if watching.metrics or watching.stop_by is not None:
            changes["residual"] = (self._mean - mean).flatten(1).norm(dim=1) / (mean.flatten(1).norm(dim=1) + TINY)
        if self._has_cost:
            changes["cost"] = self._record_cost(k, x)
        if watching.metrics:
            self._add("residual", changes["residual"])
            self._record_metrics(mean)
        self._previous, self._mean = x, mean
        if watching.callback is not None:
            watching.callback(k, self._in_image_units(mean).clone())  # the caller may write to it
        if watching.stop_by is None:
            return None
        if k > 1:  # deepinv's rule: not before the third iteration
            change = changes.get(watching.stop_by, changes["residual"])  # a prior without energy has no cost
            self.finished = self.finished | (change < watching.threshold)
        return self.finished

    @property
    def mean(self) -> Tensor:
        """The running mean of the last iteration that was recorded, (B, C, H, W); before the first, the start."""
        return self._mean

    def residual(self, x: Tensor) -> Tensor:
        """Root mean square of ``Kx - y`` over the measured values, in the units of the solver, (B,)."""
        return residual_rms(self._data_term, x, self._y, self._physics, self._count)

    def _record_cost(self, k: int, x: Tensor) -> Tensor:
        """Record cost and energy of the iterate; return the relative change of the cost, infinite at first."""
        energy = self._prior.value(x, self._schedule.kernel_width[k])
        data = self._schedule.data_weight[k] * self._data_term.fn(x, self._y, self._physics)
        cost = data + self._schedule.prior_weight[k] * energy
        before, self._cost = self._cost, cost
        self._add("cost", cost)
        self._add("energy", energy)
        return torch.full_like(cost, torch.inf) if before is None else (before - cost).abs() / (cost.abs() + TINY)

    def _record_metrics(self, mean: Tensor) -> None:
        watching, before, mean = self._watching, self._in_image_units(self._mean), self._in_image_units(mean)
        if watching.x_gt is not None:
            self._add("psnr", PSNR()(mean, watching.x_gt))
        for name, function in (watching.custom or {}).items():
            for i, values in enumerate(self._lists[name]):
                values.append(function(values, before[i], mean[i]))

    def _add(self, name: str, values: Tensor) -> None:
        self._values.setdefault(name, []).append(values)

    def history(self) -> Series:
        """Name -> image -> one value an iteration, as deepinv keeps its metrics."""
        series = {name: torch.stack(values, 1).tolist() for name, values in self._values.items()}
        scale = 1 / (self._scale * self._sigma) if self._sigma > 0 else float("inf")
        # products, because a power of a huge number raises an error where a product becomes infinite
        rows = series.get("data_residual", [])
        series["discrepancy"] = [[r * scale * (r * scale) for r in row] for row in rows]
        return {**series, **self._lists}


def residual_rms(
    data_term: PerImageL2, x: Tensor, y: Any, physics: LinearPhysics, count: Tensor | float | None = None
) -> Tensor:
    """Root mean square of ``Kx - y`` over the measured values, in image units, (B,).

    :param torch.Tensor count: :func:`measured_count`, where it is known.
    """
    count = measured_count(y, physics, x) if count is None else count
    return (data_term.squared_residual(x, y, physics) / count).sqrt()


def measured_count(y: Tensor | TensorList, physics: LinearPhysics, like: Tensor) -> Tensor | float:
    """Number of measured values of each image: all of ``y``, without missing pixels.

    :param torch.Tensor like: images (B, C, ...) of the shape that the physics takes; their values do not matter.
    :return: (B,), or one number for all.
    """
    where = measured_values(physics, y, like)
    if where is None:
        return float(sum(part[0].numel() for part in parts_of(y)))
    return where.flatten(1).sum(1).clamp_min(1)
