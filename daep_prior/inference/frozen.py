"""The fast form of a frozen network: fast number type, channels-last layout, CUDA graphs."""

from __future__ import annotations

import copy
import threading

import torch
from torch import Tensor, nn

from daep_prior.inference.compute_dtype import fast_dtype
from daep_prior.inference.cuda_graphs import Graphs

__all__ = ["FrozenBody"]

#: Fingerprint of all weights.
Version = list[tuple[int, int]]


class FrozenBody:
    """Evaluates the frozen body of a network on a cached copy, one for each number type and device.

    A copy is made at the first evaluation, and again when the weights have changed. Several threads may evaluate at the
    same time. A copied or unpickled ``FrozenBody`` is empty.
    """

    def __init__(self) -> None:
        self._copies: dict[tuple[torch.dtype, torch.device], tuple[Version, Graphs]] = {}
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
        outs = [fast(part.to(dtype).contiguous(memory_format=torch.channels_last)) for part in parts]
        return outs[0] if len(outs) == 1 else torch.cat(outs)

    def clear(self) -> None:
        """Release the copies."""
        self._copies.clear()

    def _copy(self, body: nn.Module, dtype: torch.dtype, device: torch.device) -> Graphs:
        version = weights_version(body)
        with self._lock:
            copied, fast = self._copies.get((dtype, device), (None, None))
            if fast is None or copied != version:
                # Autograd cannot differentiate through weights made in inference mode.
                with torch.inference_mode(False), torch.no_grad():
                    fast = Graphs(copy.deepcopy(body).to(device, dtype).to(memory_format=torch.channels_last).eval())
                self._copies[dtype, device] = version, fast
            return fast

    def __reduce__(self) -> tuple[type[FrozenBody], tuple[()]]:
        return FrozenBody, ()


def weights_version(body: nn.Module) -> Version:
    """Fingerprint that changes whenever the weights change."""
    return [(t.data_ptr(), 0 if t.is_inference() else t._version) for t in (*body.parameters(), *body.buffers())]
