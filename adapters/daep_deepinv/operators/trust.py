"""Tests of a physics object, made once: is ``A_adjoint`` the adjoint, is ``prox_l2`` the proximal step?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from deepinv.physics import Downsampling, LinearPhysics
from deepinv.utils import TensorList
from torch import Tensor

from daep_deepinv.operators.convolution import part_that_shows
from daep_deepinv.operators.failures import unless_it_fails
from daep_deepinv.operators.remembered import remembered

__all__ = ["AdjointTest", "adjoint_test", "has_closed_prox", "is_homogeneous", "probe", "total", "transpose_test"]

#: Relative error of the optimality condition at which a proximal step counts as wrong. Rounding in float32 leaves
#: 1e-6 in deepinv's closed steps, a wrong formula 0.1 and more.
PROX_TOLERANCE = 1e-3
#: Two inner products that should be equal may differ by this share.
ADJOINT_TOLERANCE = 0.01
#: Largest error of an adjoint, see :class:`AdjointTest`, and the number of measurements it is the mean of. Rounding
#: leaves 1e-6 in deepinv's right adjoints, its wrong ones have 0.3 and more.
ADJOINT_ERROR, ADJOINT_PROBES = 0.05, 3


def probe(like: Tensor, seed: int = 0) -> Tensor:
    """White noise of the shape of ``like``, the same for the same seed."""
    kind = torch.complex64 if like.is_complex() else torch.float32
    noise = torch.randn(like.shape, generator=torch.Generator().manual_seed(seed), dtype=kind)
    return noise.to(like)


def total(a: Any, b: Any) -> float:
    """Real part of the inner product of two images or measurements."""
    if isinstance(a, TensorList):
        return sum(total(p, q) for p, q in zip(a, b, strict=True))
    return float((a * b.conj()).real.sum()) if a.is_complex() or b.is_complex() else float((a * b).sum())


class AdjointTest(NamedTuple):
    """How well ``<u, A_adjoint v> = <A u, v>`` holds.

    :param float ratio: ``<u, A_adjoint A u> / <A u, A u>`` for white noise ``u``; 1 for a right adjoint, and for an
        operator that sees nothing; NaN: ``A_adjoint`` fails.
    :param float error: root mean square of ``(<u, A_adjoint v> - <A u, v>) / ||A_adjoint v||`` for white noise ``u``
        and ``v``; about the relative error of ``A_adjoint v``. The ratio does not show errors that have nothing in
        common with ``u``.
    """

    ratio: float
    error: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether ``A_adjoint`` is the adjoint."""
        return abs(self.ratio - 1) <= ADJOINT_TOLERANCE and self.error <= ADJOINT_ERROR


def adjoint_test(physics: LinearPhysics, like: Tensor) -> AdjointTest:
    """The test of ``A_adjoint``. Of a large image under a convolution, a part is used.

    :param torch.Tensor like: images (B, C, H, W) of the shape that the physics takes; their values do not matter.
    """
    like = part_that_shows(physics, like, any_border=True)

    def tested() -> AdjointTest:
        u = probe(like)
        return transpose_test(u, physics.A(u), physics.A_adjoint)

    return remembered(physics, ("adjoint", *_kind(like)), tested)


def transpose_test(u: Tensor, seen: Any, transpose: Callable[[Any], Tensor]) -> AdjointTest:
    """The test of the transpose of a linear map that takes white noise ``u``, :func:`probe` of seed 0, to ``seen``."""
    norm, squares = total(seen, seen), []
    for seed in range(1, ADJOINT_PROBES + 1):
        v = _probes(seen, seed)
        back = transpose(v)
        squares.append((total(u, back) - total(seen, v)) ** 2 / max(total(back, back), 1e-60))
    ratio = total(u, transpose(seen)) / norm if norm > 0 else 1.0
    return AdjointTest(ratio, math.sqrt(sum(squares) / len(squares)))


def _probes(like: Any, seed: int) -> Any:
    """White noise like a measurement of one or several parts, each with its own."""
    if isinstance(like, TensorList):
        return TensorList([_probes(part, seed + ADJOINT_PROBES * (n + 1)) for n, part in enumerate(like)])
    return probe(like, seed)


def is_homogeneous(physics: LinearPhysics, like: Tensor) -> bool:
    """Whether ``A(2 u) = 2 A(u)`` for white noise ``u``: not of an affine or random operator."""
    u = probe(like)
    seen = physics.A(2 * u)
    gap = seen - 2 * physics.A(u)
    return total(gap, gap) <= PROX_TOLERANCE**2 * total(seen, seen)


def has_closed_prox(physics: LinearPhysics, like: Tensor | None = None) -> bool:
    """Whether ``physics.prox_l2`` is a formula, not an iteration, and a right one.

    A right step ``v`` fulfils ``gamma A^T (A v - y) + v - z = 0``. For ``gamma ||A||^2`` about 10 this is tested on
    white noise ``z`` and the measurement ``y`` of white noise.

    :param torch.Tensor like: images (B, C, H, W) of the shape that the physics takes; ``None``: no test.
    """
    if isinstance(physics, Downsampling):  # its formula needs a filter and a circular boundary
        claimed = physics.filter is not None and physics.padding == "circular"
    else:
        claimed = type(physics).prox_l2 is not LinearPhysics.prox_l2
    if not claimed or like is None:
        return claimed
    return remembered(physics, ("prox", *_kind(like)), lambda: _prox_error(physics, like) < PROX_TOLERANCE)


def _prox_error(physics: LinearPhysics, like: Tensor) -> float:
    """Relative error of the optimality condition; infinite for a step that fails."""
    z, u = probe(like, 1), probe(like, 2)
    y = physics.A(u)
    norm = total(y, y) / max(total(u, u), 1e-30)
    if norm == 0:
        return 0.0
    gamma = 10.0 / norm

    def share() -> float:
        v = physics.prox_l2(z, y, gamma)
        error, scale = gamma * physics.A_adjoint(physics.A(v) - y) + v - z, gamma * physics.A_adjoint(y) + z
        return (total(error, error) / max(total(scale, scale), 1e-30)) ** 0.5

    found = unless_it_fails(share, math.inf)
    return math.inf if math.isnan(found) else found


def _kind(like: Tensor) -> tuple[Any, ...]:
    return tuple(like.shape), like.dtype, str(like.device)
