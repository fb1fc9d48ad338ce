"""The loop of the core against deepinv's own loop over our iterators, and against ``DAEP``."""

import deepinv as dinv
import pytest
import torch
from deepinv.optim import BaseOptim

from daep_deepinv import DAEP, DAEPrior, HeavyBallIteration, ProximalMomentumIteration, starting_point
from daep_deepinv.operators.circular_blur import circular_task
from daep_prior import MeanShiftPrior, restore, schedules
from daep_prior.restoration import data_weight

#: deepinv's names of a schedule's columns.
NAMES = {"kernel_width": "g_param", "prior_weight": "lambda", "step": "stepsize"}


@pytest.fixture
def measured(images):
    """Physics and measurement in double precision, because bf16 convolutions make a last bit of difference visible."""
    kernel = torch.rand(1, 1, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    physics = dinv.physics.BlurFFT((3, 16, 16), filter=kernel / kernel.sum())
    return physics, physics(images(2, dtype=torch.float64))


def by_the_core(physics, y, sigma, network, schedule):
    data = dinv.optim.L2(sigma=data_weight(sigma) ** -0.5)
    return restore(
        lambda v, gamma: data.prox(v, y, physics, gamma=gamma),
        starting_point(y, physics),
        MeanShiftPrior(network, seed=5),
        schedule,
        data_gradient=lambda x: data.grad(x, y, physics),
    )


@pytest.mark.parametrize("sigma", [0.0, 2.55 / 255, 12.75 / 255])
@pytest.mark.parametrize("name", ["unet", "conv"])
@pytest.mark.parametrize("preset", ["annealed", "fast", "paper"])
def test_daep_restores_the_same_image(preset, name, sigma, measured, request):
    network = request.getfixturevalue(name)
    physics, y = measured
    task = circular_task(physics, y, y, 0)
    schedule = schedules.preset(preset, sigma, trained_width=network.sigma, task=task, iterations=6)
    found = by_the_core(*measured, sigma, network, schedule)
    model = DAEP(sigma, network, preset, max_iter=6, seed=5, scale=1, bounds=(0, 1))
    assert torch.allclose(found, model(y, physics), atol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "iteration"),
    [
        (schedules.fixed_width(iterations=5), ProximalMomentumIteration()),
        (schedules.fast(0.0, 5), ProximalMomentumIteration(dual=True)),
        (schedules.annealed(0.0, 5), ProximalMomentumIteration()),
        (schedules.paper(0.05, iterations=5), HeavyBallIteration()),
    ],
    ids=["proximal", "with a dual variable", "annealed", "heavy ball"],
)
def test_deepinvs_loop_over_our_iterators_gives_the_same_image(schedule, iteration, measured, unet):
    physics, y = measured
    y = y.clamp(0, 1)
    model = BaseOptim(
        iteration,
        params_algo={NAMES.get(name, name): list(values) for name, values in schedule.columns().items()},
        prior=DAEPrior(unet, seed=5),
        data_fidelity=dinv.optim.L2(sigma=0.05),
        max_iter=len(schedule),
        get_output=lambda X: X["est"][1],
        custom_init=lambda y, physics: (y, y),
    )
    assert torch.allclose(model(y, physics), by_the_core(physics, y, 0.05, unet, schedule), atol=1e-6)


@pytest.mark.parametrize("sigma", [0.0, 12.75 / 255])
def test_both_fill_missing_pixels_alike(sigma, unet, images):
    physics = dinv.physics.Inpainting((3, 16, 16), mask=0.5, rng=torch.Generator().manual_seed(0)).to(torch.float64)
    y = physics(images(2, dtype=torch.float64))
    schedule = schedules.missing_pixels(sigma, 6)
    found = by_the_core(physics, y, sigma, unet, schedule)
    assert torch.allclose(found, DAEP(sigma, denoiser=unet, max_iter=6, seed=5)(y, physics), atol=1e-6)
