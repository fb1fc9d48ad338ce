"""Search of the numbers of the preset ``fast`` by gradients: its steps are unfolded, and autograd goes through them.

The mean-shift steps, the network and the proximal steps are differentiated; the numbers then follow Adam on the mean
PSNR. The gradient costs as much as two restorations, however many numbers there are. The phase of gradients has the
network's Jacobian, which is constant almost everywhere, so autograd does not see how it changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import torch
from protocol import Case
from torch import Tensor, nn

from daep_deepinv import starting_point
from daep_deepinv.data_terms.fourier_blur import FourierBlur
from daep_prior import MeanShiftPrior
from daep_prior.schedules import FastSettings, Settings
from daep_prior.schedules.phases import MIRRORINGS

#: Measurements of a step; factor of a first and of a last step, as logarithms; decay of Adam's means. By hand: the PSNR
#: of 24 training crops rose in the first 8 of 14 steps.
BATCH, FIRST_RATE, LAST_RATE, DECAY = 6, 0.1, 0.002, (0.8, 0.98)
#: Largest derivative of the PSNR that counts, dB by the logarithm of a number: single measurements reach a hundred.
LARGEST_DERIVATIVE = 3.0
#: Upper bounds of steps and momentum: from a step of 2 the iterates diverge.
LARGEST_STEP, LARGEST_MOMENTUM = 1.8, 0.9
#: Iterations of ``fast``; tolerance and iterations of its proximal steps, those of deepinv's physics.
ITERATIONS, TOLERANCE, PROX_ITERATIONS = 8, 1e-4, 50
#: Root mean square for which the tolerance is meant: that of an image. Derivatives are scaled to it and back.
IMAGE_RMS = 0.1

AnySettings = TypeVar("AnySettings", Settings, FastSettings)


def gradient_search(
    start: AnySettings, cases: list[Case], network: nn.Module, steps: int, log: Callable[[str], None]
) -> AnySettings:
    """The settings with other numbers of ``fast``.

    :param list cases: blurred, noisy measurements, valid or circular.
    :param nn.Module network: noise-conditional denoiser.
    :param int steps: number of steps, each by :data:`BATCH` of the measurements in turn.
    :param Callable log: called with a line for each step.
    """
    numbers = {name: torch.tensor(getattr(start.fast, name)) for name in ("widths", "weights", "steps", "momentum")}
    numbers["final"] = torch.tensor(start.fast_final_width)
    free = {name: (value if name == "momentum" else value.log()).requires_grad_() for name, value in numbers.items()}
    optimizer = torch.optim.Adam(free.values(), betas=DECAY)
    prior = MeanShiftPrior(network)
    for k in range(steps):
        rate = LAST_RATE + (FIRST_RATE - LAST_RATE) * (1 + math.cos(math.pi * k / steps)) / 2
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        chosen = [cases[(k * BATCH + j) % len(cases)] for j in range(BATCH)]
        values = []
        for case in chosen:
            psnr = -10 * restored_error(case, free, prior).log10()
            (-psnr / BATCH).backward()
            values.append(float(psnr.detach()))
        for value in free.values():
            assert value.grad is not None
            value.grad.clamp_(-LARGEST_DERIVATIVE, LARGEST_DERIVATIVE)
        optimizer.step()
        with torch.no_grad():
            free["momentum"].clamp_(0, LARGEST_MOMENTUM)
            free["steps"].clamp_(max=math.log(LARGEST_STEP))
        log(f"  step {k + 1} of {steps}: {sum(values) / BATCH:.3f} dB on {BATCH} measurements")
    found = {n: [float(f"{x:.3g}") for x in (v if n == "momentum" else v.exp()).reshape(-1)] for n, v in free.items()}
    (final,) = found.pop("final")
    pairs: dict[str, Any] = {name: (first, last) for name, (first, last) in found.items()}
    return replace(start, fast=replace(start.fast, **pairs), fast_final_width=final)


def restored_error(case: Case, free: dict[str, Tensor], prior: MeanShiftPrior) -> Tensor:
    """Mean squared error of ``fast``, a number with a graph to the numbers ``free``."""
    x = starting_point(case.measurement, case.physics)
    blur = FourierBlur(case.physics, case.measurement, (x.shape[-2], x.shape[-1]))
    still = FourierBlur(case.physics, torch.zeros_like(case.measurement), blur.size)
    share = torch.linspace(0, 1, ITERATIONS)
    column = {name: v[0] + (v[1] - v[0]) * share for name, v in free.items() if name != "final"}
    widths, weights, steps = column["widths"].exp() / 255, column["weights"].exp(), column["steps"].exp()
    previous = x
    for k in range(ITERATIONS):
        z = x + column["momentum"][k] * (x - previous)
        shift = prior.gradient(z, widths[k], noise_share=0.0, jacobian=False, flip=k % MIRRORINGS)
        weight = steps[k] * 2 * widths[k] ** 2 / (weights[k] * case.sigma**2)
        previous, x = x, Prox.apply(z - steps[k] * shift, weight, blur, still)
    x = prior.denoise(x, free["final"].exp() / 255).clamp(0, 1)
    rows, cols = case.margin
    error = (x - case.clean)[..., rows : x.shape[-2] - rows, cols : x.shape[-1] - cols]
    return error.square().mean()


class Prox(torch.autograd.Function):
    """The proximal step ``u = argmin 1/2 ||u - v||^2 + w/2 ||Ku - y||^2`` with its derivatives.

    With ``M = (1 + w K^T K)^-1``, which is the step for ``y = 0``, they are ``M`` and ``M K^T (y - K u)``. The residual
    ``K^T (y - K u)`` is ``(u - v) / w``.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, weight: Tensor, blur: FourierBlur, still: FourierBlur) -> Tensor:
        u = blur.prox(v, float(weight), TOLERANCE, PROX_ITERATIONS)
        ctx.still, ctx.weight = still, float(weight)
        ctx.save_for_backward((u - v) / weight)
        return u

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (grad,), (back,) = grads, ctx.saved_tensors
        scale = grad.square().mean().sqrt().clamp_min(torch.finfo(grad.dtype).tiny) / IMAGE_RMS
        ctx.still.border = None
        product = scale * ctx.still.prox(grad / scale, ctx.weight, TOLERANCE, PROX_ITERATIONS)
        return product, (product * back).sum(), None, None
