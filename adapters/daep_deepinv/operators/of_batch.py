"""The physics of a batch for some of its images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_deepinv.operators.failures import unless_it_fails

__all__ = ["physics_of_images"]

#: Largest deviation of the physics of some images from that of the batch, relative to the largest measured value.
AGREEMENT = 1e-3


def physics_of_images(physics: LinearPhysics, like: Tensor, indices: Sequence[int]) -> LinearPhysics:
    """``physics`` for some images of a batch, although it may have a kernel or a mask for each image.

    :param LinearPhysics physics: of the batch.
    :param torch.Tensor like: images of the batch's shape (B, C, H, W); their values do not matter.
    :param list indices: which of the B images.
    :return: ``physics`` itself if it fits these images as it is; else a copy whose tensors of B entries keep those of
        the images.
    :raises ValueError: neither treats the images as the physics of the batch does.
    """
    count = like.shape[0]
    if len(indices) == count:
        return physics
    probes = torch.rand(like.shape, generator=torch.Generator().manual_seed(0)).to(like)
    measured = physics.A(probes)
    if not isinstance(measured, Tensor):
        return physics
    chosen = list(indices)
    some, wanted = probes[chosen], measured[chosen]
    if _agrees(physics, some, wanted):
        return physics
    taken: LinearPhysics = physics.clone()
    for module in taken.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.ndim > 0 and buffer.shape[0] == count:
                module._buffers[name] = buffer[chosen]
    if _agrees(taken, some, wanted):
        return taken
    raise ValueError(
        "physics: it treats each image of the batch differently, in a way that does not show in its buffers, and these "
        "images need different plans; restore one image at a time."
    )


def _agrees(physics: LinearPhysics, images: Tensor, measured: Tensor) -> bool:
    got = unless_it_fails(lambda: physics.A(images), None)  # deepinv's convolutions need a kernel for each image
    scale = float(measured.abs().max())
    return got is not None and got.shape == measured.shape and float((got - measured).abs().max()) <= AGREEMENT * scale
