"""The methods of ``physics_matrix.py``: DAEP in three ways, and deepinv's own algorithms with the same network."""

import math
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from deepinv.models import AnscombeDenoiser
from deepinv.models.base import Denoiser
from deepinv.optim import DPIR, FISTA, L2, PGD, AmplitudeLoss, DataFidelity, ItohFidelity, PnP, TVPrior
from deepinv.optim.phase_retrieval import correct_global_phase, spectral_methods
from deepinv.physics import (
    Denoising,
    LinearPhysics,
    PhaseRetrieval,
    PoissonGaussianNoise,
    PoissonNoise,
    SpatialUnwrapping,
)
from deepinv.utils import TensorList
from torch import Tensor, nn

from daep_deepinv import DAEP, starting_point

#: PSNR in dB that counts as exact.
HIGHEST = 60.0
#: Seconds after which a method is stopped.
LONGEST = 120
#: Weights of total variation, times the noise level; widths of PnP's denoiser, images in [0, 1]; its steps, times the
#: step of a linear physics. The best of them counts, chosen with the clean image. DAEP has no such choice.
TV_WEIGHTS, PNP_WIDTHS, NONLINEAR_STEPS = (0.06, 0.25, 1.0), (0.015, 0.04, 0.1), (1.0, 0.1, 0.01)
PNP_ITERATIONS, TV_ITERATIONS, TV_INNER = 50, 60, 20
#: Noise level of a noise-free measurement for the peers, as a share of its root mean square.
LEAST = 0.004
#: Squared norm of an operator above which DPIR's steps are divided by it; its authors' operators have norm 1.
LARGE_NORM = 4.0


@dataclass(frozen=True)
class Problem:
    """A measurement, its physics and the truth.

    :param float sigma: root mean square of the noise.
    :param str ambiguity: see :class:`physics_matrix_operators.Operator`, as ``border``.
    """

    x: Any
    y: Any
    physics: Any
    sigma: float
    ambiguity: str = ""
    border: int = 0

    def psnr(self, restored: Any) -> float:
        """PSNR in dB for a peak of 1; of a list of images that of the first, the image itself."""
        x, out = (value[0] if isinstance(value, TensorList) else value for value in (self.x, restored))
        if not isinstance(out, Tensor) or out.shape != x.shape:
            raise ValueError(f"result of shape {tuple(getattr(out, 'shape', ()))}, image of shape {tuple(x.shape)}")
        if self.ambiguity == "phase":
            out = correct_global_phase(out, x)
        if self.ambiguity == "offset":
            out = out - (out - x).mean()
        if self.border:
            x, out = (value[..., self.border : -self.border, self.border : -self.border] for value in (x, out))
        error = float((out - x).abs().square().mean()) / (2 if x.is_complex() else 1)
        if not error < float("inf"):
            raise FloatingPointError("the result is not finite")
        return min(HIGHEST, -10 * math.log10(max(error, 1e-12)))


class AnyChannels(Denoiser):
    """A denoiser of grey and colour images for images of any channels, complex numbers and volumes.

    Images of one or three channels are given to the network as they are. Others are denoised channel by channel,
    complex numbers as two channels, volumes slice by slice.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, sigma: Any = None, **kwargs: Any) -> Tensor:
        if x.is_complex():
            return torch.complex(self(x.real, sigma), self(x.imag, sigma))
        level = sigma.flatten()[0] if isinstance(sigma, Tensor) else sigma
        if x.ndim == 4 and x.shape[1] in (1, 3):
            out: Tensor = self.network(x, level)
            return out
        slices = x.movedim(2, 0).flatten(0, 2) if x.ndim == 5 else x.flatten(0, 1)
        out = self.network(slices[:, None].float(), level)[:, 0]
        if x.ndim == 5:
            return out.unflatten(0, (x.shape[2], *x.shape[:2])).movedim(0, 2)
        return out.unflatten(0, x.shape[:2])


def _daep(sigma: Callable[[Problem], Any]) -> Callable[[Problem, nn.Module], Iterator[Any]]:
    def run(problem: Problem, network: nn.Module) -> Iterator[Any]:
        yield DAEP(sigma(problem), denoiser=network)(problem.y, problem.physics)

    return run


def _level(problem: Problem) -> float:
    """The noise level that the peers assume."""
    parts = list(problem.y) if isinstance(problem.y, TensorList) else [problem.y]
    size = float(torch.cat([part.abs().flatten() for part in parts]).square().mean().sqrt())
    return max(problem.sigma, LEAST * size)


def _first(problem: Problem, norm2: float = 1.0) -> Any:
    """deepinv's first image: the adjoint, the spectral one for phase retrieval, the trivial inverse for others. Of a
    complex inverse the real part if the image is real, as in DAEP.

    :param float norm2: squared norm of a linear physics, by which its adjoint is divided where it is large.
    """
    y, physics = problem.y, problem.physics
    if isinstance(physics, PhaseRetrieval):
        torch.manual_seed(0)
        return spectral_methods(y, physics, n_iter=100)
    if isinstance(physics, LinearPhysics):
        return physics.A_adjoint(y) / max(1.0, norm2 / LARGE_NORM)
    if isinstance(physics, SpatialUnwrapping) or not hasattr(physics, "A_dagger"):
        return y
    inverse = physics.A_dagger(y)
    return inverse if problem.x.is_complex() or not inverse.is_complex() else inverse.real.contiguous()


def _starts(problem: Problem, norm2: float) -> list[Any]:
    """deepinv's first image, and that of DAEP for the operators whose adjoint is far from an image."""
    found = [_first(problem, norm2)]
    if isinstance(problem.physics, LinearPhysics):
        with suppress(Exception):
            found.append(starting_point(problem.y, problem.physics))
    return found


def _norm2(problem: Problem) -> float:
    """Squared norm of a linear physics, else 1."""
    if not isinstance(problem.physics, LinearPhysics):
        return 1.0
    torch.manual_seed(0)
    return float(problem.physics.compute_sqnorm(_first(problem), max_iter=60, tol=1e-3, verbose=False))


def _fidelity(problem: Problem) -> DataFidelity:
    if isinstance(problem.physics, SpatialUnwrapping):
        return ItohFidelity(threshold=problem.physics.threshold)
    return AmplitudeLoss() if isinstance(problem.physics, PhaseRetrieval) else L2()


def dpir(problem: Problem, network: nn.Module) -> Iterator[Any]:
    """deepinv's DPIR; two first images, for nonlinear physics one."""
    norm2 = _norm2(problem)
    large = max(1.0, norm2 / LARGE_NORM)
    for start in _starts(problem, norm2):
        model = DPIR(_level(problem) / large**0.5, AnyChannels(network))
        model.init_params_algo["stepsize"] = [step / large for step in model.init_params_algo["stepsize"]]
        yield model(problem.y, problem.physics, init=start)


def pnp(problem: Problem, network: nn.Module) -> Iterator[Any]:
    """Plug-and-play by proximal gradient descent (deepinv's PGD)."""
    steps = (1.0,) if isinstance(problem.physics, LinearPhysics) else NONLINEAR_STEPS
    norm2 = _norm2(problem)
    first = _starts(problem, norm2)[-1]
    for factor in steps:
        for width in PNP_WIDTHS:
            model = PGD(
                data_fidelity=_fidelity(problem),
                prior=PnP(AnyChannels(network)),
                stepsize=0.99 * factor / norm2,
                sigma_denoiser=width,
                max_iter=PNP_ITERATIONS,
            )
            yield model(problem.y, problem.physics, init=first)


def total_variation(problem: Problem, network: nn.Module) -> Iterator[Any]:
    """Total variation by FISTA; by proximal gradient descent for nonlinear physics."""
    linear = isinstance(problem.physics, LinearPhysics)
    norm2 = _norm2(problem)
    first = _first(problem, norm2)
    for factor in (1.0,) if linear else NONLINEAR_STEPS:
        for weight in TV_WEIGHTS:
            model = (FISTA if linear else PGD)(
                data_fidelity=_fidelity(problem),
                prior=TVPrior(n_it_max=TV_INNER),
                lambda_reg=weight * _level(problem) * norm2**0.5,
                stepsize=0.99 * factor / norm2,
                max_iter=TV_ITERATIONS,
            )
            yield model(problem.y, problem.physics, init=(first, first) if linear else first)


def pseudo_inverse(problem: Problem, network: nn.Module) -> Iterator[Any]:
    """``A_dagger`` of the physics."""
    yield problem.physics.A_dagger(problem.y)


def anscombe(problem: Problem, network: nn.Module) -> Iterator[Any]:
    """deepinv's Anscombe denoiser; only for denoising of Poisson noise."""
    noise = problem.physics.noise_model
    if isinstance(problem.physics, Denoising) and isinstance(noise, (PoissonNoise, PoissonGaussianNoise)):
        sigma = float(noise.sigma) if isinstance(noise, PoissonGaussianNoise) else 0.0
        yield AnscombeDenoiser(AnyChannels(network))(problem.y, sigma, float(noise.gain))


#: Ours: the noise level is given, that of the physics, or estimated.
OURS: dict[str, Callable[[Problem, nn.Module], Iterator[Any]]] = {
    "sigma": _daep(lambda problem: problem.sigma),
    "stated": _daep(lambda problem: None),
    "estimate": _daep(lambda problem: "estimate"),
}
PEERS: dict[str, Callable[[Problem, nn.Module], Iterator[Any]]] = {
    "dpir": dpir,
    "pnp": pnp,
    "anscombe": anscombe,
    "tv": total_variation,
    "inverse": pseudo_inverse,
}


@dataclass(frozen=True)
class Outcome:
    """Of one method.

    :param float psnr: in dB; ``None``: the method failed, or is not made for this.
    :param float seconds: of one run; the mean, where the method has several settings.
    :param str error: kind and text of the exception.
    :param bool refused: our own sentence, before any work; else the error came from inside.
    :param str warned: the categories of the warnings of this project.
    """

    psnr: float | None
    seconds: float
    error: str = ""
    refused: bool = False
    warned: str = ""


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeoutError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def measured(run: Callable[[Problem, nn.Module], Iterator[Any]], problem: Problem, network: nn.Module) -> Outcome:
    """Run a method; its best result by PSNR."""
    found: list[float] = []
    began, error, refused = time.perf_counter(), "", False
    with warnings.catch_warnings(record=True) as seen, torch.no_grad():
        warnings.simplefilter("always")
        try:
            with _limited(LONGEST):
                found.extend(problem.psnr(restored) for restored in run(problem, network))
        except Exception as caught:  # whatever a method raises is a result
            error = f"{type(caught).__name__}: {' '.join(str(caught).split())}"[:300]
            refused = is_refusal(caught)
    ours = sorted(
        {type(w.message).__name__ for w in seen if "daep" in str(w.filename) or "daep" in w.category.__module__}
    )
    seconds = (time.perf_counter() - began) / max(1, len(found))
    return Outcome(max(found, default=None), seconds, "" if found else error, refused, " ".join(ours))


def is_refusal(error: Exception) -> bool:
    """Whether a value or type is refused by a sentence of this project, rather than by an accident inside."""
    if not isinstance(error, (ValueError, TypeError)):
        return False
    last = traceback.extract_tb(error.__traceback__)[-1]
    return any(part.startswith("daep_") for part in Path(last.filename).parts) and (last.line or "").startswith("raise")
