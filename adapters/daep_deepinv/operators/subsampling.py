"""Whether an operator leaves parts of the image unmeasured, rather than smoothing all of it."""

from __future__ import annotations

from typing import Any

from deepinv.physics import Inpainting, LinearPhysics, StackedLinearPhysics
from deepinv.physics.mri import MRIMixin
from deepinv.utils import TensorList
from torch import Tensor

from daep_deepinv.operators.convolution import part_that_shows
from daep_deepinv.operators.geometry import image_geometry
from daep_deepinv.operators.remembered import remembered
from daep_deepinv.operators.right_adjoint import DifferentiatedAdjoint
from daep_deepinv.operators.trust import probe, total

__all__ = ["amplifies_noise", "is_subsampling"]

#: Spread of the singular values, see :func:`_spread`, below which they are equal, so that ``K^T K`` is a multiple of a
#: projection; and below which they fall slowly. Orthogonal transforms of which some coefficients are measured: 1e-7;
#: random matrices 0.25 to 0.45; blurs 0.3 to 0.4; tomography 0.6 to 0.7.
EQUAL, SLOWLY = 0.01, 0.5
#: An operator whose singular values fall slowly subsamples if it measures less than this share of the image's numbers.
FEW = 0.5


def is_subsampling(physics: LinearPhysics, y: Any, like: Tensor, *, exact: bool = False) -> bool:
    """Whether the schedule for missing pixels is right: some components of the image are measured, others are not.

    Missing pixels in any disguise, magnetic resonance, a part of the coefficients of an orthogonal transform, random
    projections. On two training crops, ``"annealed"`` with that schedule instead of the general one: 1.1 dB better for
    half of the cosine coefficients, 0.2 for a single-pixel camera, 1.0 for masks that are not :class:`Inpainting`, 5.5
    for Gaussian random projections, 0.8 for coded spectral images, 1.0 for a mask beside a blur. It is 0.5 to 1 dB
    worse for tomography, radio interferometry and pansharpening.

    :param y: measurement.
    :param torch.Tensor like: images (B, C, ...) of the shape that the physics takes; their values do not matter.
    :param bool exact: only multiples of a projection. Few iterations are not enough for random projections: ``"fast"``
        is 10 dB worse with the schedule for missing pixels. A mask beside a blur with another noise level is 1.6 dB
        worse.
    """
    given = physics.base if isinstance(physics, DifferentiatedAdjoint) else physics
    if isinstance(given, (Inpainting, MRIMixin)):
        return True
    if isinstance(physics, StackedLinearPhysics):
        return not exact and any(isinstance(part, Inpainting) for part in physics.physics_list)
    if isinstance(y, TensorList) or like.is_complex():
        return False
    spread, complete = _known_spread(physics, like)
    if complete:
        return False
    measured, numbers = y[0].numel() * (2 if y.is_complex() else 1), like[0].numel()
    if exact or spread < EQUAL or measured >= FEW * numbers:
        return spread < EQUAL
    reduced = image_geometry(physics, like) is not None and any(y.shape[k] < like.shape[k] for k in (-2, -1))
    return spread < SLOWLY and not reduced


def amplifies_noise(physics: LinearPhysics, like: Tensor) -> bool:
    """Whether the singular values fall fast, so that an inverse amplifies noise. What looks like noise in that of other
    operators, such as random projections, is mostly what they do not measure."""
    return _known_spread(physics, like)[0] >= SLOWLY


def _known_spread(physics: LinearPhysics, like: Tensor) -> tuple[float, bool]:
    shown = part_that_shows(physics, like)
    question = ("subsampling", tuple(shown.shape[1:]), like.dtype, str(like.device))
    return remembered(physics, question, lambda: _spread(physics, shown))


def _spread(physics: LinearPhysics, like: Tensor) -> tuple[float, bool]:
    """How unlike the singular values of ``K`` are that are not 0, and whether none is 0 and all are equal.

    For ``a = K^T K u`` with white noise ``u``, ``|K^T K a - c a| / |K^T K a|`` with the best number ``c``.
    """
    u = probe(like)
    first = physics.A_adjoint_A(u)
    second = physics.A_adjoint_A(first)
    scale = total(first, second) / max(total(first, first), 1e-30)
    size = max(total(second, second), 1e-30) ** 0.5
    left, unseen = second - scale * first, u - first / (scale if scale > 0 else 1.0)
    complete = total(unseen, unseen) < EQUAL**2 * total(u, u)
    return (total(left, left) ** 0.5) / size, complete
