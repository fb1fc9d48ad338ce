"""The prior's gradient on a GPU as one CUDA graph: network, vector-Jacobian product and random numbers.

An eager gradient of a small image spends more time in starting kernels than in them. A graph starts them all at once,
and a compiled network has fewer. Shapes, types and weights are fixed when the graph is recorded; when they change it is
recorded again. Where it cannot be recorded the plain gradient runs, and a warning says so once.

This module has been tested on the CPU as far as that goes: which gradients are eligible, what is copied in and out, and
that every failure ends in the plain gradient. **It has not been measured on a GPU.**
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from daep_prior.energy import NoiseSource, energy_gradient, replicate
from daep_prior.networks import DAE, per_image

__all__ = ["GraphedGradient"]

#: Runs before the recording, in which libraries choose their algorithms and allocate what they need.
WARM_UP = 3


class _Recording(NamedTuple):
    """A graph with the tensors it reads and writes."""

    key: tuple[Any, ...]
    noise: NoiseSource
    x: Tensor
    width: Tensor
    out: Tensor
    replay: Callable[[], object]


class GraphedGradient:
    """:func:`daep_prior.energy_gradient` of a frozen network, replayed from a CUDA graph.

    The generators of the noise are registered with the graph, so that every replay draws fresh numbers from the streams
    that the plain gradient would draw from.

    :param DAE dae: the network; no parameter may ask for a gradient.
    :param bool compile: whether to compile the network first (``torch.compile``).
    """

    def __init__(self, dae: DAE, compile: bool = True):
        self.dae, self.compile = dae, compile
        self._recording: _Recording | None = None
        self._given_up: str | None = None
        self._said = False

    def __call__(
        self, x: Tensor, sigma: float | Tensor, noise: NoiseSource, replicas: int = 1, jacobian: bool = True
    ) -> Tensor:
        """The gradient at ``x`` (B, C, H, W) with noise drawn from ``noise``; see :func:`energy_gradient`.

        :raises ValueError: as :func:`energy_gradient`.
        """
        reason = self.why_not(x, sigma)
        if reason is None:
            recording = self._recorded(x, sigma, noise, replicas, jacobian)
            if recording is not None:
                recording.x.copy_(x)
                recording.width.copy_(per_image(sigma, x))
                recording.replay()
                return recording.out.clone()
            reason = self._given_up
        if not self._said:
            self._said = True
            warnings.warn(f"no CUDA graph, the plain gradient is used: {reason}.", RuntimeWarning, stacklevel=2)
        return energy_gradient(self.dae, x, sigma, noise.draw(replicate(x, replicas)), replicas, jacobian)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_recording": None}  # a graph cannot be copied

    def why_not(self, x: Tensor, sigma: float | Tensor) -> str | None:
        """Why this gradient cannot come from a graph; ``None`` if it can."""
        if self._given_up is not None:
            return self._given_up
        if x.device.type != "cuda":
            return f"the image is on {x.device.type}"
        if any(p.requires_grad for p in self.dae.parameters()):
            return "a parameter of the network asks for a gradient"
        if torch.is_grad_enabled() and (x.requires_grad or (isinstance(sigma, Tensor) and sigma.requires_grad)):
            return "the gradient itself is to be differentiated"
        return None

    def _recorded(
        self, x: Tensor, sigma: float | Tensor, noise: NoiseSource, replicas: int, jacobian: bool
    ) -> _Recording | None:
        """The recording for these arguments, made if there is none; ``None`` if that failed."""
        key = (x.shape, x.dtype, x.device, replicas, jacobian, self.dae.weights_version(), self.dae.compute_dtype)
        known = self._recording
        if known is not None and known.key == key and known.noise is noise:
            return known
        self._recording = None  # its memory can serve the next
        for compile in (True, False) if self.compile else (False,):
            try:
                self._recording = self._record(key, x, sigma, noise, replicas, jacobian, compile)
                return self._recording
            except Exception as error:  # compilers and drivers fail in ways of their own
                if isinstance(error, torch.OutOfMemoryError):
                    raise
                self.compile = False
                self._given_up = f"recording failed with {type(error).__name__}: {str(error).strip()[:200]}"
        return None

    def _record(
        self,
        key: tuple[Any, ...],
        x: Tensor,
        sigma: float | Tensor,
        noise: NoiseSource,
        replicas: int,
        jacobian: bool,
        compile: bool,
    ) -> _Recording:
        twin = self.dae.fold()
        twin.compile_network = compile
        with torch.inference_mode(False):  # tensors made in it could not be written to outside
            here, width = x.detach().clone(), per_image(sigma, x).detach().clone()

        def gradient(source: NoiseSource) -> Tensor:
            fields = source.draw(replicate(here, replicas))
            with torch.inference_mode(False), torch.no_grad():
                return energy_gradient(twin, here, width, fields, replicas, jacobian)

        practice = NoiseSource(noise.seed, noise.samples, noise.antithetic)  # leaves the streams where they are
        out, replay = capture(lambda: gradient(practice), lambda: gradient(noise), noise.generators(x.device), x.device)
        self._given_up = None
        return _Recording(key, noise, here, width, out, replay)


def capture(
    practice: Callable[[], Tensor],
    work: Callable[[], Tensor],
    generators: list[torch.Generator],
    device: torch.device,
) -> tuple[Tensor, Callable[[], object]]:
    """Record ``work`` after some runs of ``practice``: its result, and what fills it anew."""
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            practice()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        out = work()
    return out, graph.replay
