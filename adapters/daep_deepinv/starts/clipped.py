"""The first image where the sensor is saturated: bright enough to explain the light around it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from daep_deepinv.data_terms.fourier_blur import products_of
from daep_deepinv.linear_algebra.conjugate_gradients import conjugate_gradients
from daep_deepinv.view import View
from daep_prior.images import one_per_image

__all__ = ["LIT", "with_light_of_clipped"]

#: What is said of such a first image.
LIT = ", brighter where saturated"

#: Standard deviations of the first image's error, images in [0, 1]: where mostly saturated values see a pixel, and
#: elsewhere; of the measured values, which are weighted by this. Set by hand, as orders of magnitude: a lamp is a few
#: times white, the first image elsewhere is wrong by 0.1, noise is 0.01. Each three times larger or smaller changes two
#: training crops with the three lamps of ``benchmarks/ranges.py`` by at most 0.02 dB.
WHERE_CLIPPED, ELSEWHERE, MEASURED = 1.0, 0.1, 0.01
#: Conjugate gradient iterations, and the share of the norm of the right-hand side at which an image stops.
ITERATIONS, TOLERANCE = 100, 1e-3
#: Share of the values that see a pixel: if more are saturated, it may be brighter than white. The majority decides;
#: shares of 0.3 to 0.7 change the same crops by at most 0.01 dB.
MOSTLY = 0.5
#: A pixel that is seen less than this, relative to the others, is in the border: rounding in float32 is 1e-7.
LEAST_SEEN = 1e-5


def with_light_of_clipped(view: View) -> View:
    r"""The view with another first image where values are saturated; else the view itself.

    A lamp is brighter than white. A blur spreads its light to pixels that are not saturated. A first image whose lamp
    is white does not explain that light, and the first proximal steps distribute it over the surroundings. The image
    here minimises

    .. math:: \sum_{i\ \text{not saturated}} (Kx - y)_i^2 / m^2 + \sum_j (x - x_0)_j^2 / d_j^2

    with a large deviation :math:`d_j` where most of the values that see the pixel are saturated.
    """
    clipped = view.used.at_least
    if clipped is None:
        return view
    used = ~clipped
    if view.used.unknown is not None:
        used = used & ~view.used.unknown
    weights = used.to(view.y)
    forward, adjoint = products_of(view.physics, view.start, view.y)
    seen = adjoint(torch.ones_like(view.y))
    share = adjoint(clipped.to(view.y)) / seen.clamp_min(LEAST_SEEN * float(seen.amax()))
    deviation = torch.where(share > MOSTLY, WHERE_CLIPPED, ELSEWHERE) / MEASURED

    def normal(u: Tensor) -> Tensor:
        return deviation * adjoint(weights * forward(deviation * u)) + u

    rhs = deviation * adjoint(weights * (view.y - forward(view.start)))
    change = conjugate_gradients(normal, rhs, TOLERANCE * rhs.flatten(1).norm(dim=1), ITERATIONS)
    lit = one_per_image(clipped.flatten(1).any(1), view.start)
    return replace(view, start=torch.where(lit, view.start + deviation * change, view.start))
