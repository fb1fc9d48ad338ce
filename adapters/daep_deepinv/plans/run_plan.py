"""Run the plans of a call of ``DAEP``, and put the results together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from deepinv.physics import LinearPhysics, Physics
from torch import Tensor
from tqdm import tqdm

from daep_deepinv.checks import check_result
from daep_deepinv.data_terms.shared_noise import SharedNoiseL2
from daep_deepinv.data_terms.weighted import WeightedL2
from daep_deepinv.history import Recorder, Watching
from daep_deepinv.linear_algebra.squares import squares
from daep_deepinv.plans.choose_data_term import data_term_for
from daep_deepinv.plans.one_step import denoised, one_step
from daep_deepinv.plans.plan import Plan
from daep_deepinv.prior import DAEPrior
from daep_deepinv.starts.starting_point import measured_region
from daep_deepinv.view import GREY_AS_COLOUR, View
from daep_prior import restore
from daep_prior.images import RGB, one_per_image
from daep_prior.schedules import HEAVY_BALL, SMALLEST_NOISE
from daep_prior.solvers import MomentumState, clipped

__all__ = ["Follow", "Outcome", "combined", "progress", "run"]

#: Called after each iteration with the plan, the iteration and the images (B, C, H, W) so far.
Follow = Callable[[Plan, int, Tensor], None]


@dataclass(frozen=True)
class Outcome:
    """Restored images of a batch.

    :param list images: their indices in the batch.
    :param torch.Tensor x: the images (B, C, H, W).
    :param dict history: name -> image -> one value an iteration.
    :param bool converged: whether all stopped before the last iteration.
    """

    images: list[int]
    x: Tensor
    history: dict[str, list[list[float]]]
    converged: bool


@contextmanager
def progress(plans: Sequence[Plan], follow: Follow | None, shown: bool) -> Iterator[Follow | None]:
    """``follow``, which also moves a progress bar over all iterations of the plans, if that is ``shown``."""
    if not shown:
        yield follow
        return
    with tqdm(total=sum(len(plan.schedule) for plan in plans)) as bar:

        def advance(plan: Plan, k: int, x: Tensor) -> None:
            bar.update()
            if follow is not None:
                follow(plan, k, x)

        yield advance


def run(plan: Plan, view: View, prior: DAEPrior, watching: Watching) -> Outcome:
    """Restore the images of a view, for which the plan is made.

    :param DAEPrior prior: with the noise of these images, at its start.
    :raises DivergenceError: the iterates are no longer finite, or far from the measurement.
    """
    y, physics, schedule, prior = view.y, view.physics, plan.schedule, prior.adapted(view.start)
    noise = plan.noise.scaled(1 / plan.range.scale)
    data = data_term_for(view, noise)
    watching = replace(watching, x_gt=_truth(watching.x_gt, view))
    has_cost = prior.explicit_prior and (watching.metrics or watching.stop_by == "cost")
    recorder = Recorder(data, view, noise.level, prior, schedule, watching, has_cost)

    def finish(x: Tensor) -> Tensor:
        """The data restore what the last denoising removes in excess. It smooths colours as if they were as noisy as
        the mean; and details as if the operator measured them badly."""
        width = schedule.final_width
        if width is None:
            return x
        if isinstance(data, SharedNoiseL2):
            return data.prox_of_differences(x, y, physics, width**2)
        excess = _in_excess(physics, x - recorder.mean, noise.level)
        if not bool(excess.any()):
            return x
        return torch.where(excess, data.prox(x, y, physics, gamma=width**2), x)

    if one_step(view, noise, schedule):
        x = clipped(denoised(y, noise.law, prior), plan.range.solver_bounds)  # type: ignore[arg-type]
        recorder(0, MomentumState.at_rest(x))
        return Outcome(view.images, as_given(view, x), recorder.history(), False)
    prox = data.prox_of(y, physics)
    if schedule.dual and isinstance(data, WeightedL2) and data.law is not None:
        prox = data.prox_near(lambda: recorder.mean, y, physics)
    x = restore(
        prox,
        view.start,
        prior,
        schedule,
        data_gradient=(lambda v: data.grad(v, y, physics)) if schedule.solver == HEAVY_BALL else None,
        measured=measured_region(y, physics) if schedule.measured_only else None,
        bounds=plan.range.solver_bounds,
        finish=finish,
        callback=recorder,
    )
    check_result(recorder.residual(view.start), recorder.residual(x), view.start, plan, y, view.images)
    return Outcome(view.images, as_given(view, x), recorder.history(), bool(recorder.finished.all()))


def _in_excess(physics: Physics, change: Tensor, level: float) -> Tensor:
    """Whether a change of the image by denoising, (B, C, ...), changes what is measured by more than noise could. By
    noise, ``||K d||^2`` is at most the variance for each of the image's numbers. (B, 1, ...).

    17 operators of ``benchmarks/physics_matrix.py``, with ``"fast"``: at most 0.42 of that, for ptychography, which
    measures each pixel 25 times, 2.1. So factors of 0.5 to 2 give the same verdicts.
    """
    if not isinstance(physics, LinearPhysics):
        return torch.zeros(change.shape[0], *[1] * (change.ndim - 1), dtype=torch.bool, device=change.device)
    limit = max(level, SMALLEST_NOISE) ** 2 * change[0].numel()
    return one_per_image(squares(physics.A(change)) > limit, change)


def as_given(view: View, x: Tensor) -> Tensor:
    """Images of the solver in the range and with the channels of the measurement's."""
    x = view.in_image_units(x)
    return x.repeat(1, RGB, 1, 1) if view.channels == GREY_AS_COLOUR else x


def _truth(x_gt: Tensor | None, view: View) -> Tensor | None:
    """The ground truth of the images of a view, with its channels."""
    if x_gt is None:
        return None
    truth = x_gt[view.images]
    return truth.mean(1, keepdim=True) if view.channels == GREY_AS_COLOUR else truth


def combined(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcomes of parts of a batch as one, in the order of the batch."""
    order = [i for outcome in outcomes for i in outcome.images]
    positions = sorted(range(len(order)), key=order.__getitem__)
    x = torch.cat([outcome.x for outcome in outcomes])
    history: dict[str, Any] = {}
    for name in outcomes[0].history:
        rows = [row for outcome in outcomes for row in outcome.history[name]]
        history[name] = [rows[i] for i in positions]
    x = x if positions == list(range(len(order))) else x[positions]
    return Outcome(sorted(order), x, history, all(outcome.converged for outcome in outcomes))
