"""A frozen network on a GPU as CUDA graphs: one of its forward pass, and a pair with the vector-Jacobian product.

A small image keeps a GPU less busy than the processor that starts its hundreds of kernels. A graph starts them all at
once: the same kernels on the same numbers, so that the result is the same to the last bit. Sizes, type and weights are
fixed when a graph is recorded, in some hundredths of a second; for others another is recorded. Where that fails the
network runs as ever, and a warning says so once.

Measured on an H200 (``benchmarks/speed.py --device cuda``); on the CPU a stand-in for the recording is tested.
"""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from daep_prior.inference.lean import transformed
from daep_prior.tiling.memory import free_memory

__all__ = ["Graphs"]

#: Pixels of the largest batch that is recorded: larger ones keep a GPU busy anyway (an H200 from 1024 x 1024).
LARGEST = 1 << 19
#: Memory that must be free for each of them, in bytes: a recording holds on to what one pass needs, 1.1 kB a pixel for
#: the U-Net and 2.8 kB for the paper's network.
FREE_A_PIXEL = 16_000
#: The most recordings of one network: each size has one of the forward pass and one of the pair.
MOST = 4
#: Runs before the recording, in which libraries choose their algorithms and allocate what they need.
WARM_UP = 3


class _Forward(NamedTuple):
    """The forward pass, from ``z`` to ``out``."""

    z: Tensor
    out: Tensor
    replay: Callable[[], object]


class _Pair:
    """The forward pass, and then the product of the transposed Jacobian with ``g``."""

    def __init__(self, z: Tensor, g: Tensor, out: Tensor, product: Tensor, replays: list[Callable[[], object]]):
        self.z, self.g, self.out, self.product = z, g, out, product
        self.replay, self.replay_product = replays
        #: Changes with every pass: what a backward pass needs is there only right after its forward pass.
        self.turn = 0


class Graphs:
    """The recordings of one network.

    :param torch.nn.Module body: the network, on a GPU, its parameters frozen.
    """

    def __init__(self, body: nn.Module):
        self.body = body
        self._recordings: OrderedDict[tuple[Any, ...], _Forward | _Pair] = OrderedDict()
        self._lock = threading.Lock()
        self._given_up = False

    def __call__(self, z: Tensor) -> Tensor | None:
        """``body(z)``, with its graph for derivatives by ``z`` if they are asked for; ``None``: not from a recording.

        :param torch.Tensor z: input (B, C, H, W), in the body's type and channels-last.
        """
        if self._given_up or not worthwhile(z) or transformed(z):
            return None
        derivatives = torch.is_grad_enabled() and z.requires_grad
        with self._lock:  # one set of memory for all threads
            recording = self._recorded(z, derivatives)
            if recording is None:
                return None
            if isinstance(recording, _Forward):
                recording.z.copy_(z)
                recording.replay()
                return recording.out.clone()
        out: Tensor = _Recorded.apply(z, recording, self)
        return out

    def forward(self, z: Tensor, pair: _Pair) -> tuple[Tensor, int]:
        """The output and the turn of the pass."""
        with self._lock:
            return self._forward(z, pair).clone(), pair.turn

    def product(self, z: Tensor, g: Tensor, pair: _Pair, turn: int) -> Tensor:
        """The transposed Jacobian at ``z`` times ``g``; ``turn``: of the forward pass there."""
        with self._lock:
            if pair.turn != turn:  # another pass has been there since
                self._forward(z, pair)
            pair.turn += 1
            pair.g.copy_(g)
            pair.replay_product()
            return pair.product.clone()

    @staticmethod
    def _forward(z: Tensor, pair: _Pair) -> Tensor:
        pair.turn += 1
        with torch.no_grad():
            pair.z.copy_(z)
        pair.replay()
        return pair.out.detach()

    def _recorded(self, z: Tensor, derivatives: bool) -> _Forward | _Pair | None:
        """The recording for such an input, made if there is none; ``None`` if that failed."""
        key = (z.shape, stream_of(z.device), derivatives)
        recording = self._recordings.get(key)
        if recording is None:
            if free_memory(z.device) < FREE_A_PIXEL * pixels(z):
                return None
            try:
                with torch.inference_mode(False):  # tensors made in it could not be written to outside
                    recording = record_pair(self.body, z) if derivatives else record_forward(self.body, z)
            except Exception as error:  # drivers fail in ways of their own
                self._given_up = True
                reason = f"{type(error).__name__}: {str(error).strip()[:200]}"
                warnings.warn(f"no CUDA graph, kernels are started singly: {reason}.", RuntimeWarning, stacklevel=2)
                return None
            self._recordings[key] = recording
            while len(self._recordings) > MOST:
                self._recordings.popitem(last=False)
        self._recordings.move_to_end(key)
        return recording


class _Recorded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, pair: _Pair, graphs: Graphs) -> Tensor:
        out, ctx.turn = graphs.forward(z, pair)
        ctx.save_for_backward(z)
        ctx.pair, ctx.graphs = pair, graphs
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, None, None]:
        (z,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph: the product is to be differentiated again, which autograd can do
            (gradient,) = torch.autograd.grad(ctx.graphs.body(z), z, g, create_graph=True)
            return gradient, None, None
        return ctx.graphs.product(z, g, ctx.pair, ctx.turn), None, None


def worthwhile(z: Tensor) -> bool:
    """Whether the evaluation of ``z`` (B, C, H, W) is to be recorded."""
    return z.device.type == "cuda" and pixels(z) <= LARGEST and not torch.cuda.is_current_stream_capturing()


def pixels(z: Tensor) -> int:
    """Of all images."""
    return z.shape[0] * z.shape[2] * z.shape[3]


def stream_of(device: torch.device) -> int:
    """On which stream the network is computed; two may run at the same time."""
    return int(torch.cuda.current_stream(device).cuda_stream)


def record_forward(body: nn.Module, z: Tensor) -> _Forward:
    """Record ``body`` for inputs like ``z``."""
    here = z.detach().clone(memory_format=torch.preserve_format)

    def work() -> Tensor:
        with torch.no_grad():
            out: Tensor = body(here)
        return out

    (out,), (replay,) = capture([work], z.device)
    return _Forward(here, out, replay)


def record_pair(body: nn.Module, z: Tensor) -> _Pair:
    """Record ``body`` and its vector-Jacobian product for inputs like ``z``."""
    here = z.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    with torch.no_grad():
        g = torch.zeros_like(body(here))
    outs: list[Tensor] = []

    def forward() -> Tensor:
        with torch.enable_grad():
            outs[:] = [body(here)]
        return outs[0]

    def product() -> Tensor:
        (gradient,) = torch.autograd.grad(outs.pop(), here, g)
        return gradient

    (out, gradient), replays = capture([forward, product], z.device)
    return _Pair(here, g, out, gradient, replays)


def capture(works: list[Callable[[], Tensor]], device: torch.device) -> tuple[list[Tensor], list[Callable[[], object]]]:
    """Record ``works``, which are run one after another, after some runs for practice: their results, and what fills
    them anew. They share memory, so that one may use what those before it have left."""
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
    """Start the kernels of ``graph`` on the current stream of ``device``."""
    with torch.cuda.device(device):
        graph.replay()
