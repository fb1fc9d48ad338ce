"""One degradation of a clean image, many methods: quality, time and network evaluations side by side.

The pictures of a comparison are made by :mod:`daep_compare.figures`.
"""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from deepinv.loss.metric import LPIPS, PSNR, SSIM
from deepinv.optim import BaseOptim
from deepinv.physics import LinearPhysics, ZeroNoise
from torch import Tensor, nn

from daep_compare.peers import DOWNLOADING, PEERS, Peer, task
from daep_deepinv.denoiser import as_denoiser
from daep_deepinv.reconstructor import DAEP, PRESETS
from daep_deepinv.start import starting_point, valid_margins

__all__ = ["COLUMNS", "Comparison", "Result", "Step", "compare", "compare_each", "known_methods", "usual_methods"]

#: Columns of the table, in order.
COLUMNS = ("method", "psnr", "ssim", "lpips", "seconds", "evaluations", "jacobian products", "remark")
#: Prefix of our own methods: ``daep-annealed``, ``daep-paper``, ...
OURS = "daep-"
#: The file that torchvision downloads for LPIPS; when it is there, LPIPS costs no download.
LPIPS_WEIGHTS = "alexnet-owt-7be5be79.pth"
#: Side of the smallest image that the metrics' windows and poolings fit into.
SMALLEST_FOR_SSIM, SMALLEST_FOR_LPIPS = 11, 64


@dataclass(frozen=True)
class Step:
    """Where a method stood after an iteration; ``evaluations`` counts forwards and Jacobian products alike."""

    evaluations: int
    seconds: float
    psnr: float


@dataclass
class Result:
    """What one method made of the measurement.

    :param torch.Tensor image: (1, C, H, W) in [0, 1]; ``None`` if the method failed.
    :param float psnr: dB, of the 8-bit image, over what is measured; likewise ``ssim`` and ``lpips``.
    :param int evaluations: forward passes of the shared network; 0 for methods without.
    :param int jacobian_products: vector-Jacobian products with it; each costs about as much as a forward pass or two.
    :param list path: one :class:`Step` an iteration, of methods that are deepinv optimisers.
    :param str remark: why the method failed.
    """

    method: str
    image: Tensor | None = None
    psnr: float | None = None
    ssim: float | None = None
    lpips: float | None = None
    seconds: float | None = None
    evaluations: int = 0
    jacobian_products: int = 0
    path: list[Step] = field(default_factory=list)
    remark: str = ""

    def row(self) -> dict[str, str]:
        """The values of :data:`COLUMNS` as text; empty where there is none."""

        def number(value: float | None, digits: int) -> str:
            return "" if value is None else f"{value:.{digits}f}"

        done = self.image is not None
        values = (
            self.method,
            number(self.psnr, 2),
            number(self.ssim, 4),
            number(self.lpips, 4),
            number(self.seconds, 2),
            str(self.evaluations) if done else "",
            str(self.jacobian_products) if done else "",
            self.remark,
        )
        return dict(zip(COLUMNS, values, strict=True))


@dataclass
class Comparison:
    """All results of one measurement.

    :param torch.Tensor clean: (1, C, H, W) in [0, 1].
    :param torch.Tensor start: where the iterative methods begin, the measurement brought to the size of the image.
    :param tuple margins: pixels (left, right, top, bottom) that are not measured and so not judged.
    """

    clean: Tensor
    measurement: Tensor
    start: Tensor
    margins: tuple[int, int, int, int]
    results: list[Result] = field(default_factory=list)

    def judged(self, x: Tensor) -> Tensor:
        """The part of an image that is measured."""
        left, right, top, bottom = self.margins
        return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]

    def psnr(self, x: Tensor) -> float:
        """PSNR in dB over the part that is measured."""
        return float(PSNR()(self.judged(x.clamp(0, 1)), self.judged(self.clean)))

    def to_csv(self) -> str:
        """The table as text of a CSV file."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(result.row() for result in self.results)
        return text.getvalue()


def known_methods() -> tuple[str, ...]:
    """Every name that :func:`compare` takes."""
    return (*(OURS + preset for preset in PRESETS), *PEERS, *DOWNLOADING)


def usual_methods(physics: LinearPhysics, sigma: float) -> tuple[str, ...]:
    """What is compared when nothing is named: all that can do this physics without downloading anything.

    Of the paper's two solvers, the one for the task.
    """
    enlarging = task(physics) == "super-resolution" and sigma == 0
    other = OURS + ("paper" if enlarging else "paper-sr")
    ours = [OURS + preset for preset in PRESETS if OURS + preset != other]
    only_blur = () if task(physics) == "blur" else ("richardson-lucy",)
    return (*ours, *(name for name in PEERS if name not in only_blur))


def compare(
    x: Tensor,
    physics: LinearPhysics,
    methods: Sequence[str] | None = None,
    *,
    added: Mapping[str, nn.Module] | None = None,
    sigma: float | None = None,
    denoiser: nn.Module | str | os.PathLike[str] = "dae",
    seed: int = 0,
    lpips: bool | None = None,
) -> Comparison:
    """Degrade a clean image once and restore it by many methods; see :func:`compare_each` to watch it happen.

    Methods with a network share one. Images are rounded to 8 bits before they are judged, and the border that a
    ``valid`` blur does not measure is left out.

    :param torch.Tensor x: clean image, (1, C, H, W) in [0, 1].
    :param deepinv.physics.LinearPhysics physics: the degradation, with its noise model.
    :param methods: names from :func:`known_methods`; default :func:`usual_methods`.
    :param added: further methods by name: any deepinv ``Reconstructor``, or other module called ``model(y, physics)``.
    :param float sigma: noise that the methods are told, images in [0, 1]; default that of the physics.
    :param denoiser: the network.
    :param int seed: of the measurement's noise and of the methods' own.
    :param bool lpips: whether LPIPS is computed, whose network torchvision downloads; default: if it is there already.
    :return: the results in the order of the methods. A method that fails is a result with a remark.
    :raises ValueError: an unusable image, an unknown method, or no noise level.

    >>> import torch
    >>> from daep_deepinv import degradation
    >>> from daep_compare.comparison import compare
    >>> found = compare(torch.rand(1, 3, 32, 32), degradation(sigma=0.1), ["pnp-hqs", "tv"])
    >>> [result.method for result in found.results]
    ['pnp-hqs', 'tv']
    """
    comparison, running = compare_each(
        x, physics, methods, added=added, sigma=sigma, denoiser=denoiser, seed=seed, lpips=lpips
    )
    for _ in running:
        pass
    return comparison


def compare_each(
    x: Tensor,
    physics: LinearPhysics,
    methods: Sequence[str] | None = None,
    *,
    added: Mapping[str, nn.Module] | None = None,
    sigma: float | None = None,
    denoiser: nn.Module | str | os.PathLike[str] = "dae",
    seed: int = 0,
    lpips: bool | None = None,
) -> tuple[Comparison, Iterator[Result]]:
    """As :func:`compare`, one method at a time: the comparison, and an iterator that fills it as it is consumed."""
    if x.ndim != 4 or x.shape[0] != 1 or x.shape[1] not in (1, 3):
        raise ValueError(f"x: got shape {tuple(x.shape)}; expected one image, (1, C, H, W) with C = 1 or 3.")
    if not bool(((x >= 0) & (x <= 1)).all()):
        raise ValueError("x: it holds values outside [0, 1], or none at all; expected a clean image in [0, 1].")
    told = _stated_noise(physics) if sigma is None else float(sigma)
    chosen = tuple(methods) if methods is not None else usual_methods(physics, told)
    added = {} if added is None else added
    unknown = sorted(set(chosen) - set(known_methods()))
    if unknown:
        raise ValueError(f"methods: got {', '.join(map(repr, unknown))}; expected among {', '.join(known_methods())}.")
    taken = sorted(set(added) & set(chosen))
    if taken:
        raise ValueError(f"added: {', '.join(map(repr, taken))} is the name of another method; choose a new one.")
    network = as_denoiser(denoiser)
    with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):  # any noise model, and the user's state stays
        torch.manual_seed(seed)
        y = physics(x)
    margins = valid_margins(physics) or (0, 0, 0, 0)
    comparison = Comparison(x, y, starting_point(y, physics), margins)
    judge = _Judge(comparison, lpips)
    made: list[tuple[str, nn.Module | None]] = [(name, None) for name in chosen]
    made += list(added.items())

    def run() -> Iterator[Result]:
        for name, model in made:
            result = Result(name)
            try:
                model = _method(name, told, network, seed, physics) if model is None else model
                _run(result, model.to(x.device), comparison, physics, network)
                judge(result)
            except Exception as error:  # whatever it is, it is this method's, and the others go on
                result.image = None
                result.remark = f"{type(error).__name__}: {' '.join(str(error).split())}"
            comparison.results.append(result)
            yield result

    return comparison, run()


def _stated_noise(physics: LinearPhysics) -> float:
    noise = getattr(physics, "noise_model", None)
    if isinstance(noise, ZeroNoise):
        return 0.0
    levels = torch.as_tensor(getattr(noise, "sigma", ())).unique()
    if levels.numel() != 1:
        raise ValueError("sigma: this physics states no single noise level (physics.noise_model.sigma); give sigma=.")
    return float(levels)


def _method(name: str, sigma: float, network: nn.Module, seed: int, physics: LinearPhysics) -> nn.Module:
    if name.startswith(OURS):
        return DAEP(sigma, name.removeprefix(OURS), network, seed=seed)
    return Peer(name, sigma, network, seed=seed).solver(physics)


def _run(result: Result, model: nn.Module, comparison: Comparison, physics: LinearPhysics, network: nn.Module) -> None:
    with _counted(network, result), _watched(model, result, comparison) as watching, torch.no_grad():
        began = time.perf_counter()
        watching["began"] = began
        image = model(comparison.measurement, physics)
        if image.is_cuda:
            torch.cuda.synchronize(image.device)
        result.seconds = time.perf_counter() - began - watching["lost"]
    if image.shape != comparison.clean.shape:
        raise ValueError(f"got an image of {tuple(image.shape)}; expected {tuple(comparison.clean.shape)}.")
    if not bool(image.isfinite().all()):
        raise ValueError("the restored image is not finite.")
    result.image = image.detach().clamp(0, 1)


@contextmanager
def _counted(network: nn.Module, result: Result) -> Iterator[None]:
    """Count forwards and vector-Jacobian products of ``network`` into ``result``."""

    def backward(gradient: Tensor) -> None:
        result.jacobian_products += 1

    def forward(module: nn.Module, arguments: object, out: Tensor) -> None:
        result.evaluations += 1
        if out.requires_grad:
            out.register_hook(backward)

    handle = network.register_forward_hook(forward)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _watched(model: nn.Module, result: Result, comparison: Comparison) -> Iterator[dict[str, float]]:
    """Record PSNR after every iteration of a deepinv optimiser; ``lost`` is the time that this took."""
    clock = {"began": time.perf_counter(), "lost": 0.0}
    if not isinstance(model, BaseOptim):
        yield clock
        return

    def after(module: nn.Module, arguments: object, X: dict[str, object]) -> None:
        now = time.perf_counter()
        psnr = comparison.psnr(model.get_output(X))
        spent = now - clock["began"] - clock["lost"]
        result.path.append(Step(result.evaluations + result.jacobian_products, spent, psnr))
        clock["lost"] += time.perf_counter() - now

    handle = model.fixed_point.iterator.register_forward_hook(after)
    try:
        yield clock
    finally:
        handle.remove()


class _Judge:
    """PSNR, SSIM and, where its network is at hand, LPIPS."""

    def __init__(self, comparison: Comparison, lpips: bool | None):
        self.comparison = comparison
        self.clean = comparison.judged(comparison.clean)
        smallest = min(self.clean.shape[-2:])
        self.ssim = SSIM() if smallest >= SMALLEST_FOR_SSIM else None
        wanted = (Path(torch.hub.get_dir()) / "checkpoints" / LPIPS_WEIGHTS).exists() if lpips is None else lpips
        possible = smallest >= SMALLEST_FOR_LPIPS
        self.lpips = LPIPS(device=self.clean.device) if wanted and possible else None

    def __call__(self, result: Result) -> None:
        assert result.image is not None
        result.image = (result.image * 255).round() / 255
        image = self.comparison.judged(result.image)
        result.psnr = self.comparison.psnr(result.image)
        if self.ssim is not None:
            result.ssim = float(self.ssim(image, self.clean))
        if self.lpips is not None:
            result.lpips = float(self.lpips(*(x.expand(-1, 3, -1, -1) for x in (image, self.clean))))
