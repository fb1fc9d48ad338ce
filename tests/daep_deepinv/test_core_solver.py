"""The loop of the core, which the other toolkits use, against the one that deepinv drives."""

import deepinv as dinv
import pytest
import torch

from daep_deepinv import DAEP, starting_point
from daep_prior import MeanShiftPrior, restore, schedules
from daep_prior.restoration import data_weight


@pytest.mark.parametrize("sigma", [0.0, 2.55 / 255, 12.75 / 255])
@pytest.mark.parametrize("name", ["unet", "conv"])
def test_both_restore_the_same_image(name, sigma, images, request):
    network = request.getfixturevalue(name)
    # in double precision, because bf16 convolutions make a last bit of difference visible
    kernel = torch.rand(1, 1, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    physics = dinv.physics.BlurFFT((3, 16, 16), filter=kernel / kernel.sum())
    y = physics(images(2, dtype=torch.float64))
    fidelity = dinv.optim.L2(sigma=data_weight(sigma) ** -0.5)
    found = restore(
        lambda v, gamma: fidelity.prox(v, y, physics, gamma=gamma),
        starting_point(y, physics),
        MeanShiftPrior(network, seed=5),
        schedules.default(sigma, network.sigma, 6),
    )
    assert torch.allclose(found, DAEP(sigma, denoiser=network, max_iter=6, seed=5)(y, physics), atol=1e-6)


@pytest.mark.parametrize("sigma", [0.0, 12.75 / 255])
def test_both_fill_missing_pixels_alike(sigma, unet, images):
    physics = dinv.physics.Inpainting((3, 16, 16), mask=0.5, rng=torch.Generator().manual_seed(0)).to(torch.float64)
    y = physics(images(2, dtype=torch.float64))
    fidelity = dinv.optim.L2(sigma=data_weight(sigma) ** -0.5)
    found = restore(
        lambda v, gamma: fidelity.prox(v, y, physics, gamma=gamma),
        starting_point(y, physics),
        MeanShiftPrior(unet),
        schedules.missing_pixels(sigma, 6),
    )
    assert torch.allclose(found, DAEP(sigma, denoiser=unet, max_iter=6)(y, physics), atol=1e-6)
