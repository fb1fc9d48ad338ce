"""The first image of a restoration, from the measurement, for any deepinv physics."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from deepinv.physics import Blur, Inpainting, LinearPhysics, Physics, StackedLinearPhysics
from deepinv.utils import TensorList
from torch import Tensor

from daep_deepinv.linear_algebra.conjugate_gradients import conjugate_gradients
from daep_deepinv.linear_algebra.squares import squares
from daep_deepinv.operators.failures import unless_it_fails
from daep_deepinv.operators.geometry import image_geometry
from daep_deepinv.operators.subsampling import is_subsampling
from daep_deepinv.operators.trust import probe
from daep_deepinv.starts.nonlinear import nonlinear_start
from daep_prior.back_projection import fill_missing
from daep_prior.images import one_per_image

__all__ = ["PSEUDO_INVERSE", "described_start", "measured_region", "starting_point", "valid_margins"]

#: What is said of such a first image.
PSEUDO_INVERSE = "the pseudo-inverse of the measurement"
#: Largest share of the norm by which an operator may change a smooth volume for its measurement to be the first image.
#: A 3-D blur of 3 pixels in 6 slices: 0.03 with replicated borders, 0.21 with circular ones; half of the pixels: 0.71.
UNLIKE_VOLUME = 0.25
#: Pixels of ``K^T K u`` (white noise ``u``) below this share of the largest one are not measured. Rounding in float32
#: leaves 1e-7. Another pixel has less with a probability of about 1e-5.
UNSEEN = 1e-5


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
    * any other operator that maps images to images (blur, reduction, cropping, mask; found by a test, see
      :func:`daep_deepinv.operators.geometry.image_geometry`): the measurement on the image's grid, enlarged by bicubic
      interpolation (the authors' program for super-resolution) where it is smaller, and padded where it is cropped;
    * several measurements (``TensorList``): the first image of the one that explains all of them best;
    * anything else linear: the pseudo-inverse, a few steps of conjugate gradients if the physics has none that works.
      Pixels that a sampling operator does not see are interpolated;
    * a nonlinear physics: see :func:`daep_deepinv.starts.nonlinear.nonlinear_start`.

    :param torch.Tensor y: measurement.
    :param deepinv.physics.Physics physics: its forward model.
    :raises ValueError: a nonlinear physics offers no first image.
    """
    return described_start(y, physics)[0]


def described_start(y: Any, physics: Physics) -> tuple[Tensor, str]:
    """:func:`starting_point`, and what it is in words."""
    margins = valid_margins(physics)
    if margins is not None:
        return F.pad(y, margins, mode="replicate"), "the measurement, padded by replication"
    if isinstance(physics, Inpainting) and isinstance(physics.mask, Tensor) and y.ndim == 4:
        mask = physics.mask.to(y).expand_as(y)
        if bool(((mask == 0) | (mask == 1)).all()):  # other weights are a gain, see image_geometry
            return fill_missing(y * mask, mask), "the known pixels, the missing ones interpolated"
    if not isinstance(physics, LinearPhysics):
        return nonlinear_start(y, physics)
    back = physics.A_adjoint(y)
    seen = _as_image(y, physics, back)
    if seen is not None:
        return seen
    inverse, usable = _pseudo_inverse(y, physics, back)
    if inverse is not None and bool(usable.all()):
        return _with_unseen(inverse, y, physics, PSEUDO_INVERSE)
    # as deepinv does, but each image by itself
    bound = float(physics.tol) * back.flatten(1).norm(dim=1)
    solved = conjugate_gradients(physics.A_adjoint_A, back, bound, int(physics.max_iter))
    if inverse is not None:
        solved = torch.where(one_per_image(usable, back), inverse, solved)
    return _with_unseen(solved, y, physics, f"{PSEUDO_INVERSE} (conjugate gradients)")


def _with_unseen(x: Tensor, y: Any, physics: LinearPhysics, words: str) -> tuple[Tensor, str]:
    """The image with interpolated values where a subsampling operator sees nothing; of other operators, such as
    tomography, as it is. And what it is in words."""
    if x.ndim != 4 or x.is_complex() or not is_subsampling(physics, y, x):
        return x, words
    response = physics.A_adjoint_A(probe(x)).abs()
    seen = (response > UNSEEN * response.amax()).to(x)
    if bool((seen > 0).all()):
        return x, words
    return fill_missing(x * seen, seen), f"{words}, unseen pixels interpolated"


def _as_image(y: Any, physics: Physics, back: Tensor) -> tuple[Tensor, str] | None:
    """The measurement on the image's grid, and what it is in words; ``None``: it is no image."""
    if isinstance(y, TensorList):
        if not isinstance(physics, StackedLinearPhysics) or type(physics).A_dagger is not LinearPhysics.A_dagger:
            return None
        parts = zip(y, physics.physics_list, strict=True)
        found = [one for part, operator in parts if (one := _as_image(part, operator, back)) is not None]
        if not found:
            return None
        best = torch.stack([_misfits(y, physics, x) for x, _ in found]).argmin(0)
        starts = torch.stack([x for x, _ in found])
        return starts[best, torch.arange(back.shape[0], device=best.device)], found[int(best[0])][1]
    if y.is_complex() or back.is_complex():
        return None
    if y.ndim == back.ndim == 5:
        return _as_volume(y, physics, back)
    if y.ndim != 4 or back.ndim != 4:
        return None
    geometry = image_geometry(physics, back)
    if geometry is None:
        return None
    return geometry.image(y, (back.shape[-2], back.shape[-1]), back.shape[1])


def _as_volume(y: Tensor, physics: Physics, back: Tensor) -> tuple[Tensor, str] | None:
    """The measurement, divided by the operator's gain, if the operator maps a smooth volume nearly to itself."""
    if y.shape != back.shape:
        return None
    smooth = torch.ones_like(back)
    for axis in (2, 3, 4):
        wave = 1 + 0.5 * torch.linspace(0, torch.pi, back.shape[axis], dtype=back.dtype, device=back.device).cos()
        smooth = smooth * wave.view([-1 if k == axis else 1 for k in range(5)])
    seen = physics.A(smooth)
    gain = float((seen * smooth).sum() / smooth.square().sum())
    if not gain > 0 or float((seen - gain * smooth).norm()) > UNLIKE_VOLUME * float(seen.norm()):
        return None
    return y / gain if gain != 1 else y.clone(), "the measurement"


def _pseudo_inverse(y: Any, physics: LinearPhysics, back: Tensor) -> tuple[Tensor | None, Tensor]:
    """``physics.A_dagger(y)``, and for which images it explains ``y`` better than a black image, (B,); ``None``: there
    is none, or it fails."""
    none = torch.zeros(back.shape[0], dtype=torch.bool, device=back.device)
    if type(physics).A_dagger is LinearPhysics.A_dagger:
        return None, none

    def inverse() -> tuple[Tensor | None, Tensor]:
        found = physics.A_dagger(y)
        if found.shape != back.shape:
            return None, none
        found = torch.where(found.isfinite(), found, 0)
        return found, _misfits(y, physics, found) <= _misfits(y, physics, torch.zeros_like(back))

    return unless_it_fails(inverse, (None, none))


def _misfits(y: Any, physics: Physics, x: Tensor) -> Tensor:
    """``||Ax - y||^2`` of each image, (B,)."""
    return squares(physics.A(x) - y)
