"""Circular blurs are recognised, by their kernel alone, and their plans are made for them."""

import pytest
import torch
from deepinv.physics import Blur, BlurFFT, GaussianNoise, PoissonNoise

from daep_deepinv import DAEP, degradation
from daep_deepinv.operators.circular_blur import circular_task, suppressed_share
from daep_prior import schedules

NOISE = 0.03
SIZE = (3, 24, 32)


def line(length):
    """A motion blur, (1, 1, 1, length)."""
    return torch.full((1, 1, 1, length), 1 / length)


def gaussian(width, side=15):
    axis = torch.arange(side) - side // 2
    one = torch.exp(-(axis**2) / (2 * width**2))
    return (one[:, None] * one / one.sum() ** 2)[None, None]


@pytest.mark.parametrize(
    ("kernel", "task"),
    [(line(7), "circular blur"), (gaussian(0.3), "circular blur"), (gaussian(2.0), "strong circular blur")],
)
def test_a_kernel_decides_between_the_two_tasks(kernel, task):
    x = torch.zeros(2, *SIZE)
    for physics in (BlurFFT(SIZE, kernel), Blur(kernel, padding="circular")):
        assert circular_task(physics, x, x, 0) == task


@pytest.mark.parametrize(("padding", "task"), [("circular", "circular blur"), ("replicate", "general")])
@pytest.mark.parametrize("noise", [GaussianNoise(NOISE), PoissonNoise(0.01)], ids=["gaussian", "poisson"])
def test_a_circular_blur_of_volumes_has_the_shorter_schedule(padding, task, noise, images):
    x = images(4, 1, *SIZE[1:]).movedim(0, 1)[None]
    physics = Blur(torch.ones(1, 1, 3, 3, 3) / 27, padding=padding, noise_model=noise)
    (plan,) = DAEP(check_noise=False, scale=1, bounds=(0, 1)).plan(physics.A(x), physics)
    assert plan.schedule == schedules.annealed(plan.noise.level, task=task)


def test_the_share_is_zero_without_blur_and_grows_with_it():
    assert suppressed_share(torch.ones(1, 1, 1)) == pytest.approx(0.03**2 / (1 + 0.03**2), rel=1e-3)
    shares = [suppressed_share(gaussian(width)[0]) for width in (0.5, 1.0, 2.0, 3.0)]
    assert shares == sorted(shares) and shares[0] < 0.04 < shares[2]


@pytest.mark.parametrize("padding", ["valid", "replicate", "reflect", "constant"])
def test_other_borders_are_no_circular_blur(padding):
    physics, x = Blur(line(5), padding=padding), torch.zeros(1, *SIZE)
    assert circular_task(physics, physics.A(x), x, 0) is None
    y = physics.A(torch.rand(1, *SIZE, generator=torch.Generator().manual_seed(0)))
    (plan,) = DAEP(NOISE, check_noise=False).plan(y, physics)
    assert plan.schedule == schedules.annealed(plan.noise.level / plan.range.scale)


def test_each_image_of_a_batch_has_the_plan_that_it_has_alone(images, unet):
    kernels = torch.cat([torch.nn.functional.pad(line(7), (4, 4, 7, 7)), gaussian(2.0)])
    x = images(2, *SIZE)
    physics = BlurFFT(SIZE, kernels)
    y = physics.A(x)
    model = DAEP(NOISE, denoiser=unet, check_noise=False, scale=1, bounds=(0, 1))
    plans = model.plan(y, physics)
    assert plans[0].schedule == schedules.annealed(NOISE, task="circular blur")
    assert plans[1].schedule == schedules.annealed(NOISE, task="strong circular blur")
    together = model(y, physics)
    for i in range(2):
        alone = BlurFFT(SIZE, kernels[i : i + 1])
        assert model.plan(y[i : i + 1], alone)[0] == plans[i]
        torch.testing.assert_close(model(y[i : i + 1], alone), together[i : i + 1], atol=1e-5, rtol=0)


def test_only_white_noise_has_the_shorter_schedule(images):
    x = images(1, *SIZE)
    for noise, task in ((GaussianNoise(NOISE), "circular blur"), (PoissonNoise(0.01), "general")):
        physics = BlurFFT(SIZE, line(7), noise_model=noise)
        (plan,) = DAEP(check_noise=False, scale=1, bounds=(0, 1)).plan(physics.A(x), physics)
        assert plan.schedule == schedules.annealed(plan.noise.level, task=task)


def test_a_network_with_settings_of_its_own_has_no_shorter_schedule_unless_they_say_so(tmp_path, images):
    path = tmp_path / "settings.json"
    table = schedules.shipped_settings()
    schedules.write_settings(
        path, schedules.SettingsTable(table.levels, table.noise_free), network="mine", origin="test"
    )
    physics = degradation(line(7), padding="circular", img_size=SIZE)
    model = DAEP(NOISE, settings=path, check_noise=False, scale=1, bounds=(0, 1))
    assert model.plan(physics.A(images(1, *SIZE)), physics)[0].schedule == schedules.annealed(NOISE)
