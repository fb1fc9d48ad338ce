"""The first image of a restoration, from the measurement, for any deepinv physics."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from deepinv.physics import Blur, Inpainting, LinearPhysics, Physics
from torch import Tensor

from daep_deepinv.data_terms.conjugate_gradients import conjugate_gradients
from daep_prior.back_projection import fill_missing

__all__ = ["described_start", "measured_region", "starting_point", "valid_margins"]


def valid_margins(physics: Physics) -> tuple[int, int, int, int] | None:
    """Pixels (left, right, top, bottom) that a ``valid`` blur does not measure; ``None`` for other physics."""
    if not (isinstance(physics, Blur) and physics.padding == "valid" and physics.filter is not None):
        return None
    height, width = physics.filter.shape[-2:]
    left, top = (width - 1) // 2, (height - 1) // 2
    return left, width - 1 - left, top, height - 1 - top


def measured_region(y: Tensor, physics: Physics) -> Tensor | None:
    """1 on the pixels that a ``valid`` blur measures and 0 on the border it does not, (1, 1, H, W); else ``None``."""
    margins = valid_margins(physics)
    if margins is None:
        return None
    return F.pad(torch.ones_like(y[:1, :1]), margins)


def starting_point(y: Tensor, physics: Physics) -> Tensor:
    """The first image for ``y``: (B, C, H, W).

    * blur with ``padding="valid"``: the measurement, padded by replication (the authors' deblurring program);
    * missing pixels: interpolated from the known ones, coarse to fine;
    * a measurement smaller by a whole factor (super-resolution): bicubic upsampling (the authors' program);
    * a measurement of the image's own shape: itself;
    * anything else linear: the pseudo-inverse, a few steps of conjugate gradients.

    :param torch.Tensor y: measurement.
    :param deepinv.physics.Physics physics: its forward model.
    :raises ValueError: the physics has no adjoint.
    """
    return described_start(y, physics)[0]


def described_start(y: Tensor, physics: Physics) -> tuple[Tensor, str]:
    """:func:`starting_point`, and what it is in words."""
    margins = valid_margins(physics)
    if margins is not None:
        return F.pad(y, margins, mode="replicate"), "the measurement, padded by replication"
    if isinstance(physics, Inpainting) and isinstance(physics.mask, Tensor) and y.ndim == 4:
        mask = physics.mask.to(y).expand_as(y)
        return fill_missing(y * mask, mask), "the known pixels, the missing ones interpolated"
    if not hasattr(physics, "A_adjoint"):
        raise ValueError(f"physics: {type(physics).__name__} has no adjoint; pass init= with a first image.")
    back = physics.A_adjoint(y)
    if isinstance(y, Tensor) and y.ndim == back.ndim == 4 and y.shape[1] == back.shape[1]:
        if y.shape == back.shape:
            return y.clone(), "the measurement"
        factor = round(back.shape[2] / y.shape[2])
        if factor > 1 and all(math.ceil(back.shape[i] / factor) == y.shape[i] for i in (2, 3)):
            enlarged = F.interpolate(y, size=back.shape[-2:], mode="bicubic", align_corners=False)
            return enlarged, f"the measurement, enlarged {factor} times (bicubic)"
    if not isinstance(physics, LinearPhysics):
        return back, "the adjoint of the measurement"
    if type(physics).A_dagger is not LinearPhysics.A_dagger:
        return physics.A_dagger(y), "the pseudo-inverse of the measurement"
    # as deepinv does, but each image by itself
    bound = float(physics.tol) * back.flatten(1).norm(dim=1)
    solved = conjugate_gradients(physics.A_adjoint_A, back, bound, int(physics.max_iter))
    return solved, "the pseudo-inverse of the measurement (conjugate gradients)"
