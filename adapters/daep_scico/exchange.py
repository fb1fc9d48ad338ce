"""JAX arrays to torch tensors and back by DLPack: no copy on one device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from torch import Tensor
from torch.utils.dlpack import from_dlpack

__all__ = ["call_torch", "from_torch", "to_torch"]


def to_torch(x: Any) -> Tensor:
    """A JAX array as a tensor that shares its memory, which must not be written to."""
    tensor: Tensor = from_dlpack(x)
    return tensor


def from_torch(x: Tensor, like: Any) -> Any:
    """A tensor as a JAX array of the type and on the device of ``like``."""
    array = jax.dlpack.from_dlpack(x.contiguous())
    return jax.device_put(array.astype(like.dtype), like.sharding)


def call_torch(function: Callable[..., Tensor], shape: tuple[int, ...], x: Any, *numbers: Any) -> Any:
    """``function(x, *numbers)`` on tensors, for JAX arrays; inside ``jax.jit`` as a callback to the host.

    :param Callable function: takes a tensor and floats, returns a tensor of ``shape``.
    """

    def on_host(x: Any, *numbers: Any) -> Any:
        return from_torch(function(to_torch(x), *(float(n) for n in numbers)).cpu(), x)

    if any(isinstance(value, jax.core.Tracer) for value in (x, *numbers)):
        result = jax.ShapeDtypeStruct(shape, x.dtype)
        return jax.pure_callback(on_host, result, x, *numbers, vmap_method="sequential")
    return from_torch(function(to_torch(x), *(float(n) for n in numbers)), x)
