"""How an operator answers to a white image: its gain, and which measured values depend on the image."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_deepinv.measurement_parts import parts_of

__all__ = ["Response", "gain_of", "real_parts", "response_of"]

#: Measured values below this share of the largest are those of missing pixels.
TINY_GAIN = 1e-6
#: An operator sees a white image if its power is spread over at least this share of the measured values. A blur: 1, a
#: random matrix: a third, a Fourier transform: one value.
SPREAD = 0.1


class Response(NamedTuple):
    """The answer to a white image.

    :param float gain: root mean square of the measured values of an image of ones: 1 for a blur, a path length for
        tomography. Missing pixels do not count. Operators that see a white image in few values, as a Fourier transform,
        have the gain of a random one.
    :param list measured: which real values of each part of a measurement depend on the image, boolean.
    """

    gain: float
    measured: list[Tensor]


def response_of(physics: LinearPhysics, start: Tensor) -> Response:
    """The response of an operator, a nonlinear one included.

    :param torch.Tensor start: an image (1, C, ...) in its domain; its values do not matter.
    """
    seen = _random_measurement(physics, start)
    measured = _measured(seen)
    random = _powers(seen)
    counted = random > TINY_GAIN**2 * random.max()
    if not bool(counted.any()):
        return Response(1.0, measured)
    white = _powers(real_parts(physics.A(torch.ones_like(start))))[counted]
    spread = float(white.sum()) ** 2 / max(float(white.square().sum()), 1e-300)
    gain = math.sqrt(float((white if spread >= SPREAD * len(white) else random[counted]).mean()))
    return Response(gain, measured)


def gain_of(physics: LinearPhysics, start: Tensor) -> float:
    """The gain alone; see :class:`Response`."""
    return response_of(physics, start).gain


def real_parts(y: Any) -> list[Tensor]:
    """The parts of a measurement as real numbers."""
    return [torch.view_as_real(part) if part.is_complex() else part for part in parts_of(y)]


def _powers(parts: list[Tensor]) -> Tensor:
    return torch.cat([part.flatten() for part in parts]).double().square()


def _measured(seen: list[Tensor]) -> list[Tensor]:
    return [part.abs() > TINY_GAIN * part.abs().amax() for part in seen]


def _random_measurement(physics: Any, start: Tensor) -> list[Tensor]:
    """Of white noise in the shape of an image: of mean 0 and level 1; for a nonlinear physics, of values in [0, 1]."""
    image = torch.rand(start.shape, generator=torch.Generator().manual_seed(0)).to(start)
    return real_parts(physics.A((image - 0.5) * math.sqrt(12) if isinstance(physics, LinearPhysics) else image))
