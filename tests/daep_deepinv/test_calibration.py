"""From the variance of samples to the expected error: by kind of task, in every shape, the same in all units."""

import deepinv as dinv
import pytest
import torch

from daep_deepinv import DAEP, degradation
from daep_deepinv.calibration import CALIBRATIONS, Calibration, expected_error

NOISE = 5 / 255


@pytest.fixture
def variance():
    return torch.rand(2, 3, 9, 8, generator=torch.Generator().manual_seed(0))


def test_the_variance_is_a_mean_over_windows_also_at_the_border(variance):
    deviation = expected_error(variance, Calibration(1.0, 3))
    assert torch.allclose(deviation[..., 4, 4], variance[..., 3:6, 3:6].mean((-2, -1)).sqrt())
    assert torch.allclose(deviation[..., 0, 0], variance[..., :2, :2].mean((-2, -1)).sqrt())
    constant = expected_error(torch.ones_like(variance), Calibration(2.0, 5))
    assert torch.allclose(constant, torch.full_like(constant, 2.0))


def test_a_power_counts_in_units_of_the_image(variance):
    how = Calibration(2.0, 1, power=1.5)
    deviation = expected_error(variance, how)
    assert torch.allclose(deviation, 2 * variance**0.75)
    assert torch.allclose(expected_error(255**2 * variance, how, unit=255.0), 255 * deviation)


def test_planes_of_a_volume_are_read_one_by_one(variance):
    how = Calibration(2.0, 3)
    volume = expected_error(variance.reshape(1, 2, 3, 9, 8), how)
    assert torch.allclose(volume.reshape(variance.shape), expected_error(variance, how))


def test_every_kind_has_an_odd_window():
    assert all(how.window % 2 == 1 and how.factor > 0 for how in CALIBRATIONS.values())


@pytest.mark.parametrize(
    ("kind", "build"),
    [
        ("general", lambda: degradation(torch.ones(1, 1, 5, 5) / 25, sigma=NOISE)),
        ("general", lambda: degradation(torch.ones(1, 1, 5, 5) / 25, sigma=NOISE, padding="circular")),
        ("enlargement", lambda: degradation(factor=2, sigma=NOISE, img_size=(1, 16, 16))),
        ("missing pixels", lambda: dinv.physics.Inpainting((1, 16, 16), mask=torch.eye(16)[None])),
        ("denoising", lambda: dinv.physics.Denoising(dinv.physics.GaussianNoise(NOISE))),
        ("tomography", lambda: dinv.physics.Tomography(angles=8, img_width=16, circle=False, normalize=True)),
    ],
)
def test_the_kind_of_task_is_found_in_the_physics(unet, monkeypatch, kind, build):
    physics = build()
    y = physics.A(torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)))
    with_other = {name: Calibration(0.0, 1) for name in CALIBRATIONS} | {kind: Calibration(1.0, 1)}
    for name, how in with_other.items():
        monkeypatch.setitem(CALIBRATIONS, name, how)
    found = DAEP(NOISE, unet, "fast", max_iter=1, check_noise=False).posterior(y, physics, n=2, levels=2)
    assert float(found.deviation.max()) > 0
