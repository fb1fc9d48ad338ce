"""``DAEP.sample`` and ``DAEP.posterior``: repeatability, batches, statistics, and how sure the model is where."""

import deepinv as dinv
import pytest
import skimage.data
import torch

from daep_deepinv import DAEP, degradation
from daep_deepinv.calibration import CALIBRATIONS, Calibration

NOISE = 5 / 255
SHORT = {"levels": 4}


@pytest.fixture
def model(unet):
    return DAEP(NOISE, unet, "fast", max_iter=2, check_noise=False)


@pytest.fixture
def physics():
    return degradation(torch.ones(3, 3) / 9, padding="circular", sigma=NOISE)


@pytest.fixture
def y(images, physics):
    return physics.A(images(2, 3, 16, 16))


def test_samples_differ_and_come_again(model, physics, y):
    samples = model.sample(y, physics, n=3, seed=1, **SHORT)
    assert samples.shape == (3, 2, 3, 16, 16)
    assert torch.equal(model.sample(y, physics, n=3, seed=1, **SHORT), samples)
    assert torch.equal(model.sample(y, physics, n=2, seed=1, **SHORT), samples[:2])
    assert not torch.equal(samples[0], samples[1])
    assert not torch.equal(model.sample(y, physics, n=1, seed=2, **SHORT)[0], samples[0])


def test_an_image_has_the_same_samples_alone_and_in_a_batch(model, physics, y):
    """Also a grey image in three channels, which is restored by itself as one."""
    y = torch.cat([y[:1], y[1:, :1].expand(-1, 3, -1, -1)])
    together = model.sample(y, physics, n=2, **SHORT)
    for i in range(2):
        assert torch.equal(model.sample(y[i : i + 1], physics, n=2, **SHORT)[:, 0], together[:, i])
    assert torch.equal(together[:, 1, 0], together[:, 1, 2])


def test_statistics_are_those_of_the_samples(model, physics, y, monkeypatch):
    monkeypatch.setitem(CALIBRATIONS, "general", Calibration(share=0.25, factor=1.5, window=1))
    samples = model.sample(y, physics, n=4, **SHORT)
    found = model.posterior(y, physics, n=4, **SHORT)
    assert torch.allclose(found.mean, 0.25 * samples.mean(0) + 0.75 * model(y, physics), atol=1e-6)
    assert torch.allclose(found.deviation, 1.5 * samples.std(0), atol=1e-5)
    low, high = found.interval(0.9)
    assert torch.allclose(high - low, 2 * 1.6449 * found.deviation, rtol=1e-3, atol=1e-6)
    assert torch.allclose(found.quantile(0.5), found.mean)


def test_samples_fit_the_measurement(shipped, images):
    """Their residual is about that of the noise, twice: the measured one and the one that was added."""
    physics = degradation(torch.ones(3, 3) / 9, padding="circular", sigma=NOISE)
    clean = images(1, 3, 32, 32)
    y = physics.A(clean) + NOISE * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    samples = DAEP(NOISE, shipped("dae"), "fast", check_noise=False).sample(y, physics, n=2, levels=8)
    for x in samples:
        assert 0.7 * NOISE < float((physics.A(x) - y).square().mean().sqrt()) < 2 * NOISE


def test_it_is_less_sure_of_missing_pixels(shipped, images):
    mask = torch.ones(1, 32, 32)
    mask[:, 8:20, 8:20] = 0
    physics = dinv.physics.Inpainting((3, 32, 32), mask=mask.expand(3, -1, -1))
    y = physics.A(images(1, 3, 32, 32))
    found = DAEP(1 / 255, shipped("dae"), "fast", check_noise=False).posterior(y, physics, n=4, levels=8)
    missing = mask[0] == 0
    assert found.deviation[..., missing].mean() > 3 * found.deviation[..., ~missing].mean()


@pytest.mark.parametrize("level", [3, 25])
def test_the_deviation_of_a_denoised_image_is_about_its_error(shipped, level):
    x = torch.from_numpy(skimage.data.astronaut()[100:148, 200:248]).permute(2, 0, 1)[None] / 255
    y = x + level / 255 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    physics = dinv.physics.Denoising(dinv.physics.GaussianNoise(level / 255))
    found = DAEP(denoiser=shipped("dae")).posterior(y, physics, n=4)
    error, said = (float(e.square().mean().sqrt()) for e in (found.mean - x, found.deviation))
    assert 0.5 * error < said < 2 * error


def test_an_image_in_other_units_has_the_same_samples_in_these(shipped, physics, y):
    options = {"check_noise": False, "preset": "fast"}
    small = DAEP(NOISE, shipped("dae"), **options)
    unit = small.sample(y, physics, n=1, levels=6)
    large = DAEP(255 * NOISE, shipped("dae"), **options, scale=255.0, bounds=(0, 255))
    assert (large.sample(255 * y, physics, n=1, levels=6) - 255 * unit).abs().mean() < 0.5  # bf16 rounds differently
    found, expected = (m.posterior(v, physics, n=2, levels=6) for m, v in ((large, 255 * y), (small, y)))
    assert (found.deviation - 255 * expected.deviation).abs().mean() < 0.05 * 255 * expected.deviation.mean()


def test_what_cannot_be_sampled_is_refused(model, physics, y, conv):
    with pytest.raises(ValueError, match="n: got 0"):
        model.sample(y, physics, n=0)
    with pytest.raises(ValueError, match="n: got 1"):
        model.posterior(y, physics, n=1)
    with pytest.raises(TypeError, match="temperature"):
        model.sample(y, physics, temperature=2)
    with pytest.raises(ValueError, match="25/255 alone"):
        DAEP(NOISE, conv).sample(y, physics)
    with pytest.raises(ValueError, match="q: got 1"):
        model.posterior(y, physics, n=2, **SHORT).quantile(1)
