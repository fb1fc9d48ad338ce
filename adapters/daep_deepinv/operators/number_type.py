"""The number type in which a physics is computed."""

from __future__ import annotations

import torch
from deepinv.physics import Physics, StackedPhysics
from torch import Tensor

from daep_deepinv.operators.remembered import remembered

__all__ = ["in_number_type", "number_type"]

#: Types in which a data step would lose the image: Fourier transforms and conjugate gradients need more digits.
HALF = (torch.float16, torch.bfloat16)


def number_type(physics: Physics) -> torch.dtype | None:
    """The real type of the tensors of a physics; ``None``: it has none, and takes any."""
    found = [
        tensor.real.dtype if tensor.is_complex() else tensor.dtype
        for part in _parts(physics)
        for name, tensor in [*part.named_buffers(), *part.named_parameters()]
        if not name.startswith("noise_model.")
        and not name.endswith("_device_holder")
        and (tensor.is_floating_point() or tensor.is_complex())
        and tensor.ndim > 0  # in torch, a 0-d tensor does not change the type of the tensor it multiplies
    ]
    return max(found, key=lambda dtype: torch.finfo(dtype).bits) if found else None


def in_number_type(physics: Physics, dtype: torch.dtype) -> Physics:
    """``physics`` itself if its tensors have this type, or a copy of it, which is remembered."""
    if number_type(physics) in (None, dtype):
        return physics
    return remembered(physics, ("in number type", dtype), lambda: _converted(physics, dtype))


def _converted(physics: Physics, dtype: torch.dtype) -> Physics:
    copy: Physics = physics.clone()
    for part in _parts(copy):
        for module in part.modules():
            for group in (module._buffers, module._parameters):
                for name, tensor in group.items():
                    if isinstance(tensor, Tensor):
                        group[name] = _cast(tensor.detach(), dtype)
    return copy


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if tensor.is_complex():
        return tensor.to(torch.complex128 if dtype == torch.float64 else torch.complex64)
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _parts(physics: Physics) -> list[Physics]:
    """The physics, and the parts of a stack, which are in a plain list."""
    if isinstance(physics, StackedPhysics):
        return [physics, *(part for one in physics.physics_list for part in _parts(one))]
    return [physics]
