"""Choose the data term for the noise, the physics, and the values that are used."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_deepinv.data_terms.given import GivenDataTerm, OfLevel
from daep_deepinv.data_terms.least_squares import PerImageL2
from daep_deepinv.data_terms.nonlinear import NonlinearL2
from daep_deepinv.data_terms.partial import PartialL2
from daep_deepinv.data_terms.shared_noise import SharedNoiseL2
from daep_deepinv.data_terms.weighted import WeightedL2
from daep_deepinv.noise.model import NoiseModel
from daep_deepinv.operators.cost import is_costly
from daep_deepinv.view import View
from daep_prior.schedules import SMALLEST_NOISE

__all__ = ["data_term_for", "data_term_in_words", "few_evaluations"]


def data_term_for(view: View, noise: NoiseModel) -> PerImageL2:
    """The data term for the images of a view, all with the same noise, in the units of the solver."""
    level = max(noise.level, SMALLEST_NOISE)
    if view.fidelity is not None:
        return GivenDataTerm(view.fidelity, view, level)
    if not isinstance(view.physics, LinearPhysics):
        return NonlinearL2(level)
    if not view.used.of_all:
        return PartialL2(_variance(view, noise, level), view.used)
    if noise.law is not None:
        return WeightedL2(_variance(view, noise, level), law=noise.law if noise.law.signal_dependent else None)
    if noise.differences is not None:
        return SharedNoiseL2(level, noise.differences)
    return PerImageL2(level, noise.spectrum)


def data_term_in_words(view: View, noise: NoiseModel) -> str:
    """What :func:`data_term_for` returns, for the plan."""
    if view.fidelity is not None:
        given = view.fidelity.fidelity if isinstance(view.fidelity, OfLevel) else view.fidelity
        return f"{type(given).__name__}, given{_shares(view)}"
    if not isinstance(view.physics, LinearPhysics):
        steps = "few Gauss-Newton steps, as the operator is costly" if few_evaluations(view) else "Gauss-Newton steps"
        return f"least squares, by {steps}"
    words = "least squares"
    if noise.law is not None:
        words += ", each value weighted by its variance"
    elif noise.differences is not None and view.used.of_all:
        words += ", mean and differences of the channels weighted separately"
    elif noise.spectrum is not None and view.used.of_all:
        words += ", weighted by the noise spectrum"
    return words + _shares(view)


def few_evaluations(view: View) -> bool:
    """Whether the operator is nonlinear, and so costly that it is evaluated as rarely as possible."""
    return not isinstance(view.physics, LinearPhysics) and is_costly(view.physics, view.start)


def _shares(view: View) -> str:
    shares = ", ".join(f"{100 * share:.2g} % {name}" for name, share in view.used.shares().items())
    return f"; {shares}" if shares else ""


def _variance(view: View, noise: NoiseModel, level: float) -> Any:
    """The variance of each measured value, at the first image's mean."""
    if noise.law is None:
        return torch.full_like(view.y, level**2)
    variance = noise.law.variance(view.physics.A(view.start))
    return variance.clamp_min(SMALLEST_NOISE**2) if isinstance(variance, Tensor) else variance
