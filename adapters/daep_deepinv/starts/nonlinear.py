"""The first image for a nonlinear physics."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from deepinv.optim.data_fidelity import ItohFidelity
from deepinv.optim.phase_retrieval import spectral_methods
from deepinv.physics import ComposedPhysics, PhaseRetrieval, Physics, SpatialUnwrapping
from torch import Tensor

from daep_deepinv.data_terms.nonlinear import gauss_newton
from daep_deepinv.linear_algebra.squares import squares
from daep_deepinv.measurement_parts import parts_of
from daep_deepinv.operators.cost import is_costly
from daep_deepinv.operators.failures import unless_it_fails
from daep_deepinv.operators.linearized import require_differentiable
from daep_deepinv.operators.measured import measured_values
from daep_deepinv.operators.scaled import ComplexAsReal
from daep_deepinv.operators.trust import probe, total
from daep_prior.back_projection import fill_missing
from daep_prior.images import one_per_image
from daep_prior.partition import as_complex, as_real

__all__ = ["nonlinear_start"]

#: Power iterations of the spectral method, as in deepinv's example; Gauss-Newton steps that follow; their weight
#: relative to the deviation from the point they start from, for ``||y||`` and ``||x||`` of 1.
POWER_ITERATIONS, STEPS, WEIGHT = 300, 20, 1e4
#: Gauss-Newton steps for an operator of which one evaluation is costly.
COSTLY_STEPS = 5
#: Starts that are tried at most. One is good enough if its relative residual is this, or if a second one ends with the
#: same residual, to this share.
STARTS, GOOD, SAME = 4, 0.05, 0.01
#: In ``"floor"`` mode the image starts in the period from 0: this share of its pixels may be darker than its darkest
#: value, which noise may make negative by this share of the period.
DARKEST, NEARLY_ZERO = 0.02, 0.25


def nonlinear_start(y: Any, physics: Physics) -> tuple[Tensor, str]:
    """The first image, and what it is in words.

    * spatial unwrapping: from the wrapped differences of neighbours (Itoh 1982), moved by the constant that the
      measurement asks for;
    * phase retrieval: deepinv's spectral method, refined by Gauss-Newton steps, from several random images where the
      first ends far from the measurement (mirror images explain the modulus of a Fourier transform equally well). The
      phase of the whole image, which is not measured, is that for which its sum is positive;
    * others: the measurement itself or the physics' own inverse or adjoint, whichever explains the measurement best,
      refined in the same way. Its real part: other images are complex only if ``init`` is. Pixels that the measurement
      does not depend on are interpolated.

    :raises ValueError: there is none, or the physics cannot be differentiated.
    """
    if isinstance(physics, ComplexAsReal):
        image, words = nonlinear_start(y, physics.base)
        return as_real(image), words
    if isinstance(physics, SpatialUnwrapping):
        return _unwrapped(y, float(physics.threshold), physics.mode == "floor"), "the measurement, unwrapped (Itoh)"
    if isinstance(physics, PhaseRetrieval):
        found = [_retrieved(y[i : i + 1], physics) for i in range(y.shape[0])]
        return torch.cat(found), "the spectral method's image, refined by Gauss-Newton steps"
    start = _offered(y, physics)
    require_differentiable(physics, start)
    real = "real part of " if any(part.is_complex() for part in parts_of(y)) else ""
    words = f"{real}the measurement or an inverse of it, refined by Gauss-Newton steps"
    return _with_unseen(_refined(start, y, physics), y, physics, words)


def _with_unseen(x: Tensor, y: Any, physics: Physics, words: str) -> tuple[Tensor, str]:
    """The image with interpolated values at pixels that change nothing of the measurement, and what it is in words."""
    where = measured_values(physics, y, x) if isinstance(y, Tensor) and y.shape == x.shape and x.ndim == 4 else None
    if where is None or not physics.A(torch.where(where, x, probe(x).sigmoid())).equal(physics.A(x)):
        return x, words
    return fill_missing(x * where, where.to(x)), f"{words}, unseen pixels interpolated"


def _unwrapped(y: Tensor, period: float, from_zero: bool) -> Tensor:
    x: Tensor = ItohFidelity(threshold=period).D_dagger(y)
    # the constant c for which x + c = y modulo the period, by the mean of angles
    angle = torch.exp(2j * torch.pi / period * (y - x)).mean((-2, -1), keepdim=True).angle()
    x = x + angle * period / (2 * torch.pi)
    # images that differ by the period are measured alike: take the darkest without negative values, or the one around 0
    lowest = x.flatten(2).quantile(DARKEST, 2).view(*x.shape[:2], 1, 1) + NEARLY_ZERO * period
    whole = torch.floor(lowest / period) if from_zero else torch.round(x.mean((-2, -1), keepdim=True) / period)
    return x - period * whole


def _retrieved(y: Tensor, physics: PhaseRetrieval) -> Tensor:
    like = physics.B_adjoint(y)
    best, least = like, float("inf")
    size = total(y, y)
    for seed in range(STARTS):
        # power iterations on a measurement without negative values, which are noise
        x = spectral_methods(y.clamp_min(1e-6 * y.abs().mean()), physics, x=probe(like, seed), n_iter=POWER_ITERATIONS)
        seen = physics.A(x)
        x = x * max(total(seen, y) / max(total(seen, seen), 1e-30), 0.0) ** 0.5
        x = _refined(x, y, physics)
        residual = physics.A(x) - y
        misfit = total(residual, residual)
        again = abs(misfit - least) <= SAME * least
        if misfit < least:
            best, least = x, misfit
        if again or least <= GOOD**2 * size:
            break
    mean = best.sum()
    return best * (mean.conj() / mean.abs().clamp_min(1e-30))


def _offered(y: Any, physics: Physics) -> Tensor:
    """For each image the best that the measurement and the physics offer, its real part: that an inverse is complex
    says nothing of the image. ``Scattering.A_dagger`` has the type of the complex measurement."""
    offers: list[Callable[[], Any]] = [lambda: y]
    if type(physics).A_dagger is not Physics.A_dagger:
        offers.append(lambda: physics.A_dagger(y))
    if isinstance(physics, ComposedPhysics) and isinstance(physics[-1], SpatialUnwrapping):
        offers = [lambda: _unwrapped(y, float(physics[-1].threshold), physics[-1].mode == "floor")]
    if hasattr(physics, "A_adjoint"):
        offers.append(lambda: physics.A_adjoint(y))

    def tried(offer: Callable[[], Any]) -> tuple[Any, Any]:
        x = offer()
        x = x.real.contiguous() if isinstance(x, Tensor) and x.is_complex() else x
        return x, squares(physics.A(x) - y)

    best: Tensor | None = None
    for offer in offers:
        x, value = unless_it_fails(partial(tried, offer), (None, None))
        if not isinstance(x, Tensor) or x.ndim not in (4, 5) or not bool(value.isfinite().all()):
            continue
        if best is None or best.shape != x.shape:
            best, least = x.clone(), value
        else:
            lower = value < least
            best, least = torch.where(one_per_image(lower, x), x, best), torch.where(lower, value, least)
    if best is None:
        raise ValueError(
            f"physics: {type(physics).__name__} offers no first image (no A_adjoint, no A_dagger of its own); pass "
            "init= with one."
        )
    return best


def _refined(x: Tensor, y: Any, physics: Physics) -> Tensor:
    """The image after Gauss-Newton steps on the measurement, almost alone."""
    if x.is_complex():
        return as_complex(_refined(as_real(x), y, ComplexAsReal(physics)))
    sizes = squares(y).clamp_min(1e-30)
    weight = WEIGHT * squares(x) / sizes
    steps = COSTLY_STEPS if is_costly(physics, x) else STEPS
    return gauss_newton(x, y, physics, one_per_image(weight, x), steps)
