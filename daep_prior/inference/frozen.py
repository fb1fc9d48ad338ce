"""The fast form of a frozen network: fast number type, channels-last layout, CUDA graphs."""

from __future__ import annotations

import copy
import threading
from typing import NamedTuple

import torch
from torch import Tensor, nn

from daep_prior.inference.cuda_graphs import Graphs
from daep_prior.inference.number_type import fast_dtype

__all__ = ["FrozenBody"]

#: Fingerprint of all weights.
Version = list[tuple[int, int]]


class FastCopy(NamedTuple):
    """A copy of a network's body in one number type on one device, and the version of the weights it was made from."""

    version: Version
    body: nn.Module
    graphs: Graphs


class FrozenBody:
    """Evaluates the frozen body of a network on a cached copy, one for each number type and device.

    A copy is made at the first evaluation, and again when the weights have changed. Several threads may evaluate at the
    same time. A copied or unpickled ``FrozenBody`` is empty.
    """

    def __init__(self) -> None:
        self._copies: dict[tuple[torch.dtype, torch.device], FastCopy] = {}
        self._lock = threading.Lock()

    def __call__(self, body: nn.Module, z: Tensor, dtype: torch.dtype | None) -> Tensor:
        """``body(z)`` in evaluation mode.

        :param torch.nn.Module body: the network, its parameters frozen.
        :param torch.Tensor z: input (B, C, H, W). Float64 input is computed in float64.
        :param torch.dtype dtype: number type of the convolutions; default :func:`fast_dtype` of the device.
        :return: output (B, C', H, W) in the number type of the convolutions.
        """
        dtype = z.dtype if z.dtype == torch.float64 else (dtype or fast_dtype(z.device))
        fast = self._copy(body, dtype, z.device)
        # On a CPU the algorithm of a convolution, and so its rounding, depends on the number of images.
        parts = z.split(1) if z.device.type == "cpu" else (z,)
        outs = [_evaluate(fast, part.to(dtype).contiguous(memory_format=torch.channels_last)) for part in parts]
        return outs[0] if len(outs) == 1 else torch.cat(outs)

    def clear(self) -> None:
        """Release the copies."""
        self._copies.clear()

    def _copy(self, body: nn.Module, dtype: torch.dtype, device: torch.device) -> FastCopy:
        version = weights_version(body)
        with self._lock:
            fast = self._copies.get((dtype, device))
            if fast is None or fast.version != version:
                # Autograd cannot differentiate through weights made in inference mode.
                with torch.inference_mode(False), torch.no_grad():
                    twin = copy.deepcopy(body).to(device, dtype).to(memory_format=torch.channels_last).eval()
                fast = self._copies[dtype, device] = FastCopy(version, twin, Graphs(twin))
            return fast

    def __reduce__(self) -> tuple[type[FrozenBody], tuple[()]]:
        return FrozenBody, ()


def _evaluate(fast: FastCopy, z: Tensor) -> Tensor:
    out = fast.graphs(z)
    if out is None:
        out = fast.body(z)
    return out


def weights_version(body: nn.Module) -> Version:
    """Fingerprint that changes whenever the weights change."""
    return [(t.data_ptr(), 0 if t.is_inference() else t._version) for t in (*body.parameters(), *body.buffers())]
