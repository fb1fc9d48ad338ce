"""Checks of the arguments: numbers, measurement, physics and first image. Each refusal is one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from deepinv.physics import LinearPhysics, Physics, StackedPhysics
from deepinv.utils import TensorList
from torch import Tensor

from daep_deepinv.measurement_parts import parts_of, shape_of
from daep_deepinv.operators.failures import refusal
from daep_deepinv.operators.remembered import remembered
from daep_deepinv.operators.right_adjoint import DifferentiatedAdjoint
from daep_deepinv.operators.trust import ADJOINT_TOLERANCE, adjoint_test, is_homogeneous
from daep_deepinv.plans.plan import Plan
from daep_prior import DivergenceError

__all__ = [
    "adjoint_warning",
    "check_callable",
    "check_image",
    "check_result",
    "check_shape",
    "checked_measurement",
    "units_warning",
]

#: A solver has diverged when its residual is this many times that of the start, plus as many times the noise.
GROWTH = 3.0
#: A residual below this share of the image's range is no divergence, even if the measurement is all zeros.
NEGLIGIBLE = 1e-3
#: A start above this value is hardly in the units of images in [0, 1].
BRIGHTEST = 4.0


def check_callable(name: str, function: Any) -> None:
    """Refuse anything but a function or ``None``.

    :raises TypeError: another object.
    """
    if function is not None and not callable(function):
        raise TypeError(f"{name}: got {type(function).__name__}; expected a function.")


def checked_measurement(y: Any, physics: Any) -> Any:
    """The measurement without a graph, as ordinary tensors even if they were made in inference mode. They are
    contiguous: rounding depends on the order in memory, and the image must not.

    :raises ValueError: it is not a finite tensor, has more or fewer parts than the physics, or there is no physics.
    """
    if not isinstance(physics, Physics):
        raise ValueError(f"physics: got {type(physics).__name__}; expected a deepinv Physics.")
    for part in parts_of(y):
        if not isinstance(part, Tensor) or not (part.is_floating_point() or part.is_complex()):
            kind = type(part)
            name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
            got = f"a tensor of {part.dtype}" if isinstance(part, Tensor) else f"an object of type {name}"
            raise ValueError(f"y: got {got}; expected a floating-point torch.Tensor.")
        if part.numel() == 0:
            raise ValueError(f"y: got shape {shape_of(part)}, which contains no value; expected at least one image.")
        if not bool(part.isfinite().all()):
            raise ValueError("y: the measurement contains NaN or infinite values; expected finite numbers.")
    _check_parts(y, physics)
    plain = [(part.clone() if part.is_inference() else part.detach()).contiguous() for part in parts_of(y)]
    return TensorList(plain) if isinstance(y, TensorList) else plain[0]


def _check_parts(y: Any, physics: Physics) -> None:
    """Refuse a tensor for a stacked physics, the reverse, and another number of parts."""
    count = len(physics.physics_list) if isinstance(physics, StackedPhysics) else None
    if isinstance(y, TensorList) and count is None:
        raise ValueError(
            f"y: got a TensorList of {len(y)} parts; {type(physics).__name__} is no stacked physics, expected a tensor."
        )
    if count is not None and (not isinstance(y, TensorList) or len(y) != count):
        got = f"a TensorList of {len(y)}" if isinstance(y, TensorList) else "one tensor"
        raise ValueError(f"y: got {got}; expected a deepinv.utils.TensorList of {count}, one for each stacked physics.")
    if len({part.shape[0] for part in parts_of(y)}) > 1:
        sizes = ", ".join(str(part.shape[0]) for part in parts_of(y))
        raise ValueError(f"y: its parts have {sizes} images; expected as many in each.")


def check_image(x0: Tensor, y: Tensor | TensorList, physics: LinearPhysics) -> None:
    """Refuse a first image of other dimensions than an image or a volume, or that the physics does not map to ``y``."""
    if x0.ndim not in (4, 5):
        raise ValueError(
            f"y: got shape {shape_of(y)}, which comes from an image of shape {shape_of(x0)}; expected (B, C, H, W), or "
            "a volume (B, C, D, H, W)."
        )
    if not bool(x0.isfinite().all()):
        raise ValueError("init: the first image contains NaN or infinite values; expected finite numbers.")
    with refusal(f"init: this physics does not take images of shape {shape_of(x0)}"):
        mapped = shape_of(physics.A(x0))
    _refuse_shape(x0, y, mapped)


def check_shape(like: Tensor, y: Tensor | TensorList, physics: LinearPhysics) -> None:
    """Refuse a measurement of another shape than that of the image that it is said to come from, before any work.

    :param torch.Tensor like: an image of the shape of ``A_adjoint(y)``; its values do not matter.
    """

    def mapped() -> tuple[Any, ...]:
        with refusal(f"y: a measurement of shape {shape_of(y)} does not fit this physics"):
            return shape_of(physics.A(like))

    _refuse_shape(like, y, remembered(physics, ("mapped", tuple(like.shape), like.dtype, str(like.device)), mapped))


def _refuse_shape(x0: Tensor, y: Tensor | TensorList, mapped: tuple[Any, ...]) -> None:
    if mapped != shape_of(y):
        raise ValueError(f"y: got shape {shape_of(y)}; this physics maps images of {shape_of(x0)} to {mapped}.")


def units_warning(sigma: float, y: Tensor | TensorList) -> Warning | None:
    """A warning if no value of the measurement of one image reaches the noise level; else ``None``."""
    largest = max(float(part.abs().max()) for part in parts_of(y))
    if sigma <= largest:
        return None
    return UserWarning(
        f"sigma: {sigma:.4g} is more than the largest value of the measurement, {largest:.4g}; it is a standard "
        f"deviation in the units of y, so for images in [0, 1] perhaps {sigma:.4g}/255."
    )


def adjoint_warning(physics: Physics, image: Tensor) -> Warning | None:
    """A warning if ``A_adjoint`` is not the adjoint of ``A``, see
    :func:`daep_deepinv.operators.trust.adjoint_test`; else ``None``."""
    mended = isinstance(physics, DifferentiatedAdjoint)
    if mended:
        test, name = physics.test, type(physics.base).__name__
    elif isinstance(physics, LinearPhysics):
        test, name = adjoint_test(physics, image), type(physics).__name__
    else:
        return None
    if test.passed:
        return None
    advice = "Without A_adjoint, deepinv finds it by automatic differentiation (needs img_size)."
    if mended:
        advice = "The one that automatic differentiation finds is used; it takes longer."
    if test.ratio != test.ratio:
        return UserWarning(f"physics: A_adjoint of {name} fails. {advice}")
    if not mended and not is_homogeneous(physics, image):
        return UserWarning(
            f"physics: {name} is not linear: A(2 u) is not 2 A(u). Derive a nonlinear operator from Physics. Subtract "
            "A(0) of an affine one from A and from y. A random one must draw its numbers once, in the constructor."
        )
    wrong = f"<u, A_adjoint A u> is {test.ratio:.3g} of <A u, A u>; expected 1"
    if abs(test.ratio - 1) <= ADJOINT_TOLERANCE:
        wrong = f"<u, A_adjoint v> - <A u, v> is {test.error:.2g} of ||A_adjoint v|| for white noise; expected 0"
    return UserWarning(
        f"physics: A_adjoint of {name} is not the adjoint of A: {wrong} (see physics.adjointness_test). {advice}"
    )


def check_result(
    before: Tensor, after: Tensor, start: Tensor, plan: Plan, y: Tensor | TensorList, images: Sequence[int]
) -> None:
    """Refuse a result that is much farther from the measurement than the start: clipping hides a divergence in an image
    of black and white.

    :param torch.Tensor before: root mean square residual of the start, (B,), in the solver's units as all but the plan.
    :param torch.Tensor after: that of the result.
    :param torch.Tensor start: first images (B, C, H, W).
    :param Plan plan: what was done.
    :param list images: their indices in the batch.
    :raises DivergenceError: the solver has diverged.
    """
    sigma = plan.noise.level / plan.range.scale
    size = torch.cat([part.abs().flatten(1) for part in parts_of(y)], 1).square().mean(1).sqrt()
    far = (after > GROWTH * before + GROWTH * sigma) & (after > size / 2) & (after > NEGLIGIBLE)
    if bool(far.any()):
        i = int(far.int().argmax())
        brightest, scale = float(start.abs().max()), plan.range.scale
        raise DivergenceError(
            f"the solver has diverged: image {images[i]} is farther from its measurement (rms "
            f"{scale * float(after[i]):.3g}) than its start ({scale * float(before[i]):.3g}). {_cure(plan, brightest)}"
        )


def _cure(plan: Plan, brightest: float) -> str:
    """What probably made the solver diverge, and what to try.

    :param float brightest: largest value of the start, in the solver's units.
    """
    given = plan.range.source == "given"
    if brightest > BRIGHTEST:
        cause = "scale= does not fit" if given else "images are expected in [0, 1]"
        return f"Its start reaches {brightest:.3g} times white: {cause}."
    if plan.preset is None:
        return "Lower the step or the prior weight of the schedule, or raise the noise level."
    level = f"the noise is far above {plan.noise.level:.3g}, in the units of y"
    if given:
        return f"Probably scale or bounds do not fit (leave them out), or {level}."
    level += "" if plan.noise.source == "estimated" else " (try DAEP('estimate'))"
    return f"Probably {level}, or A_adjoint does not fit (see physics.adjointness_test)."
