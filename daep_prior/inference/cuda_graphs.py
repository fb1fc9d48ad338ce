"""A frozen network on a GPU as CUDA graphs: its forward pass and its vector-Jacobian product.

For a small image, launching hundreds of kernels takes longer than running them. A graph launches all of them at once:
the same kernels on the same numbers, so the result is equal to the last bit. A pair of graphs is recorded once for each
image size, stream and set of weights, in some hundredths of a second. If recording fails, the network runs without
graphs, and one warning says so.

Measured on an H200 (``benchmarks/speed.py --device cuda``). On the CPU, the tests replace the recording by a stand-in.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Graphs", "free_gpu_memory"]

#: Pixels of the largest batch that is recorded; larger ones keep a GPU busy without graphs (an H200 from 1024 x 1024).
LARGEST = 1 << 19
#: Free memory required to record, in bytes a pixel. A recording keeps the memory of one gradient: 1.1 kB a pixel for
#: the U-Net, 2.8 kB for the paper's network.
FREE_A_PIXEL = 16_000
#: Most recordings kept for one network.
MOST = 4
#: Runs before the recording, in which libraries choose algorithms and allocate workspaces.
WARM_UP = 3


class Recording:
    """Graphs of the forward pass, from ``z`` to ``out``, and of its vector-Jacobian product, from ``g`` to ``product``.

    :param torch.nn.Module body: the network.
    :param torch.Tensor z: an input of the size to record.
    """

    def __init__(self, body: nn.Module, z: Tensor):
        self.z = z.detach().clone(memory_format=torch.preserve_format).requires_grad_()
        with torch.no_grad():
            self.g = torch.zeros_like(body(self.z))
        outs: list[Tensor] = []

        def forward() -> Tensor:
            with torch.enable_grad():
                outs[:] = [body(self.z)]
            return outs[0]

        def product() -> Tensor:
            (gradient,) = torch.autograd.grad(outs.pop(), self.z, self.g)
            return gradient

        (self.out, self.product), (self.replay, self.replay_product) = capture([forward, product], z.device)
        #: Number of the last pass. A product needs the activations of the forward pass right before it.
        self.turn = 0

    def forward(self, z: Tensor) -> Tensor:
        """The static output at ``z``."""
        self.turn += 1
        with torch.no_grad():
            self.z.copy_(z)
        self.replay()
        return self.out.detach()


class Graphs:
    """Evaluates a network from its recordings. One lock guards their memory, so several threads may use them.

    :param torch.nn.Module body: the network, its parameters frozen.
    """

    def __init__(self, body: nn.Module):
        self.body = body
        self._recordings: dict[tuple[Any, ...], Recording] = {}
        self._lock = threading.Lock()
        self._failed = False

    def __call__(self, z: Tensor) -> Tensor:
        """``body(z)``, from a graph if that is faster and possible; differentiable by ``z``.

        :param torch.Tensor z: input (B, C, H, W), in the body's number type and channels-last.
        """
        recording = None
        if worthwhile(z) and not self._failed and not transformed(z):
            with self._lock:
                recording = self._recorded(z)
        if recording is None:
            plain: Tensor = self.body(z)
            return plain
        if torch.is_grad_enabled() and z.requires_grad:
            out: Tensor = _Recorded.apply(z, recording, self)
            return out
        return self.forward(z, recording)[0]

    def forward(self, z: Tensor, recording: Recording) -> tuple[Tensor, int]:
        """The output, and the number of the pass."""
        with self._lock:
            return recording.forward(z).clone(), recording.turn

    def product(self, z: Tensor, g: Tensor, recording: Recording, turn: int) -> Tensor:
        """The transposed Jacobian at ``z`` times ``g``; ``turn`` is the number of the forward pass at ``z``."""
        with self._lock:
            if recording.turn != turn:  # another pass has overwritten the activations
                recording.forward(z)
            recording.turn += 1
            recording.g.copy_(g)
            recording.replay_product()
            return recording.product.clone()

    def _recorded(self, z: Tensor) -> Recording | None:
        """The recording for inputs like ``z``, made if there is none; ``None`` if that fails."""
        key = (z.shape, stream_of(z.device))
        # the least recently used comes first
        recording = self._recordings.pop(key, None)
        if recording is None:
            if free_gpu_memory(z.device) < FREE_A_PIXEL * pixels(z):
                return None
            try:
                with torch.inference_mode(False):  # its tensors could not be written to outside of inference mode
                    recording = Recording(self.body, z)
            except Exception as error:  # drivers raise many kinds
                self._failed = True
                reason = f"{type(error).__name__}: {str(error).strip()[:200]}"
                warnings.warn(f"no CUDA graph, kernels are launched singly: {reason}.", RuntimeWarning, stacklevel=2)
                return None
        self._recordings[key] = recording
        if len(self._recordings) > MOST:
            del self._recordings[next(iter(self._recordings))]
        return recording


class _Recorded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, recording: Recording, graphs: Graphs) -> Tensor:
        out, ctx.turn = graphs.forward(z, recording)
        ctx.save_for_backward(z)
        ctx.recording, ctx.graphs = recording, graphs
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, None, None]:
        (z,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph: autograd computes the product, so it can be differentiated again
            (gradient,) = torch.autograd.grad(ctx.graphs.body(z), z, g, create_graph=True)
            return gradient, None, None
        return ctx.graphs.product(z, g, ctx.recording, ctx.turn), None, None


def worthwhile(z: Tensor) -> bool:
    """Whether graphs make the evaluation at ``z`` (B, C, H, W) faster."""
    return z.device.type == "cuda" and pixels(z) <= LARGEST and not torch.cuda.is_current_stream_capturing()


def transformed(z: Tensor) -> bool:
    """Whether forward-mode differentiation, ``torch.func`` or a compiler traces the evaluation at ``z``."""
    dual = torch.autograd.forward_ad.unpack_dual(z).tangent is not None
    return dual or torch._C._are_functorch_transforms_active() or torch.compiler.is_compiling()


def pixels(z: Tensor) -> int:
    """Pixels of the whole batch."""
    return z.shape[0] * z.shape[2] * z.shape[3]


def free_gpu_memory(device: torch.device) -> int:
    """Bytes that can be allocated on a GPU: the free memory of the driver plus that of torch's cache."""
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + cached


def stream_of(device: torch.device) -> int:
    """The current stream. Work on two streams may overlap, so each has recordings of its own."""
    return int(torch.cuda.current_stream(device).cuda_stream)


def capture(works: list[Callable[[], Tensor]], device: torch.device) -> tuple[list[Tensor], list[Callable[[], object]]]:
    """Record ``works``, which are run in this order and share memory.

    :return: the static results, and the functions that compute them anew.
    """
    outs: list[Tensor] = []
    replays: list[Callable[[], object]] = []
    with torch.cuda.device(device):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                for work in works:
                    work()
        torch.cuda.current_stream().wait_stream(side)
        pool = torch.cuda.graph_pool_handle()
        for work in works:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                outs.append(work())
            replays.append(partial(replayed, graph, device))
    return outs, replays


def replayed(graph: torch.cuda.CUDAGraph, device: torch.device) -> None:
    """Launch ``graph`` on the current stream of ``device``."""
    with torch.cuda.device(device):
        graph.replay()
