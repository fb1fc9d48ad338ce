"""Run one method on the measurement: seconds, network evaluations, PSNR after every iteration, final quality."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from deepinv.loss.metric import LPIPS, SSIM
from deepinv.optim import BaseOptim
from deepinv.physics import LinearPhysics
from torch import Tensor, nn

from daep_compare.results import Comparison, Result, Step
from daep_deepinv import DAEP

__all__ = ["Judge", "run_method"]

#: The file that torchvision downloads for LPIPS. If it is there, LPIPS needs no download.
LPIPS_WEIGHTS = "alexnet-owt-7be5be79.pth"
#: Least side of an image, in pixels, for the metrics' windows and poolings.
SMALLEST_FOR_SSIM, SMALLEST_FOR_LPIPS = 11, 64


def run_method(
    result: Result, model: nn.Module, comparison: Comparison, physics: LinearPhysics, network: nn.Module
) -> None:
    """Restore the measurement by ``model`` and record the run in ``result``.

    :raises ValueError: the restored image has another shape than the clean one, or is not finite.
    """
    record = _Recorder(result, comparison)
    options = {"callback": lambda plan, iteration, image: record(image)} if isinstance(model, DAEP) else {}
    with _counted(network, result), _followed(model, record), torch.no_grad():
        record.start()
        image = model(comparison.measurement, physics, **options)
        if image.is_cuda:
            torch.cuda.synchronize(image.device)
        result.seconds = record.seconds()
    if image.shape != comparison.clean.shape:
        raise ValueError(f"got an image of {tuple(image.shape)}; expected {tuple(comparison.clean.shape)}.")
    if not bool(image.isfinite().all()):
        raise ValueError("the restored image is not finite.")
    result.image = image.detach().clamp(0, 1)


class _Recorder:
    """Records PSNR after an iteration. The time for computing it is not counted."""

    def __init__(self, result: Result, comparison: Comparison):
        self.result, self.comparison = result, comparison

    def start(self) -> None:
        self.began, self.lost = time.perf_counter(), 0.0

    def seconds(self) -> float:
        return time.perf_counter() - self.began - self.lost

    def __call__(self, image: Tensor) -> None:
        """:param torch.Tensor image: the result so far, (1, C, H, W); one channel for a grey image in colour."""
        seconds, now = self.seconds(), time.perf_counter()
        psnr = self.comparison.psnr(image.expand_as(self.comparison.clean))
        work = self.result.evaluations + self.result.jacobian_products
        self.result.path.append(Step(work, seconds, psnr))
        self.lost += time.perf_counter() - now


@contextmanager
def _counted(network: nn.Module, result: Result) -> Iterator[None]:
    """Count forward passes and vector-Jacobian products of ``network`` in ``result``."""

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
def _followed(model: nn.Module, record: Callable[[Tensor], None]) -> Iterator[None]:
    """Call ``record`` with the image after every iteration of a deepinv optimiser."""
    if not isinstance(model, BaseOptim):
        yield
        return

    def after(module: nn.Module, arguments: object, X: dict[str, object]) -> None:
        record(model.get_output(X))

    handle = model.fixed_point.iterator.register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


class Judge:
    """PSNR, SSIM and LPIPS of the measured part of an image in 8 bits.

    :param bool lpips: whether LPIPS is computed, whose network torchvision downloads; ``None``: if it is there already.
    """

    def __init__(self, comparison: Comparison, lpips: bool | None):
        self.comparison = comparison
        self.clean = comparison.judged(comparison.clean)
        smallest = min(self.clean.shape[-2:])
        self.ssim = SSIM() if smallest >= SMALLEST_FOR_SSIM else None
        wanted = (Path(torch.hub.get_dir()) / "checkpoints" / LPIPS_WEIGHTS).exists() if lpips is None else lpips
        possible = smallest >= SMALLEST_FOR_LPIPS
        self.lpips = LPIPS(device=self.clean.device) if wanted and possible else None

    def __call__(self, result: Result) -> None:
        """Round the image of a result to 8 bits and record its quality."""
        assert result.image is not None
        result.image = (result.image * 255).round() / 255
        image = self.comparison.judged(result.image)
        result.psnr = self.comparison.psnr(result.image)
        if self.ssim is not None:
            result.ssim = float(self.ssim(image, self.clean))
        if self.lpips is not None:
            result.lpips = float(self.lpips(*(x.expand(-1, 3, -1, -1) for x in (image, self.clean))))
