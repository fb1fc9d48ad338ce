"""The physics of a batch for each of its images."""

from __future__ import annotations

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

__all__ = ["physics_of_each"]

#: How well the physics of one image must agree with that of the batch, of the largest measured value.
AGREEMENT = 1e-3


def physics_of_each(physics: LinearPhysics, images: Tensor) -> list[LinearPhysics]:
    """``physics`` for every image of a batch alone, although it may hold a kernel or a mask for each of them.

    :param LinearPhysics physics: of the batch.
    :param torch.Tensor images: as those of the batch (B, C, H, W); their values do not matter.
    :return: ``physics`` itself where it takes one image as it is; else a copy whose tensors of B entries are those
        of the image.
    :raises ValueError: neither does to the image what the physics of the batch does.
    """
    count = images.shape[0]
    probes = torch.rand(images.shape, generator=torch.Generator().manual_seed(0)).to(images)
    measured = physics.A(probes) if count > 1 else None
    if not isinstance(measured, Tensor):
        return [physics] * count
    return [_physics_of_image(physics, i, probes, measured) for i in range(count)]


def _physics_of_image(physics: LinearPhysics, index: int, probes: Tensor, measured: Tensor) -> LinearPhysics:
    """``physics`` for one image, so that it maps its one of ``probes`` to its one of ``measured``."""
    alone, wanted = probes[index : index + 1], measured[index : index + 1]
    if _agrees(physics, alone, wanted):
        return physics
    taken: LinearPhysics = physics.clone()
    for module in taken.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.ndim > 0 and buffer.shape[0] == len(probes):
                module._buffers[name] = buffer[index : index + 1]
    if _agrees(taken, alone, wanted):
        return taken
    raise ValueError(
        "physics: this one treats each image of a batch differently, in a way that does not show in its buffers, and "
        "these images must be restored differently; restore one image at a time."
    )


def _agrees(physics: LinearPhysics, image: Tensor, measured: Tensor) -> bool:
    try:
        got = physics.A(image)
    except (RuntimeError, AssertionError):  # deepinv's convolutions assert that kernels and images are as many
        return False
    return got.shape == measured.shape and float((got - measured).abs().max()) <= AGREEMENT * float(
        measured.abs().max()
    )
